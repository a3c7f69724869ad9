"""The keys of the runs that a comparison looks at, staged in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from itertools import count, islice
from typing import Self
from uuid import UUID

from vte_wats.config.settings import Settings
from vte_wats.domain.ports import RunSource
from vte_wats.intervals.dst import local_ranges
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import LocalRange, wall_clock, with_reset_clocks
from vte_wats.state.coverage import State
from vte_wats.state.proof import Proof
from vte_wats.storage.staging import Staging

KEYS = "keys"
_BATCH = 2_000  # runs: some fifty requests
_SAME_SIZE = 100  # batches; then the size doubles, for Airflow maps a task 1,024 times at most: 200 million runs


@dataclass(frozen=True, slots=True)
class Key:
    """A run and its Timestamp, as a line of a batch holds them."""

    guid: UUID
    timestamp_local: datetime

    def __str__(self) -> str:
        return f"{self.guid} {self.timestamp_local.isoformat()}"

    @classmethod
    def parse(cls, line: str) -> Self:
        """Return what a line holds."""
        guid, _, local = line.partition(" ")
        return cls(UUID(guid), datetime.fromisoformat(local))


def ranges_to_compare(
    window: Interval, state: State, proof: Proof, settings: Settings
) -> tuple[tuple[LocalRange, ...], date | None]:
    """Return the wall-clock time that a comparison looks at, and the day on which the next one goes on.

    That is the window from the beginning of its first day on, clocks that were reset, and a part of the history before.
    """
    recent = local_ranges(window, settings.zone)
    first_day = datetime.combine(recent[0].from_local.date(), time())
    ranges = [LocalRange(first_day, max(part.to_local for part in recent))]
    since_at = min((covered.from_at for covered in state.coverage), default=window.from_at)
    since = wall_clock(since_at, settings.zone).date()
    part = proof.rotating_part(since, first_day.date(), settings.verify_cycle_days)
    if part is not None:
        ranges.append(LocalRange(*(datetime.combine(day, time()) for day in part)))
    return with_reset_clocks(ranges), part and part[1]


def compared_days(ranges: Sequence[LocalRange], state: State, settings: Settings) -> tuple[tuple[date, date], ...]:
    """Return which whole days a comparison looks at, without those before all that was synced.

    Each pair is a first day, and the day after the last one.
    """
    since_at = min((covered.from_at for covered in state.coverage), default=state.since_at)
    since = wall_clock(since_at, settings.zone).date()
    days = ((max(part.from_local.date(), since), part.to_local.date()) for part in ranges)
    return tuple((first, end) for first, end in days if first < end)


def stage_keys(
    source: RunSource, staging: Callable[[str], Staging], ranges: Sequence[LocalRange], batch: int = _BATCH
) -> list[str]:
    """Stage the keys of every run in the ranges, oldest first; return the names of the batches."""
    runs = source.run_keys(ranges)
    names: list[str] = []
    for n in count():
        keys = [str(Key(guid, local)) for guid, local in islice(runs, batch * 2 ** (n // _SAME_SIZE))]
        if not keys:
            break
        names.append(f"k{n + 1:04d}")
        staging(names[-1]).write(KEYS, keys)
    return names


def staged_keys(staging: Staging) -> Iterator[Key]:
    """Yield the runs of a batch."""
    return staging.parsed(KEYS, Key.parse)
