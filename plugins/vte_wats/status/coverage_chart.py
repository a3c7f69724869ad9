"""The coverage as a picture: which pieces of the last days are complete, and what is the matter with the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vte_wats.state.coverage import State
from vte_wats.status.api_models import Coverage, DagRunLink, Piece, PieceKind

SHOWN = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A DAG run that has not succeeded, and the real time it is responsible for."""

    dag_run: DagRunLink
    from_at: datetime
    to_at: datetime
    is_running: bool


def picture(state: State, unfinished: Iterable[Unfinished], now_at: datetime) -> Coverage:
    """Return the last fourteen days up to ``now_at``.

    What no coverage holds is a gap where a DAG run failed or where later time is complete, running where one is at
    work, and waiting where none has begun.
    """
    from_at = max(now_at - SHOWN, state.since_at)
    if state.coverage:
        from_at = max(now_at - SHOWN, min(state.since_at, state.coverage[0].from_at))
    runs = sorted(unfinished, key=lambda run: run.from_at)
    pieces: list[Piece] = []
    done_until = max((one.to_at for one in state.coverage), default=from_at)
    at = min(from_at, now_at)
    for stretch in state.coverage:
        if stretch.to_at <= at or stretch.from_at >= now_at:
            continue
        if stretch.from_at > at:
            pieces += _open_pieces(at, stretch.from_at, runs, done_until)
        end = min(stretch.to_at, now_at)
        pieces.append(Piece(kind=PieceKind.COMPLETE, from_at=max(at, stretch.from_at), to_at=end))
        at = end
    if at < now_at:
        pieces += _open_pieces(at, now_at, runs, done_until)
    return Coverage(from_at=min(from_at, now_at), to_at=now_at, pieces=pieces)


def _open_pieces(from_at: datetime, to_at: datetime, runs: Sequence[Unfinished], done_until: datetime) -> list[Piece]:
    """Cut a piece that is not complete at the edges of the DAG runs in it; equal neighbours are one."""
    merged: list[Piece] = []
    for piece in _cut(from_at, to_at, [run for run in runs if run.from_at < to_at and run.to_at > from_at], done_until):
        last = merged[-1] if merged else None
        if last is not None and last.kind is piece.kind:
            first = last.dag_run or piece.dag_run
            both = last.dag_runs + piece.dag_runs
            merged[-1] = last.model_copy(update={"to_at": piece.to_at, "dag_run": first, "dag_runs": both})
        else:
            merged.append(piece)
    return merged


def _cut(from_at: datetime, to_at: datetime, runs: Sequence[Unfinished], done_until: datetime) -> Iterator[Piece]:
    at = from_at
    for run in runs:
        begins_at, ends_at = max(at, run.from_at), min(to_at, run.to_at)
        if ends_at <= at:
            continue
        if begins_at > at:
            yield from _unclaimed(at, begins_at, done_until)
        kind = PieceKind.RUNNING if run.is_running else PieceKind.GAP
        yield Piece(kind=kind, from_at=begins_at, to_at=ends_at, dag_run=run.dag_run, dag_runs=1)
        at = ends_at
    if at < to_at:
        yield from _unclaimed(at, to_at, done_until)


def _unclaimed(from_at: datetime, to_at: datetime, done_until: datetime) -> Iterator[Piece]:
    """Yield what no DAG run answers for: a gap before the end of what is done, and time to come behind it."""
    if from_at < done_until:
        yield Piece(kind=PieceKind.GAP, from_at=from_at, to_at=min(to_at, done_until))
    if to_at > done_until:
        yield Piece(kind=PieceKind.WAITING, from_at=max(from_at, done_until), to_at=to_at)
