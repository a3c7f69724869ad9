from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import (
    FIRST,
    LocalRange,
    everything_until,
    hours_to_disambiguate,
    is_within,
    local_ranges,
    merge_ranges,
    neighbourhood,
    repeated_hour,
    wall_clock,
)


def hours(from_hour: int, to_hour: int) -> LocalRange:
    return LocalRange(datetime(2026, 6, 1, from_hour), datetime(2026, 6, 1, to_hour))


def test_everything_until_now_has_no_beginning():
    ranges = everything_until(datetime(2026, 6, 1, 10, tzinfo=UTC), ZoneInfo("Europe/Oslo"))
    assert ranges == (LocalRange(FIRST, datetime(2026, 6, 1, 12)),)


@pytest.mark.parametrize(
    ("ranges", "merged"),
    [
        pytest.param([], (), id="none"),
        pytest.param([hours(3, 4), hours(1, 2)], (hours(1, 2), hours(3, 4)), id="ascending"),
        pytest.param([hours(1, 3), hours(2, 4)], (hours(1, 4),), id="overlapping"),
        pytest.param([hours(1, 2), hours(2, 3)], (hours(1, 3),), id="touching"),
        pytest.param([hours(1, 9), hours(2, 3)], (hours(1, 9),), id="one-inside-another"),
        pytest.param([hours(1, 1)], (), id="empty"),
    ],
)
def test_merged_ranges_are_the_same_time_ascending_and_disjoint(ranges, merged):
    assert merge_ranges(ranges) == merged


ZONES = sorted(available_timezones())
SECOND = timedelta(seconds=1)
HALF_DAY = timedelta(hours=12)


def instants_of(local: datetime, zone: ZoneInfo) -> set[datetime]:
    """Say when a clock shows a value: once, or twice in autumn, or, in spring, as if the clock was not changed."""
    first = local.replace(tzinfo=zone).astimezone(UTC)
    second = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    is_skipped = first.astimezone(zone).replace(tzinfo=None) != local
    return {first} if is_skipped else {first, second}


