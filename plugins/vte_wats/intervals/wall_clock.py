"""Wall-clock time of the stations: naive, as IndexData.Timestamp holds it, in half-open ranges of whole seconds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from vte_wats.intervals.interval import whole_second

_FIRST_DATETIME = datetime(1753, 1, 1)  # noqa: DTZ001 -- wall-clock time is naive by nature
_OLDEST_CLOCK = datetime(2002, 1, 1)  # noqa: DTZ001 -- no database of VTE 9 is older; clocks reset to 1970, 1980, 2000


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


def with_reset_clocks(ranges: Sequence[LocalRange]) -> tuple[LocalRange, ...]:
    """Return the ranges and what a station writes whose clock was reset to its first day, such as 1970 or 2000."""
    return merge_ranges((*ranges, LocalRange(_FIRST_DATETIME, _OLDEST_CLOCK)))


def everything_until(to_at: datetime, zone: ZoneInfo) -> tuple[LocalRange, ...]:
    """Return all wall-clock time a ``datetime`` column can hold before ``to_at``: clocks reset to 1970 included."""
    return (LocalRange(_FIRST_DATETIME, wall_clock(whole_second(to_at), zone)),)


def wall_clock(at: datetime, zone: ZoneInfo) -> datetime:
    """Return what a clock in ``zone`` shows at an instant."""
    return at.astimezone(zone).replace(tzinfo=None, fold=0)
