"""Backfill: what a person asked for, cut into parts of a size that one DAG run can process, and the file of that plan.

A part is an interval of time, or a range of a sorted list of GUIDs. All parts are planned at the start, so that each
DAG run knows how much is left, and the next one continues where it ended. The plan waits in a file: the DAG runs hand
each other a reference to it, and no text of the plant.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from more_itertools import chunked
from pydantic import BaseModel, ConfigDict
from upath import UPath

from vte_wats.config.settings import Settings
from vte_wats.domain.errors import FatalError
from vte_wats.intervals.interval import Interval, whole_second
from vte_wats.messages import VW521, VW522, VW623
from vte_wats.storage.dead_letters import DeadLetterHeader
from vte_wats.storage.object_storage import create_folder, read_file, write_atomically
from vte_wats.storage.retention import PLANS

ALL = "all"
_MOST_RUNS_A_SLICE = 1_000
_CHECKED_AT_ONCE = 50  # reports that one existence check asks for
_KEYS_AT_ONCE = 60  # natural keys that fit one query, about


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be transferred, exactly one of three: an interval of time, named runs, or dead letters."""

    window: Interval | None
    guids: tuple[str, ...]
    dead_letters: str | None
    batch_size: int

    def __str__(self) -> str:
        if self.window is not None:
            return f"{self.window.from_at.isoformat()} to {self.window.to_at.isoformat()}"
        if self.dead_letters is not None:
            return "all dead letters" if self.dead_letters == ALL else f"dead letters: {self.dead_letters}"
        return f"{len(self.guids)} named runs"


def read_request(form: Mapping[str, Any], now_at: datetime, settings: Settings) -> Request:
    """Return what the form asks for. Raises FatalError with every mistake: field, rule, value given."""
    mistakes: list[str] = []
    edges = {name: _instant(name, form.get(name), mistakes) for name in ("from", "to")}
    guids = [str(text).strip() for text in form.get("guids") or ()]
    mistakes += [f"guids: each is the Index_GUID of a run, given {text!r}" for text in guids if not _is_guid(text)]
    dead_letters = (form.get("dead_letters") or "").strip() or None
    batch_size = form.get("batch_size") or settings.batch_size
    if not isinstance(batch_size, int) or not 1 <= batch_size <= _MOST_RUNS_A_SLICE:
        mistakes.append(f"batch_size: a whole number from 1 to {_MOST_RUNS_A_SLICE:,}, given {batch_size!r}")
    choices = [
        choice
        for choice, given in (
            ("from and to", form.get("from") or form.get("to")),
            ("guids", guids),
            ("dead_letters", dead_letters),
        )
        if given
    ]
    if not choices:
        mistakes.append("nothing is chosen: give from and to, or guids, or dead_letters")
    if len(choices) > 1:
        mistakes.append(f"{', '.join(choices)} are given: choose one of them")
    window = None if mistakes else _window(edges, now_at, settings, mistakes)
    if mistakes:
        raise FatalError(
            VW522,
            f"{len(mistakes)} field(s) of the form are wrong, so nothing was started. Trigger it again\n"
            + "\n".join(f"- {mistake}" for mistake in mistakes),
        )
    return Request(window, tuple(str(UUID(text)) for text in guids), dead_letters, batch_size)


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class GuidRange(_Stored):
    """The GUIDs from ``first`` to ``last``, both included."""

    first: UUID
    last: UUID

    def __contains__(self, guid: UUID) -> bool:
        return self.first <= guid <= self.last


class Part(_Stored):
    """An interval of time or a range of GUIDs, and its runs. A backfill of no runs has one part with neither."""

    runs: int
    interval: Interval | None = None
    guids: GuidRange | None = None

    def guids_among(self, guids: Sequence[UUID]) -> list[UUID]:
        """Return those that belong to this part."""
        return [] if self.guids is None else sorted(guid for guid in guids if guid in self.guids)


def parts_of_time(
    window: Interval, hours: Sequence[tuple[datetime, int]], zone: ZoneInfo, runs_per_part: int
) -> tuple[Part, ...]:
    """Cut a window between the hours of a histogram so that a part holds about ``runs_per_part`` runs.

    ``hours`` counts the runs per hour of wall-clock time, ascending. Windows that meet leave no run between them, so
    the parts together are the window, whatever its hours hold; an hour is never cut, and time without runs adds none.
    """
    edges, runs = [window.from_at], [0]
    for hour, count in hours:
        at = hour.replace(tzinfo=zone).astimezone(UTC)
        if runs[-1] and runs[-1] + count > runs_per_part and edges[-1] < at < window.to_at:
            edges.append(at)
            runs.append(0)
        runs[-1] += count
    ends = [*edges[1:], window.to_at]
    return tuple(
        Part(runs=count, interval=Interval(start, end)) for start, end, count in zip(edges, ends, runs, strict=True)
    )


def parts_of_guids(guids: Sequence[UUID], runs_per_part: int) -> tuple[Part, ...]:
    """Cut named runs into parts by the order of their GUIDs; one empty part when there are none."""
    groups = chunked(sorted(set(guids)), runs_per_part)
    parts = (Part(runs=len(group), guids=GuidRange(first=group[0], last=group[-1])) for group in groups)
    return tuple(parts) or (Part(runs=0),)


