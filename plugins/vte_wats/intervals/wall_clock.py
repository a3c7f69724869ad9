"""Wall-clock time of the stations, clock changes included: naive, in half-open ranges of whole seconds.

The source is asked in wall-clock time, so an interval of real time becomes one or more ranges, such that intervals that
meet leave no wall-clock value between them: both folds (PEP 495) of the hour that autumn repeats, and the hour that
spring skips, which a station that does not adjust its clock still writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

from vte_wats.intervals.interval import Interval, whole_second

FIRST = datetime.min  # noqa: DTZ901 -- wall-clock time is naive by nature
"""A range from here on has no beginning: a ``datetime`` starts in 1753, a ``datetime2`` in the year 1."""

LAST = datetime.max  # noqa: DTZ901 -- as above
"""A range up to here has no end: it holds the last moment of the year 9999, too."""

OLDEST_CLOCK = datetime(2002, 1, 1)  # noqa: DTZ001 -- no database of VTE 9 is older; clocks reset to 1970, 1980, 2000
"""An earlier Timestamp is that of a clock that was reset."""

AHEAD = timedelta(days=1)
"""A clock that is further ahead of now is wrong; what is less, the sync transfers when its time has come."""


@dataclass(frozen=True, slots=True, order=True)
class LocalRange:
    """Source wall-clock time ``[from_local, to_local)``: naive, whole seconds, half-open."""

    from_local: datetime
    to_local: datetime

    def __contains__(self, local: datetime) -> bool:
        return self.from_local <= local < self.to_local


def is_within(local: datetime, ranges: Iterable[LocalRange]) -> bool:
    """Return whether a wall-clock time lies in one of the ranges."""
    return any(local in local_range for local_range in ranges)


def merge_ranges(ranges: Iterable[LocalRange]) -> tuple[LocalRange, ...]:
    """Return the same wall-clock time as ascending, disjoint ranges."""
    merged: list[LocalRange] = []
    for local_range in sorted(ranges):
        if local_range.from_local == local_range.to_local:
            continue
        if merged and local_range.from_local <= merged[-1].to_local:
            merged[-1] = LocalRange(merged[-1].from_local, max(merged[-1].to_local, local_range.to_local))
        else:
            merged.append(local_range)
    return tuple(merged)


def common_ranges(ranges: Iterable[LocalRange], others: Iterable[LocalRange]) -> tuple[LocalRange, ...]:
    """Return the wall-clock time that lies in a range of both, as ascending, disjoint ranges."""
    others = tuple(others)
    both = (
        (max(local_range.from_local, other.from_local), min(local_range.to_local, other.to_local))
        for local_range in ranges
        for other in others
    )
    return merge_ranges(LocalRange(from_local, to_local) for from_local, to_local in both if from_local < to_local)


def everything_until(to_at: datetime, zone: ZoneInfo) -> tuple[LocalRange, ...]:
    """Return all wall-clock time that a column can hold before ``to_at``: clocks reset to 1970 included."""
    return (LocalRange(FIRST, wall_clock(whole_second(to_at), zone)),)


def wall_clock(at: datetime, zone: ZoneInfo) -> datetime:
    """Return what a clock in ``zone`` shows at an instant."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


# Zones have skipped a whole calendar day (Kwajalein 1993, Apia 2011); no clock change in the tz database is longer.
_LONGEST_CHANGE = timedelta(hours=25)
_PROBE = timedelta(hours=1)
# How far around a repeated hour other runs of a station may show which fold a run is in; longer tests do not.
_NEIGHBOURHOOD = timedelta(hours=6)

Fold = Literal[0, 1]
"""Which of the two instants an ambiguous wall-clock time stands for: 0 the first, 1 the second (PEP 495)."""


