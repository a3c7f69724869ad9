"""From real time to the wall clock of the stations, and from there to slices.

A window is the stretch of real time a sync is responsible for. The source is asked in wall-clock time, so a window
becomes one or more half-open ranges of naive local time with whole-second edges, such that windows that meet leave no
wall-clock value between them: both passes of the hour that autumn repeats, and the hour that spring skips, which a
station that does not adjust its clock still writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from vte_wats.domain.ports import TimeRange

# Zones have skipped a whole calendar day (Kwajalein 1993, Apia 2011); no clock change in the tz database is longer.
_LONGEST_CHANGE = timedelta(hours=25)
_DATETIME_BEGINS = datetime(1753, 1, 1)  # noqa: DTZ001 -- wall-clock time is naive by nature
_OLDEST_CLOCK = datetime(2002, 1, 1)  # noqa: DTZ001 -- no database of VTE 9 is older; clocks reset to 1970, 1980, 2000
_PROBE = timedelta(hours=1)
# How far around a repeated hour other runs of a station may tell its two passes apart; longer tests do not.
_NEIGHBOURHOOD = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class Window:
    """The real time ``[from_at, to_at)`` (aware UTC, whole seconds) whose runs one sync has to carry."""

    from_at: datetime
    to_at: datetime

    def __post_init__(self) -> None:
        for edge in (self.from_at, self.to_at):
            if edge.tzinfo is not UTC or edge.microsecond:
                raise ValueError(f"window edges are aware UTC whole seconds, given {edge!r}")
        if self.from_at > self.to_at:
            raise ValueError(f"a window ends after it begins, given {self.from_at} to {self.to_at}")


def window_of(from_at: datetime, to_at: datetime, guard_band_s: int, settle_delay_s: int) -> Window:
    """Return the window of the data interval ``[from_at, to_at)``.

    It begins ``guard_band_s`` earlier, for rows that appeared late, and lies ``settle_delay_s`` in the past, so that
    the steps of its runs have been written. Fractions of a second are cut from both edges alike.
    """
    settled = timedelta(seconds=settle_delay_s)
    return Window(
        _whole_second(from_at) - timedelta(seconds=guard_band_s) - settled,
        _whole_second(to_at) - settled,
    )


def local_ranges(window: Window, zone: ZoneInfo) -> tuple[TimeRange, ...]:
    """Return every wall-clock value a station in ``zone`` can write in the window: ascending, disjoint ranges."""
    pieces = [
        TimeRange(_wall_clock(piece.from_at, zone), _wall_clock(piece.from_at, zone) + (piece.to_at - piece.from_at))
        for piece in _constant_offset_pieces(window, zone)
    ]
    return merged(pieces + list(_skipped_values(window, zone)))


def offsets(local: datetime, zone: ZoneInfo) -> tuple[timedelta, timedelta]:
    """Return the UTC offsets a wall-clock time may have.

    They are equal but around a clock change: the first is greater for a time that the change shows twice, and less for
    one that it skips. Raises OverflowError at the ends of the calendar.
    """
    zoned = local.replace(tzinfo=zone, fold=0)
    return zoned.utcoffset() or timedelta(), zoned.replace(fold=1).utcoffset() or timedelta()


def repeated_hour(local: datetime, zone: ZoneInfo) -> TimeRange | None:
    """Return the stretch of wall-clock time, mostly an hour, that a change shows twice and in which ``local`` lies."""
    try:
        first, second = offsets(local, zone)
    except OverflowError:
        return None
    if first <= second:
        return None
    whole = local.replace(microsecond=0, tzinfo=UTC)
    for at, before, after in _clock_changes(Window(whole - first, whole - second), zone):
        if before > after:
            return _shown_twice(at, before, after)
    return None


def neighbourhood(hour: TimeRange) -> TimeRange:
    """Return the wall-clock time around a repeated hour whose runs may tell the passes of that hour apart."""
    return TimeRange(hour.from_local - _NEIGHBOURHOOD, hour.to_local + _NEIGHBOURHOOD)


def hours_to_judge(window: Window, zone: ZoneInfo) -> tuple[TimeRange, ...]:
    """Return the repeated hours whose neighbourhood ends in the window: what tells their passes apart is there now."""
    changes = _clock_changes(Window(window.from_at - _LONGEST_CHANGE - _NEIGHBOURHOOD, window.to_at), zone)
    return tuple(
        _shown_twice(at, before, after)
        for at, before, after in changes
        if before > after and window.from_at <= at + (before - after) + _NEIGHBOURHOOD < window.to_at
    )


def merged(ranges: Sequence[TimeRange]) -> tuple[TimeRange, ...]:
    """Return the same wall-clock time as ascending, disjoint ranges."""
    joined: list[TimeRange] = []
    for piece in sorted(ranges, key=lambda r: r.from_local):
        if piece.from_local == piece.to_local:
            continue
        if joined and piece.from_local <= joined[-1].to_local:
            joined[-1] = TimeRange(joined[-1].from_local, max(joined[-1].to_local, piece.to_local))
        else:
            joined.append(piece)
    return tuple(joined)


def with_reset_clocks(ranges: Sequence[TimeRange]) -> tuple[TimeRange, ...]:
    """Return the ranges and what a station writes whose clock fell back to where it began, such as 1970 or 2000."""
    return merged((*ranges, TimeRange(_DATETIME_BEGINS, _OLDEST_CLOCK)))


def everything_until(to_at: datetime, zone: ZoneInfo) -> tuple[TimeRange, ...]:
    """Return all wall-clock time a ``datetime`` column can hold before ``to_at``: clocks reset to 1970 included."""
    return (TimeRange(_DATETIME_BEGINS, _wall_clock(_whole_second(to_at), zone)),)


def slices_of(
    ranges: Sequence[TimeRange], seconds: Sequence[tuple[datetime, int]], batch_size: int, slice_limit: int = 1000
) -> list[tuple[tuple[TimeRange, ...], int]]:
    """Cut ranges into slices of about ``batch_size`` runs; return ``(ranges, runs)`` per slice, in order.

    ``seconds`` counts the runs per second, ascending. No second is ever split, together the slices are exactly the
    ranges, and there are at most ``slice_limit`` of them: beyond that they grow. No runs, no slices.
    """
    total = sum(runs for _, runs in seconds)
    if not total:
        return []
    wanted = max(batch_size, -(-total // slice_limit))
    cuts: list[datetime] = []
    counts: list[int] = [0]
    for second, runs in seconds:
        if counts[-1] >= wanted:  # a slice that closed short of it could make more slices than allowed
            cuts.append(second)
            counts.append(0)
        counts[-1] += runs
    return list(zip(_cut(ranges, cuts), counts, strict=True))


def _cut(ranges: Sequence[TimeRange], cuts: Sequence[datetime]) -> list[tuple[TimeRange, ...]]:
    edges = [datetime.min, *cuts, datetime.max]  # noqa: DTZ901 -- wall-clock time is naive by nature
    return [
        tuple(
            TimeRange(max(r.from_local, low), min(r.to_local, high))
            for r in ranges
            if r.from_local < high and r.to_local > low
        )
        for low, high in pairwise(edges)
    ]


def _whole_second(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError(f"data interval edges are aware, given {at!r}")
    # Built anew: Airflow hands out pendulum's datetimes, whose UTC is another object than the standard library's.
    return datetime(*at.astimezone(UTC).timetuple()[:6], tzinfo=UTC)


def _wall_clock(at: datetime, zone: ZoneInfo) -> datetime:
    return at.astimezone(zone).replace(tzinfo=None, fold=0)


def _offset(at: datetime, zone: ZoneInfo) -> timedelta:
    offset = at.astimezone(zone).utcoffset()
    assert offset is not None  # noqa: S101 -- an aware datetime has one
    return offset


def _clock_changes(window: Window, zone: ZoneInfo) -> Iterator[tuple[datetime, timedelta, timedelta]]:
    """Yield ``(instant, offset before, offset from then on)`` of the clock changes in ``(from_at, to_at]``."""
    at = window.from_at
    while at < window.to_at:
        later = min(at + _PROBE, window.to_at)
        before, after = _offset(at, zone), _offset(later, zone)
        if before != after:
            low, high = at, later
            while high - low > timedelta(seconds=1):
                middle = low + timedelta(seconds=(high - low) // timedelta(seconds=2))
                low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
            yield high, before, after
        at = later


def _shown_twice(at: datetime, before: timedelta, after: timedelta) -> TimeRange:
    return TimeRange((at + after).replace(tzinfo=None), (at + before).replace(tzinfo=None))


def _constant_offset_pieces(window: Window, zone: ZoneInfo) -> Iterator[Window]:
    from_at = window.from_at
    for at, _, _ in _clock_changes(window, zone):
        yield Window(from_at, at)
        from_at = at
    yield Window(from_at, window.to_at)


def _skipped_values(window: Window, zone: ZoneInfo) -> Iterator[TimeRange]:
    """Yield the wall-clock values a clock change skips, at the real time a clock that was not changed shows them."""
    for at, before, after in _clock_changes(Window(window.from_at - _LONGEST_CHANGE, window.to_at), zone):
        from_at, to_at = max(window.from_at, at), min(window.to_at, at + (after - before))
        if from_at < to_at:
            yield TimeRange((from_at + before).replace(tzinfo=None), (to_at + before).replace(tzinfo=None))