def named_runs(request: Request, dead_letters: Callable[[], Sequence[DeadLetterHeader]]) -> list[UUID]:
    """Return the runs that are named, or those whose dead letters have the signature that is asked for.

    VTE is read again, so data that was corrected there goes through; success removes the dead letter. Raises FatalError
    for a signature that no dead letter has.
    """
    if request.dead_letters is None:
        return [UUID(text) for text in request.guids]
    headers = dead_letters()
    found = [header.index_guid for header in headers if request.dead_letters in (ALL, header.signature)]
    if not found and request.dead_letters != ALL:
        known = Counter(header.signature for header in headers)
        listed = "; ".join(f"{name} ({runs} runs)" for name, runs in known.most_common()) or "there are none"
        raise FatalError(
            VW521, f"dead_letters: no dead letter has the signature {request.dead_letters!r}. Signatures: {listed}"
        )
    return found


def estimated_s(runs: int, batch_size: int, requests_per_minute: int) -> int:
    """Return how many seconds WATS's budget makes so many runs take, when none of them is there yet."""
    slices = math.ceil(runs / batch_size)
    requests = runs + math.ceil(runs / _CHECKED_AT_ONCE) + math.ceil(runs / _KEYS_AT_ONCE) + slices
    return math.ceil(requests * 60 / requests_per_minute)


def _instant(name: str, text: str | None, mistakes: list[str]) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        mistakes.append(f"{name}: date and time in ISO 8601 with zone, such as 2026-03-02T06:00:00Z, given {text!r}")
        return None
    if at.tzinfo is None:
        mistakes.append(f"{name}: needs a time zone, such as Z or +01:00 at its end, given {text!r}")
        return None
    return whole_second(at)


def _window(
    edges: Mapping[str, datetime | None], now_at: datetime, settings: Settings, mistakes: list[str]
) -> Interval | None:
    from_at, to_at = edges["from"], edges["to"]
    if from_at is None and to_at is None:
        return None
    if from_at is None or to_at is None:
        mistakes.append(f"{'from' if from_at is None else 'to'}: required together with the other edge of the interval")
        return None
    if from_at >= to_at:
        mistakes.append(f"from: must lie before to, given {from_at.isoformat()} and {to_at.isoformat()}")
        return None
    second_at = whole_second(now_at)
    settled_at = second_at - timedelta(seconds=settings.settle_delay_s)
    if to_at > second_at:
        mistakes.append(f"to: must not lie in the future, given {to_at.isoformat()}, now {second_at.isoformat()}")
        return None
    if from_at >= settled_at:
        mistakes.append(
            f"from: must lie before {settled_at.isoformat()}, because the runs of the last settle_delay_s = "
            f"{settings.settle_delay_s} s are not complete yet; given {from_at.isoformat()}"
        )
        return None
    return Interval(from_at, min(to_at, settled_at))


def _is_guid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


_REFERENCE = re.compile(r"[0-9a-f]{32}")
_LARGEST_BYTES = 256_000_000  # six million named runs


class BackfillPlan(_Stored):
    """All parts of a backfill, and what is the same for each of them.

    ``dag_run_id`` is the DAG run that planned them; ``runs`` are the named runs, ``None`` for an interval of time.
    """

    dag_run_id: str
    asked: str
    batch_size: int
    parts: tuple[Part, ...]
    runs: tuple[UUID, ...] | None = None


class PartReference(BaseModel):
    """Which part of which plan a DAG run processes, from 1. It is all that one DAG run hands the next."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    plan: str
    part: int

    @classmethod
    def first(cls, dag_id: str, dag_run_id: str, run_after: datetime) -> PartReference:
        """Return the reference to the first part of the backfill that a DAG run plans."""
        name = f"{dag_id} {dag_run_id} {run_after.isoformat()}"
        return cls(plan=hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:32], part=1)

    def following(self) -> PartReference:
        """Return the reference to the next part."""
        return self.model_copy(update={"part": self.part + 1})


class BackfillPlans:
    """The folder of plans, local or in a bucket."""

    def __init__(self, storage: UPath) -> None:
        self._folder = storage / PLANS

    def save(self, reference: PartReference, plan: BackfillPlan) -> None:
        """Write a plan; its first DAG run does so once."""
        create_folder(self._folder)
        write_atomically(self._path(reference), plan.model_dump_json().encode())

    def load(self, reference: PartReference) -> BackfillPlan | None:
        """Return a plan that was saved, ``None`` when there is none. Raises FatalError for a damaged one."""
        path = self._path(reference)
        try:
            return BackfillPlan.model_validate_json(read_file(path, _LARGEST_BYTES))
        except FileNotFoundError:
            return None
        except ValueError as exc:
            problem = str(exc).partition("\n")[0]
            raise FatalError(VW623, f"the plan of the backfill in {path} is damaged: {problem}. {_AGAIN}") from exc

    def load_part(self, reference: PartReference) -> tuple[BackfillPlan, Part]:
        """Return a plan and the part that is referred to. Raises FatalError when there is no such plan or part."""
        plan = self.load(reference)
        if plan is None:
            path = self._path(reference)
            raise FatalError(VW623, f"the plan of the backfill is not in {path}: it was removed. {_AGAIN}")
        if not 1 <= reference.part <= len(plan.parts):
            parts = f"this backfill has parts 1 to {len(plan.parts)}, given {reference.part}"
            raise FatalError(VW623, f"continued.part: {parts}. {_AGAIN}")
        return plan, plan.parts[reference.part - 1]

    def _path(self, reference: PartReference) -> UPath:
        if not _REFERENCE.fullmatch(reference.plan):
            raise FatalError(VW623, f"continued.plan: 32 hexadecimal digits, given {reference.plan[:40]!r}. {_AGAIN}")
        return self._folder / f"{reference.plan}.json"


_AGAIN = "Trigger the backfill again with its form; runs that are in WATS are skipped"