class _ClockChange(NamedTuple):
    """The instant of a change, and the UTC offsets before it and from then on."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def shown_twice(self) -> LocalRange | None:
        """The wall-clock time that a change to an earlier time repeats."""
        if self.before <= self.after:
            return None
        return LocalRange((self.at + self.after).replace(tzinfo=None), (self.at + self.before).replace(tzinfo=None))


def local_ranges(interval: Interval, zone: ZoneInfo) -> tuple[LocalRange, ...]:
    """Return every wall-clock value a station in ``zone`` can write in the interval: ascending, disjoint ranges.

    The edges of the interval are whole seconds.
    """
    if interval.from_at.microsecond or interval.to_at.microsecond:
        raise ValueError(f"a wall clock is asked for whole seconds, given {interval}")
    changes = [change.at for change in _clock_changes(interval, zone)]
    shown = [
        LocalRange(wall_clock(from_at, zone), wall_clock(from_at, zone) + (to_at - from_at))
        for from_at, to_at in pairwise([interval.from_at, *changes, interval.to_at])
    ]
    return merge_ranges(shown + list(_skipped_values(interval, zone)))


def utc_offsets(local: datetime, zone: ZoneInfo) -> tuple[timedelta, timedelta]:
    """Return the UTC offsets of a wall-clock time in fold 0 and in fold 1.

    They are equal except around a clock change: the first is greater for a time that the change shows twice, and less
    for one that it skips. Raises OverflowError at the ends of the calendar.
    """
    zoned = local.replace(tzinfo=zone, fold=0)
    return zoned.utcoffset() or timedelta(), zoned.replace(fold=1).utcoffset() or timedelta()


def repeated_hour(local: datetime, zone: ZoneInfo) -> LocalRange | None:
    """Return the wall-clock time, mostly an hour, that a change shows twice and in which ``local`` lies."""
    try:
        first, second = utc_offsets(local, zone)
    except OverflowError:
        return None
    if first <= second:
        return None
    whole = local.replace(microsecond=0, tzinfo=UTC)
    changes = _clock_changes(Interval(whole - first, whole - second), zone)
    return next((change.shown_twice for change in changes if change.shown_twice is not None), None)


def neighbourhood(hour: LocalRange) -> LocalRange:
    """Return the wall-clock time around a repeated hour whose runs may show the folds of that hour."""
    return LocalRange(hour.from_local - _NEIGHBOURHOOD, hour.to_local + _NEIGHBOURHOOD)


def hours_to_disambiguate(interval: Interval, zone: ZoneInfo) -> tuple[LocalRange, ...]:
    """Return the repeated hours whose neighbourhood ends in the interval: what shows their folds is there now."""
    searched = Interval(interval.from_at - _LONGEST_CHANGE - _NEIGHBOURHOOD, interval.to_at)
    return tuple(
        change.shown_twice
        for change in _clock_changes(searched, zone)
        if change.shown_twice is not None and change.at + (change.before - change.after) + _NEIGHBOURHOOD in interval
    )


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None  # noqa: S101 -- an aware datetime has one
    return offset


def _clock_changes(interval: Interval, zone: ZoneInfo) -> Iterator[_ClockChange]:
    """Yield the clock changes in ``(from_at, to_at]``."""
    at = interval.from_at
    while at < interval.to_at:
        later = min(at + _PROBE, interval.to_at)
        before, after = _offset(at, zone), _offset(later, zone)
        if before != after:
            low, high = at, later
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
            yield _ClockChange(high, before, after)
        at = later


def _skipped_values(interval: Interval, zone: ZoneInfo) -> Iterator[LocalRange]:
    """Yield the wall-clock values a clock change skips, at the real time a clock that was not changed shows them."""
    for change in _clock_changes(Interval(interval.from_at - _LONGEST_CHANGE, interval.to_at), zone):
        if change.after <= change.before:
            continue
        skipped = interval.intersection(Interval(change.at, change.at + (change.after - change.before)))
        if skipped is not None:
            shown = skipped.shifted(change.before)
            yield LocalRange(shown.from_at.replace(tzinfo=None), shown.to_at.replace(tzinfo=None))
