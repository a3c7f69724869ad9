"""Wall-clock time of the stations: naive, as IndexData.Timestamp holds it, in half-open ranges of whole seconds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from vte_wats.intervals.interval import whole_second

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
