"""What newest runs and busy hours show of the stations' time zone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from vte_wats.domain.source import RunGroup, TimeBounds
from vte_wats.survey.clocks import ClockFacts, read_clocks

NOW = datetime(2026, 6, 15, 10, tzinfo=UTC)
START = datetime(2026, 2, 1, tzinfo=UTC)


def seen(zone: str, *, idle: timedelta = timedelta(minutes=3), is_set: str | None = None, **change) -> ClockFacts:
    """Return what a factory shows that works around the clock, twenty runs an hour, with its clocks in a zone."""
    local = NOW.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    hours: dict[datetime, int] = {}
    at = START
    while at < NOW:
        hour = at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, minute=0)
        hours[hour] = hours.get(hour, 0) + 20
        at += timedelta(hours=1)
    hours |= change.get("hours", {})
    oldest = min(hours)
    bounds = TimeBounds(NOW, local, oldest, local - idle)
    groups = [RunGroup("PN", "Gain", station, 1, 9, local - idle) for station in ("S1", "S2")]
    groups.append(RunGroup("PN", "Gain", "S3", 1, 1, local + timedelta(minutes=25)))  # a clock that is ahead
    return read_clocks(bounds, groups, sorted(hours.items()), is_set)


def names(facts: ClockFacts) -> set[str]:
    return {name for family in facts.zones for name in family}


@pytest.mark.parametrize("zone", ["Europe/Oslo", "America/New_York", "Asia/Tokyo", "Asia/Kolkata", "Australia/Sydney"])
def test_the_true_zone_is_among_those_that_fit(zone):
    facts = seen(zone)
    assert zone in names(facts)
    assert (facts.stations, facts.fresh_stations) == (3, 2)


def test_a_clock_change_separates_zones_that_show_the_same_time_now():
    facts = seen("Europe/Oslo")
    assert {"Europe/Berlin", "Europe/Paris"} <= names(facts)
    assert names(facts).isdisjoint({"Africa/Johannesburg", "Africa/Cairo", "Europe/Helsinki"})


def test_a_zone_without_changes_excludes_those_with_one():
    facts = seen("Africa/Johannesburg")
    assert names(facts).isdisjoint({"Europe/Oslo", "Africa/Cairo"})


def test_one_run_of_a_wrong_clock_in_the_skipped_hour_excludes_nothing():
    assert "Europe/Oslo" in names(seen("Europe/Oslo", hours={datetime(2026, 3, 29, 2): 1}))


def test_the_zone_that_is_set_comes_with_why_it_does_not_fit():
    assert seen("Europe/Oslo", is_set="Europe/Oslo").impossible == {}
    assert "by 60 minutes now" in seen("Europe/Oslo", is_set="Europe/London").impossible["Europe/London"]
    assert "clocks do not" in seen("Europe/Oslo", is_set="Africa/Johannesburg").impossible["Africa/Johannesburg"]


@pytest.mark.parametrize("idle_hours", [2, 3])
def test_a_station_that_is_idle_where_its_clock_is_ahead_of_the_servers_decides_nothing(idle_hours):
    server = NOW.replace(tzinfo=None)  # the server shows UTC, the stations Oslo
    oslo = server + timedelta(hours=2)
    groups = [RunGroup("PN", "Gain", f"S{n}", 1, 9, oslo - timedelta(minutes=4 * n)) for n in range(1, 5)]
    groups.append(RunGroup("PN", "Gain", "idle", 1, 9, oslo - timedelta(hours=idle_hours, minutes=5)))
    facts = read_clocks(TimeBounds(NOW, server, server, oslo), groups, [], "Europe/Oslo")
    assert (facts.offset_minutes, facts.ahead_stations, facts.impossible) == (None, 4, {})


def test_clocks_that_differ_by_seconds_from_the_servers_are_the_same():
    server = NOW.replace(tzinfo=None)
    groups = [RunGroup("PN", "Gain", f"S{n}", 1, 9, server + timedelta(seconds=20)) for n in range(3)]
    facts = read_clocks(TimeBounds(NOW, server, server, server), groups, [], None)
    assert (facts.offset_minutes, facts.fresh_stations, facts.ahead_stations) == (0, 3, 0)


def test_idle_stations_show_nothing():
    facts = seen("Europe/Oslo", idle=timedelta(hours=2))
    assert (facts.offset_minutes, facts.fresh_stations, facts.zones) == (None, 0, ())
