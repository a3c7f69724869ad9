"""The clocks on the station walls: naive local time, in steps of 1/300 s as SQL Server's ``datetime`` holds."""

import math
import struct
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo


def wall_clock(at: datetime, zone: ZoneInfo) -> datetime:
    """Return what a station in ``zone`` writes at the aware time ``at``: naive, rounded down to .000, .003 or .007."""
    return to_tick(at.astimezone(zone).replace(tzinfo=None))


def to_tick(local: datetime) -> datetime:
    """Round down to 1/300 s, written with the milliseconds that SQL Server shows: they end in 0, 3 or 7."""
    tens, ms = divmod(local.microsecond // 1000, 10)
    shown = 7 if ms >= 7 else 3 if ms >= 3 else 0
    return local.replace(microsecond=(tens * 10 + shown) * 1000, fold=0)


def to_real(value: float) -> float:
    """Round to single precision, as a ``real`` column does, so that what is read back is what was written."""
    return float(struct.unpack("f", struct.pack("f", value))[0])


def clock_changes(zone: ZoneInfo, start: datetime, end: datetime) -> Iterator[tuple[datetime, timedelta]]:
    """Yield every clock change in [start, end): its instant (UTC, to the second) and how far the clock jumps."""
    day = start.astimezone(UTC)
    while day < end:
        following = min(day + timedelta(days=1), end.astimezone(UTC))
        if _offset(zone, day) != _offset(zone, following):
            yield _change(zone, day, following), _offset(zone, following) - _offset(zone, day)
        day = following


def _change(zone: ZoneInfo, before: datetime, after: datetime) -> datetime:
    """Return the first whole second between two times that has the offset of the later one."""
    seconds = range(math.floor(before.timestamp()), math.ceil(after.timestamp()))
    found = bisect_left(
        seconds, 1, key=lambda second: int(_offset(zone, datetime.fromtimestamp(second, UTC)) != _offset(zone, before))
    )
    return datetime.fromtimestamp(seconds.start + found, UTC)


def _offset(zone: ZoneInfo, at: datetime) -> timedelta:
    return at.astimezone(zone).utcoffset() or timedelta()
