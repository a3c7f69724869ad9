"""The keys of the runs that a comparison looks at, staged in batches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from itertools import count, islice
from typing import Self
from uuid import UUID
from zoneinfo import ZoneInfo

from more_itertools import flatten

from vte_wats.config.settings import Settings
from vte_wats.domain.ports import RunSource
from vte_wats.intervals.interval import Interval, whole_second
from vte_wats.intervals.wall_clock import (
    FIRST,
    LAST,
    OLDEST_CLOCK,
    LocalRange,
    common_ranges,
    is_within,
    local_ranges,
    merge_ranges,
    wall_clock,
)
from vte_wats.state.coverage import State
from vte_wats.state.proof import OddKind, Proof
from vte_wats.storage.staging import Staging

KEYS = "keys"
_NONE = "-"
_BATCH = 2_000  # runs: some fifty requests
_SAME_SIZE = 100  # batches; then the size doubles, for Airflow maps a task 1,024 times at most: 200 million runs


@dataclass(frozen=True, slots=True)
class Key:
    """A run and its Timestamp, as a line of a batch holds them; ``odd`` when no window holds it."""

    guid: UUID
    timestamp_local: datetime | None
    odd: OddKind | None = None

    def __str__(self) -> str:
        local = self.timestamp_local.isoformat() if self.timestamp_local else _NONE
        return f"{self.guid} {local} {self.odd or _NONE}"

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """Return what a line holds."""
        guid, local, odd = line.decode().split(" ")
        return cls(
            UUID(guid),
            None if local == _NONE else datetime.fromisoformat(local),
            None if odd == _NONE else OddKind(odd),
        )


@dataclass(frozen=True, slots=True)
class OutsideWindows:
    """The time that no sync reads: before 2002, from ``ahead_local`` on, and what has new runs and was never synced."""

    ahead_local: datetime
    grown: Sequence[LocalRange] = ()

    @property
    def ranges(self) -> tuple[LocalRange, ...]:
        """The wall-clock time of it."""
        return merge_ranges((LocalRange(FIRST, OLDEST_CLOCK), *self.grown, LocalRange(self.ahead_local, LAST)))

    def kind_of(self, local: datetime | None) -> OddKind | None:
        """Return why no window holds a run with this Timestamp, ``None`` when one does."""
        if local is None:
            return OddKind.NO_TIMESTAMP
        if local < OLDEST_CLOCK:
            return OddKind.RESET_CLOCK
        if local >= self.ahead_local:
            return OddKind.FUTURE
        return OddKind.BEFORE_START if is_within(local, self.grown) else None


def ranges_to_compare(
    window: Interval, state: State, proof: Proof, settings: Settings
) -> tuple[tuple[LocalRange, ...], date | None]:
    """Return the wall-clock time that a comparison looks at, and the day on which the next one goes on.

    That is the window from the beginning of its first day on, a part of the history before, and days of it that are
    open: what was transferred there is proven by the next comparison, not after a whole cycle. Of these it is the time
    that was synced or is to be: what lies before the start is for a backfill.
    """
    recent = local_ranges(window, settings.zone)
    first_day = datetime.combine(recent[0].from_local.date(), time())
    ranges = [LocalRange(first_day, max(part.to_local for part in recent))]
    since = first_day_synced(state, window.from_at, settings)
    part = proof.rotating_part(since, first_day.date(), settings.verify_cycle_days)
    if part is not None:
        ranges.append(_whole(*part))
    ranges += [_whole(day, day + timedelta(days=1)) for day in proof.open_days(since, first_day.date())]
    next_day = part and (part[1] if part[1] < first_day.date() else since)
    return common_ranges(merge_ranges(ranges), _to_be_synced(state, window.to_at, settings.zone)), next_day


def _to_be_synced(state: State, until_at: datetime, zone: ZoneInfo) -> tuple[LocalRange, ...]:
    """Return the wall-clock time that was synced or backfilled, and that from the start on."""
    since_at = whole_second(state.since_at)
    live = [Interval(since_at, until_at)] if since_at < until_at else []
    return merge_ranges(_wall_clocks((*state.coverage, *live), zone))


def _wall_clocks(intervals: Iterable[Interval], zone: ZoneInfo) -> Iterator[LocalRange]:
    return flatten(local_ranges(interval, zone) for interval in intervals)


def _whole(first: date, end: date) -> LocalRange:
    """Return the wall-clock time of the days from the first one up to the end."""
    return LocalRange(datetime.combine(first, time()), datetime.combine(end, time()))


def first_day_synced(state: State, default_at: datetime, settings: Settings) -> date:
    """Return the first day of all that was synced, or that of ``default_at`` when nothing was."""
    since_at = min((covered.from_at for covered in state.coverage), default=default_at)
    return wall_clock(since_at, settings.zone).date()


def history_ranges(state: State, zone: ZoneInfo) -> tuple[LocalRange, ...]:
    """Return the wall-clock time from 2002 up to the start that no sync and no backfill has covered."""
    live = LocalRange(wall_clock(whole_second(state.since_at), zone), LAST)
    synced = merge_ranges((*_wall_clocks(state.coverage, zone), live))
    ends = (FIRST, *(interval.to_local for interval in synced))
    between = (LocalRange(from_local, interval.from_local) for from_local, interval in zip(ends, synced, strict=False))
    return common_ranges(between, (LocalRange(OLDEST_CLOCK, LAST),))


def count_history(source: RunSource, ranges: Sequence[LocalRange]) -> dict[date, int]:
    """Return how many runs each day has in the ranges; days without runs are absent."""
    counts: Counter[date] = Counter()
    for hour_local, runs in source.run_hours(ranges) if ranges else ():
        counts[hour_local.date()] += runs
    return dict(counts)


def within_days(ranges: Iterable[LocalRange], days: Iterable[date]) -> tuple[LocalRange, ...]:
    """Return what of the ranges lies in the days."""
    return common_ranges(ranges, (_whole(day, day + timedelta(days=1)) for day in days))


def compared_days(ranges: Sequence[LocalRange], state: State, settings: Settings) -> tuple[tuple[date, date], ...]:
    """Return which whole days a comparison looks at, without those before all that was synced.

    Each pair is a first day, and the day after the last one.
    """
    since = first_day_synced(state, state.since_at, settings)
    days = ((max(part.from_local.date(), since), part.to_local.date()) for part in ranges)
    return tuple((first, end) for first, end in days if first < end)


def stage_keys(
    source: RunSource,
    staging: Callable[[str], Staging],
    ranges: Sequence[LocalRange],
    outside: OutsideWindows,
    batch: int = _BATCH,
) -> list[str]:
    """Stage the keys of every run in the ranges and outside of all windows; return the names of the batches."""
    runs = source.run_keys(merge_ranges((*ranges, *outside.ranges)))
    names: list[str] = []
    for n in count():
        keys = [
            str(Key(guid, local, outside.kind_of(local)))
            for guid, local in islice(runs, batch * 2 ** (n // _SAME_SIZE))
        ]
        if not keys:
            break
        names.append(f"k{n + 1:04d}")
        staging(names[-1]).write(KEYS, keys)
    return names


def staged_keys(staging: Staging) -> Iterator[Key]:
    """Yield the runs of a batch."""
    return staging.parsed(KEYS, Key.parse)
