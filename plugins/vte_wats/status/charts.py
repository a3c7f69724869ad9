"""What is stored as charts: the coverage of the last days, and the history in as many points as a screen can show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vte_wats.state.coverage import State
from vte_wats.state.history import History, Tally, quantile_ms
from vte_wats.status.api_models import CoverageChart, DagRunLink, HistoryChart, Point, Segment, SegmentKind, Span

SHOWN = timedelta(days=14)
_WIDTH = {Span.DAY: timedelta(hours=1), Span.FORTNIGHT: timedelta(hours=6), Span.YEAR: timedelta(days=7)}
_POINTS = {Span.DAY: 24, Span.FORTNIGHT: 56, Span.YEAR: 52}


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A DAG run that has not succeeded, and the real time it is responsible for."""

    dag_run: DagRunLink
    from_at: datetime
    to_at: datetime
    is_running: bool


def coverage_chart(state: State, unfinished: Iterable[Unfinished], now_at: datetime) -> CoverageChart:
    """Return the last fourteen days up to ``now_at``.

    What is not covered is a gap where a DAG run failed or where later time is complete, running where a DAG run is
    working on it, and waiting where none has started.
    """
    from_at = max(now_at - SHOWN, state.since_at)
    if state.coverage:
        from_at = max(now_at - SHOWN, min(state.since_at, state.coverage[0].from_at))
    runs = sorted(unfinished, key=lambda run: run.from_at)
    segments: list[Segment] = []
    covered_until = max((covered.to_at for covered in state.coverage), default=from_at)
    at = min(from_at, now_at)
    for covered in state.coverage:
        if covered.to_at <= at or covered.from_at >= now_at:
            continue
        if covered.from_at > at:
            segments += _open_segments(at, covered.from_at, runs, covered_until)
        end = min(covered.to_at, now_at)
        segments.append(Segment(kind=SegmentKind.COMPLETE, from_at=max(at, covered.from_at), to_at=end))
        at = end
    if at < now_at:
        segments += _open_segments(at, now_at, runs, covered_until)
    return CoverageChart(from_at=min(from_at, now_at), to_at=now_at, segments=segments)


def _open_segments(
    from_at: datetime, to_at: datetime, runs: Sequence[Unfinished], covered_until: datetime
) -> list[Segment]:
    """Split time that is not complete at the edges of the DAG runs in it; equal neighbours become one segment."""
    merged: list[Segment] = []
    inside = [run for run in runs if run.from_at < to_at and run.to_at > from_at]
    for segment in _split(from_at, to_at, inside, covered_until):
        last = merged[-1] if merged else None
        if last is not None and last.kind is segment.kind:
            first = last.dag_run or segment.dag_run
            both = last.dag_runs + segment.dag_runs
            merged[-1] = last.model_copy(update={"to_at": segment.to_at, "dag_run": first, "dag_runs": both})
        else:
            merged.append(segment)
    return merged


def _split(
    from_at: datetime, to_at: datetime, runs: Sequence[Unfinished], covered_until: datetime
) -> Iterator[Segment]:
    at = from_at
    for run in runs:
        starts_at, ends_at = max(at, run.from_at), min(to_at, run.to_at)
        if ends_at <= at:
            continue
        if starts_at > at:
            yield from _without_dag_run(at, starts_at, covered_until)
        kind = SegmentKind.RUNNING if run.is_running else SegmentKind.GAP
        yield Segment(kind=kind, from_at=starts_at, to_at=ends_at, dag_run=run.dag_run, dag_runs=1)
        at = ends_at
    if at < to_at:
        yield from _without_dag_run(at, to_at, covered_until)


def _without_dag_run(from_at: datetime, to_at: datetime, covered_until: datetime) -> Iterator[Segment]:
    """Yield what no DAG run is responsible for: a gap before the end of the coverage, waiting time after it."""
    if from_at < covered_until:
        yield Segment(kind=SegmentKind.GAP, from_at=from_at, to_at=min(to_at, covered_until))
    if to_at > covered_until:
        yield Segment(kind=SegmentKind.WAITING, from_at=max(from_at, covered_until), to_at=to_at)


def history_chart(history: History, span: Span, now_at: datetime) -> HistoryChart:
    """Return the points of a span that ends with the present one: hours, quarters of days, or weeks, of UTC."""
    if span is Span.YEAR:
        tallies = {datetime.combine(day, datetime.min.time(), UTC): tally for day, tally in history.days.items()}
    else:
        tallies = dict(history.hours)
    width = _WIDTH[span]
    return HistoryChart(span=span, points=[_point(at, at + width, tallies) for at in _starts(span, now_at)])


def _starts(span: Span, now_at: datetime) -> Iterator[datetime]:
    day_at = now_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    width = _WIDTH[span]
    last_at = day_at + (now_at - day_at) // width * width
    if span is Span.YEAR:
        last_at -= timedelta(days=6)  # so that the last week ends with today
    return (last_at - width * n for n in reversed(range(_POINTS[span])))


def _point(from_at: datetime, to_at: datetime, tallies: Mapping[datetime, Tally]) -> Point:
    tally = sum((tally for at, tally in tallies.items() if from_at <= at < to_at), Tally())
    return Point(
        from_at=from_at,
        to_at=to_at,
        read=tally.read,
        outcomes=tally.outcomes,
        requests=tally.requests,
        p50_ms=quantile_ms(tally.latency_ms, 0.5),
        p95_ms=quantile_ms(tally.latency_ms, 0.95),
    )