@cache
def clock_changes(zone_name: str, year: int) -> tuple[datetime, ...]:
    zone, found = ZoneInfo(zone_name), []
    at, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
    while at < end:
        low, high = at, at + HALF_DAY
        before = low.astimezone(zone).utcoffset()
        if high.astimezone(zone).utcoffset() != before:
            while high - low > SECOND:
                middle = low + timedelta(seconds=(high - low) // (2 * SECOND))
                low, high = (middle, high) if middle.astimezone(zone).utcoffset() == before else (low, middle)
            found.append(high)
        at += HALF_DAY
    return tuple(found)


@st.composite
def zones_and_edges(draw) -> tuple[str, datetime]:
    """Draw a zone and an instant of 1990–2037, three times in four within a day and a half of a clock change."""
    name, year = draw(st.sampled_from(ZONES)), draw(st.integers(1990, 2037))
    changes = clock_changes(name, year)
    if changes and draw(st.integers(0, 3)):
        near = st.one_of(st.integers(-2, 2), st.integers(-7_200, 7_200), st.integers(-129_600, 129_600))
        return name, draw(st.sampled_from(changes)) + draw(near) * SECOND
    return name, datetime(year, 1, 1, tzinfo=UTC) + draw(st.integers(0, 31_535_999)) * SECOND


def watched_values(windows: list[Interval], zone: ZoneInfo, drawn: list[float]) -> set[datetime]:
    """Return wall-clock values worth a look: around every edge and every clock change, and some from anywhere."""
    first_at, last_at = windows[0].from_at, windows[-1].to_at
    instants = {first_at + share * (last_at - first_at) for share in drawn}
    instants |= {edge for window in windows for edge in (window.from_at, window.to_at)}
    for year in {first_at.year - 1, first_at.year, last_at.year}:
        instants |= {c for c in clock_changes(zone.key, year) if first_at - 3 * HALF_DAY < c < last_at + 3 * HALF_DAY}
    steps = (-86_400, -3_600, -1_800, -1, 0, 1, 1_799, 1_800, 3_599, 3_600, 7_200, 43_200, 86_399, 86_400)
    values = {wall_clock(at.replace(microsecond=0), zone) for at in instants}
    values |= {wall_clock(at.replace(microsecond=0) - SECOND, zone) for at in instants}
    return {value + step * SECOND for value in values for step in steps}


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(
    where=zones_and_edges(),
    length_s=st.integers(60, 86_400),
    guard_band_s=st.integers(0, 86_400) | st.just(0),
    settle_delay_s=st.integers(0, 3_600),
    drawn=st.lists(st.floats(0, 1), max_size=10),
)
@example(("Pacific/Apia", datetime(2011, 12, 30, 9, 59, tzinfo=UTC)), 86_400, 0, 0, [0.5])
@example(("Pacific/Apia", datetime(2011, 12, 30, 12, 0, tzinfo=UTC)), 300, 0, 60, [0.5])
@example(("Pacific/Kwajalein", datetime(1993, 8, 20, 18, 0, tzinfo=UTC)), 3_600, 600, 60, [0.1])
@example(("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 25, tzinfo=UTC)), 300, 0, 60, [0.1])
@example(("Australia/Lord_Howe", datetime(2026, 4, 4, 14, 45, tzinfo=UTC)), 300, 600, 60, [0.1])
@example(("Europe/Oslo", datetime(2026, 10, 25, 0, 55, tzinfo=UTC)), 300, 0, 0, [0.1])
@example(("Asia/Kathmandu", datetime(2026, 1, 1, tzinfo=UTC)), 300, 600, 60, [0.1])
@example(("Europe/Moscow", datetime(2014, 10, 25, 21, 50, tzinfo=UTC)), 300, 0, 60, [0.1])
def test_windows_hold_exactly_the_wall_clock_values_a_station_can_write_in_them(
    where, length_s, guard_band_s, settle_delay_s, drawn
):
    zone, begin_at = ZoneInfo(where[0]), where[1]
    edges = [begin_at + n * length_s * SECOND for n in range(4)]
    windows = [Interval(a - guard_band_s * SECOND, b).shifted(-settle_delay_s * SECOND) for a, b in pairwise(edges)]
    values = watched_values(windows, zone, drawn)
    for window in windows:
        ranges = local_ranges(window, zone)
        wrong = {
            value
            for value in values
            if is_within(value, ranges) != any(window.from_at <= at < window.to_at for at in instants_of(value, zone))
        }
        assert not wrong, (window, ranges, sorted(wrong)[:3])


@settings(max_examples=200, deadline=None)
@given(zones_and_edges(), st.integers(0, 86_400))
def test_ranges_are_ascending_disjoint_whole_seconds(where, length_s):
    ranges = local_ranges(Interval(where[1], where[1] + length_s * SECOND), ZoneInfo(where[0]))
    edges = [edge for r in ranges for edge in (r.from_local, r.to_local)]
    assert edges == sorted(set(edges))
    assert all(edge.tzinfo is None and not edge.microsecond and not edge.fold for edge in edges)


def values_of(ranges: tuple[LocalRange, ...]) -> set[datetime]:
    return {r.from_local + n * SECOND for r in ranges for n in range((r.to_local - r.from_local) // SECOND)}


@pytest.mark.parametrize(
    ("zone_name", "change_at"),
    [
        pytest.param("Europe/Oslo", datetime(2026, 3, 29, 1, tzinfo=UTC), id="Oslo-spring"),
        pytest.param("Europe/Oslo", datetime(2026, 10, 25, 1, tzinfo=UTC), id="Oslo-autumn"),
        pytest.param("Europe/Dublin", datetime(2026, 3, 29, 1, tzinfo=UTC), id="Dublin-negative-daylight-saving"),
        pytest.param("Africa/Casablanca", datetime(2026, 2, 15, 2, tzinfo=UTC), id="Casablanca-before-Ramadan"),
        pytest.param("America/St_Johns", datetime(2006, 4, 2, 3, 31, tzinfo=UTC), id="St-Johns-a-minute-past-midnight"),
        pytest.param("Pacific/Chatham", datetime(2026, 9, 26, 14, tzinfo=UTC), id="Chatham-forty-five-minutes"),
        pytest.param("Australia/Lord_Howe", datetime(2026, 10, 3, 15, 30, tzinfo=UTC), id="Lord-Howe-half-hour-spring"),
        pytest.param("Australia/Lord_Howe", datetime(2026, 4, 4, 15, tzinfo=UTC), id="Lord-Howe-half-hour-autumn"),
        pytest.param("America/Caracas", datetime(2007, 12, 9, 7, tzinfo=UTC), id="Caracas-half-an-hour-back-for-good"),
        pytest.param("Asia/Pyongyang", datetime(2018, 5, 4, 15, tzinfo=UTC), id="Pyongyang-half-an-hour-forward"),
        pytest.param("Pacific/Apia", datetime(2011, 12, 30, 10, tzinfo=UTC), id="Apia-without-a-day"),
        pytest.param("Pacific/Kwajalein", datetime(1993, 8, 21, 12, tzinfo=UTC), id="Kwajalein-without-a-day"),
    ],
)
@pytest.mark.parametrize("minutes_before", [0, 20, 80])
def test_every_second_of_a_known_clock_change_is_in_the_window_and_no_other(zone_name, change_at, minutes_before):
    zone = ZoneInfo(zone_name)
    window = Interval(change_at - timedelta(minutes=minutes_before), change_at + timedelta(minutes=100))
    before = (change_at - SECOND).astimezone(zone).utcoffset()
    after = change_at.astimezone(zone).utcoffset()
    assert before != after, "the tz database knows this change"
    expected = set()
    for n in range((window.to_at - window.from_at) // SECOND):
        at = window.from_at + n * SECOND
        expected.add(wall_clock(at, zone))
        if change_at <= at < change_at + (after - before):
            expected.add((at + before).replace(tzinfo=None))
    assert values_of(local_ranges(window, zone)) == expected


def test_both_folds_of_the_autumn_hour_are_read():
    zone = ZoneInfo("Europe/Oslo")
    for hour_at in (datetime(2026, 10, 25, 0, tzinfo=UTC), datetime(2026, 10, 25, 1, tzinfo=UTC)):
        expected = (LocalRange(datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 3)),)
        assert local_ranges(Interval(hour_at, hour_at + timedelta(hours=1)), zone) == expected


def test_the_skipped_spring_hour_is_read_when_an_unadjusted_clock_shows_it():
    window = Interval(datetime(2026, 3, 29, 1, tzinfo=UTC), datetime(2026, 3, 29, 1, 5, tzinfo=UTC))
    assert local_ranges(window, ZoneInfo("Europe/Oslo")) == (
        LocalRange(datetime(2026, 3, 29, 2), datetime(2026, 3, 29, 2, 5)),
        LocalRange(datetime(2026, 3, 29, 3), datetime(2026, 3, 29, 3, 5)),
    )


@given(zones_and_edges())
def test_a_time_that_a_clock_shows_twice_lies_in_the_whole_range_that_is_shown_twice(zone_and_edge):
    zone, at = ZoneInfo(zone_and_edge[0]), zone_and_edge[1]
    local = wall_clock(at, zone)
    hour = repeated_hour(local, zone)
    assert (hour is not None) == (len(instants_of(local, zone)) == 2)
    if hour is not None:
        assert hour.from_local <= local < hour.to_local
        inside = (hour.from_local, hour.to_local - SECOND)
        outside = (hour.from_local - SECOND, hour.to_local)
        assert [len(instants_of(local, zone)) for local in (*inside, *outside)] == [2, 2, 1, 1]
        assert {repeated_hour(local, zone) for local in inside} == {hour}


def test_a_time_at_the_end_of_the_calendar_is_not_repeated():
    assert repeated_hour(datetime(1, 1, 1), ZoneInfo("Pacific/Auckland")) is None
    assert repeated_hour(datetime(9999, 12, 31, 23, 59, 59), ZoneInfo("America/Los_Angeles")) is None


@given(zones_and_edges(), st.integers(60, 7_200), st.integers(1, 40))
def test_windows_that_meet_disambiguate_each_repeated_hour_once_and_after_all_around_it(
    zone_and_edge, length_s, number
):
    zone, begin_at = ZoneInfo(zone_and_edge[0]), zone_and_edge[1]
    edges = [begin_at + n * length_s * SECOND for n in range(number + 1)]
    windows = [Interval(from_at, to_at) for from_at, to_at in pairwise(edges)]
    judged = [(hour, window) for window in windows for hour in hours_to_disambiguate(window, zone)]
    assert [hour for hour, _ in judged] == list(hours_to_disambiguate(Interval(edges[0], edges[-1]), zone))
    for hour, window in judged:
        assert repeated_hour(hour.from_local, zone) == hour
        nearby = neighbourhood(hour)
        assert nearby.from_local < hour.from_local
        assert hour.to_local < nearby.to_local <= wall_clock(window.to_at, zone)


def test_a_fraction_of_a_second_is_no_wall_clock_edge():
    fraction_at = datetime(2026, 1, 1, microsecond=1, tzinfo=UTC)
    with pytest.raises(ValueError, match="whole seconds, given"):
        local_ranges(Interval(fraction_at, fraction_at + SECOND), ZoneInfo("Europe/Oslo"))
