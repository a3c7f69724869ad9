"""Which time zone the stations' clocks show, as far as data show: an offset and clock changes, never a country."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from statistics import fmean
from zoneinfo import ZoneInfo, available_timezones

from vte_wats.domain.source import RunGroup, TimeBounds
from vte_wats.survey.sample_findings import Closed

_FRESH = timedelta(minutes=15)  # offsets of time zones are multiples of it
_SKEW = timedelta(minutes=1)  # between two clocks that are both set right
_HOUR = timedelta(hours=1)
_BUSY = 10  # runs of an hour in which an idle one beside it says something
_FEW = 0.05  # of the hours beside it: a station with a wrong clock, not a shift at work
_YEARS_AHEAD = timedelta(days=730)
_NO_PLACES = ("Etc/", "SystemV/", "US/", "Brazil/", "Canada/", "Chile/", "Mexico/")


class ClockFacts(Closed):
    """What the clocks show. ``zones`` are those that fit, alike ones together, the largest family first.

    ``fresh_stations`` wrote a run within a quarter of an hour before the server's wall clock, ``ahead_stations`` one
    after it. Unless more are fresh than ahead, how far the stations' clocks are from UTC is not known, for a station
    that is idle where its clock is ahead looks fresh: ``offset_minutes`` is ``None``.
    """

    server_offset_minutes: int
    offset_minutes: int | None
    stations: int
    fresh_stations: int
    ahead_stations: int = 0
    zones: tuple[tuple[str, ...], ...]
    impossible: dict[str, str]


def read_clocks(
    bounds: TimeBounds, groups: Iterable[RunGroup], hours: Sequence[tuple[datetime, int]], zone_set: str | None
) -> ClockFacts:
    """Return what newest runs and busy hours say; of the zone that is set also why it does not fit, if so."""
    newest: dict[str, datetime] = {}
    for group in groups:
        station = group.station_name or ""
        newest[station] = max(group.newest_local, newest.get(station, group.newest_local))
    fresh = sum(-_SKEW <= bounds.server_local - at < _FRESH for at in newest.values())
    ahead = sum(at - bounds.server_local > _SKEW for at in newest.values())
    server_offset = _rounded(bounds.server_local - bounds.server_now_at.replace(tzinfo=None))
    if fresh <= ahead:
        return ClockFacts(
            server_offset_minutes=_minutes(server_offset),
            offset_minutes=None,
            stations=len(newest),
            fresh_stations=fresh,
            ahead_stations=ahead,
            zones=(),
            impossible={},
        )
    runs = dict(hours)
    families: dict[tuple[object, ...], list[str]] = defaultdict(list)
    impossible: dict[str, str] = {}
    for name in sorted(available_timezones()):
        why = _why_not(name, bounds, server_offset, runs)
        if why is None and _is_a_place(name):
            families[_rules(name, bounds)].append(name)
        elif why is not None and name == zone_set:
            impossible[name] = why
    return ClockFacts(
        server_offset_minutes=_minutes(server_offset),
        offset_minutes=_minutes(server_offset),
        stations=len(newest),
        fresh_stations=fresh,
        ahead_stations=ahead,
        zones=tuple(tuple(names) for names in sorted(families.values(), key=len, reverse=True)),
        impossible=impossible,
    )


def _why_not(name: str, bounds: TimeBounds, offset: timedelta, runs: Mapping[datetime, int]) -> str | None:
    zone = ZoneInfo(name)
    own = bounds.server_now_at.astimezone(zone).utcoffset() or timedelta()
    if own != offset:
        return f"its clocks differ from UTC by {_minutes(own)} minutes now, those of the stations by {_minutes(offset)}"
    if not runs:
        return None
    first, last = min(runs), max(runs)
    skipped = set(_skipped_hours(name, first.year, last.year))
    for hour in sorted(skipped):
        if first < hour < last and runs.get(hour, 0) > _FEW * _beside(hour, runs):
            return f"{runs[hour]} runs have a time within the hour from {hour:%Y-%m-%d %H:%M}, which its clocks skip"
    for hour in _idle_among_busy(runs, bounds):
        if hour not in skipped:
            return f"the hour from {hour:%Y-%m-%d %H:%M} has no runs, as if clocks skipped it, and its clocks do not"
    return None


def _beside(hour: datetime, runs: Mapping[datetime, int]) -> float:
    return fmean((runs.get(hour - _HOUR, 0), runs.get(hour + _HOUR, 0)))


def _idle_among_busy(runs: Mapping[datetime, int], bounds: TimeBounds) -> Iterator[datetime]:
    """Yield the idle hours between busy ones that some zone of the world skips: no clock of this site showed them."""
    first, last = min(runs), max(runs)
    for hour in _hours_skipped_somewhere(first.year, last.year):
        if first < hour < last and not runs.get(hour, 0):
            before, after = runs.get(hour - _HOUR, 0), runs.get(hour + _HOUR, 0)
            if min(before, after) >= _BUSY and hour < bounds.server_local:
                yield hour


@cache
def _hours_skipped_somewhere(from_year: int, to_year: int) -> tuple[datetime, ...]:
    names = filter(_is_a_place, available_timezones())
    return tuple(sorted({hour for name in names for hour in _skipped_hours(name, from_year, to_year)}))


@cache
def _skipped_hours(name: str, from_year: int, to_year: int) -> tuple[datetime, ...]:
    """Return the whole hours of wall-clock time that spring skips in a zone."""
    zone = ZoneInfo(name)
    found: list[datetime] = []
    day = datetime(from_year, 1, 1, tzinfo=UTC)
    while day.year <= to_year:
        following = day + timedelta(days=1)
        jump = (_offset(following, zone) or timedelta()) - (_offset(day, zone) or timedelta())
        if jump > timedelta():
            at = next(h for n in range(1, 25) if _offset(h := day + n * _HOUR, zone) == _offset(following, zone))
            shown = (at - _HOUR).astimezone(zone).replace(tzinfo=None) + _HOUR
            hour = shown.replace(minute=0)
            while hour + _HOUR <= shown + jump:
                if hour >= shown:
                    found.append(hour)
                hour += _HOUR
        day = following
    return tuple(found)


def _offset(at: datetime, zone: ZoneInfo) -> timedelta | None:
    return at.astimezone(zone).utcoffset()


def _rules(name: str, bounds: TimeBounds) -> tuple[object, ...]:
    """Return what two zones have in common whose clocks were alike in the history and will be for two years."""
    zone = ZoneInfo(name)
    start = (bounds.oldest_local or bounds.server_local).replace(tzinfo=UTC)
    start = max(start, bounds.server_now_at - timedelta(days=3_650))
    end = bounds.server_now_at + _YEARS_AHEAD
    weeks = range(int((end - start) / timedelta(weeks=1)))
    return tuple(_offset(start + timedelta(weeks=n), zone) for n in weeks)


def _is_a_place(name: str) -> bool:
    return "/" in name and not name.startswith(_NO_PLACES)


def _rounded(offset: timedelta) -> timedelta:
    return round(offset / _FRESH) * _FRESH


def _minutes(offset: timedelta) -> int:
    return int(offset.total_seconds() // 60)
