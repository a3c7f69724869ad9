"""When a test started, in every zone and around every clock change."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from random import Random
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.unit.builders import a_settings, guid_of
from vte_wats.domain.errors import RejectedError
from vte_wats.domain.source import StationTime
from vte_wats.mapping.start_time import disambiguated_folds, start_of

ZONES = st.sampled_from(sorted(available_timezones()))
MOMENTS = st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2037, 12, 31))
SECONDS = st.floats(min_value=0, max_value=86_400, width=32)
SPRING = datetime(2026, 3, 29, 2, 30)
AUTUMN = datetime(2026, 10, 25, 2, 30)


def started(local, test_time_s=0.0, **answers):
    return start_of(local, test_time_s, a_settings(**answers))


def test_a_timestamp_at_the_end_is_taken_back_by_the_test_time():
    start = started(datetime(2026, 6, 15, 14, 30), 90.5)
    assert start.at.isoformat() == "2026-06-15T14:28:29.500000+02:00"
    assert start.notes == ()


def test_a_timestamp_at_the_start_is_the_start():
    start = started(datetime(2026, 1, 15, 14, 30), 90.5, timestamp_marks="start")
    assert start.at.isoformat() == "2026-01-15T14:30:00+01:00"
    assert start.notes == ()


@pytest.mark.parametrize(
    ("test_time_s", "milliseconds"), [(0.0005, 0), (0.0015, 2), (0.0025, 2), (12.345600128173828, 12_346)]
)
def test_the_test_time_counts_in_whole_milliseconds_rounded_half_to_even(test_time_s, milliseconds):
    noon = datetime(2026, 6, 15, 12)
    assert started(noon).at - started(noon, test_time_s).at == timedelta(milliseconds=milliseconds)


@pytest.mark.parametrize("test_time_s", [None, -0.001, math.nan, math.inf, -math.inf, 3.4e38, 1e308])
def test_a_test_time_that_is_no_duration_leaves_the_start_at_the_timestamp_and_says_so(test_time_s):
    start = started(datetime(2026, 6, 15, 14, 30), test_time_s)
    assert start.at.isoformat() == "2026-06-15T14:30:00+02:00"
    assert start.notes == (("start_from", "timestamp"),)


def test_a_missing_test_time_does_not_matter_when_the_timestamp_is_the_start():
    assert started(datetime(2026, 6, 15, 14, 30), None, timestamp_marks="start").notes == ()


@pytest.mark.parametrize(("passed", "offset"), [("earlier", "+02:00"), ("later", "+01:00")])
def test_the_repeated_hour_is_the_pass_the_setting_names_and_says_so(passed, offset):
    start = started(AUTUMN, ambiguous_time=passed)
    assert start.at.isoformat() == f"2026-10-25T02:30:00{offset}"
    assert start.notes == (("start_ambiguous", f"{passed} pass (UTC{offset}) by setting ambiguous_time"),)


@pytest.mark.parametrize(("fold", "name", "offset"), [(0, "earlier", "+02:00"), (1, "later", "+01:00")])
@pytest.mark.parametrize("rule", ["earlier", "later"])
def test_a_known_fold_goes_before_the_setting_and_says_so(fold, name, offset, rule):
    start = start_of(AUTUMN, 0.0, a_settings(ambiguous_time=rule), fold)
    assert start.at.isoformat() == f"2026-10-25T02:30:00{offset}"
    assert start.notes == (("start_ambiguous", f"{name} pass (UTC{offset}) by the station's other runs"),)


@pytest.mark.parametrize("local", [SPRING, datetime(2026, 6, 15, 14, 30)])
def test_a_fold_means_nothing_for_a_time_that_is_not_repeated(local):
    assert start_of(local, 0.0, a_settings(), 1) == started(local)


def test_a_skipped_time_is_read_with_the_offset_before_the_change_and_says_so():
    start = started(SPRING)
    assert start.at == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert start.at.isoformat() == "2026-03-29T03:30:00+02:00"
    assert start.notes == (("start_nonexistent", "skipped by the clock change; read with UTC+01:00"),)


def test_a_test_across_the_autumn_change_starts_in_summer_time():
    start = started(datetime(2026, 10, 25, 3, 10), 3600.0)
    assert start.at.isoformat() == "2026-10-25T02:10:00+01:00"
    assert started(datetime(2026, 10, 25, 3, 10), 7200.0).at.isoformat() == "2026-10-25T02:10:00+02:00"


def test_the_fold_a_driver_happens_to_set_does_not_matter():
    assert started(AUTUMN.replace(fold=1)) == started(AUTUMN)


def test_an_offset_with_seconds_is_written_as_utc():
    start = started(datetime(1971, 1, 1, 12), source_timezone="Africa/Monrovia")
    assert start.at.isoformat() == "1971-01-01T12:44:30+00:00"


@pytest.mark.parametrize(
    ("local", "zone"), [(datetime(1, 1, 1), "Pacific/Auckland"), (datetime(9999, 12, 31, 23), "America/Los_Angeles")]
)
def test_a_timestamp_outside_the_calendar_is_rejected(local, zone):
    with pytest.raises(RejectedError, match=r"Timestamp must lie within") as caught:
        started(local, source_timezone=zone)
    assert caught.value.signature == "timestamp is outside the calendar"


@given(ZONES, MOMENTS, SECONDS)
def test_a_start_reads_back_as_its_wall_clock_unless_the_clock_skipped_it(zone, local, test_time_s):
    start = started(local, test_time_s, source_timezone=zone)
    end_local = (start.at + timedelta(milliseconds=round(test_time_s * 1000))).astimezone(ZoneInfo(zone))
    skipped = "start_nonexistent" in dict(start.notes)
    assert (end_local.replace(tzinfo=None) == local) is not skipped


@pytest.mark.slow
@given(ZONES, MOMENTS)
def test_the_two_folds_differ_exactly_when_the_start_says_it_is_ambiguous(zone, local):
    earlier = started(local, source_timezone=zone)
    later = started(local, source_timezone=zone, ambiguous_time="later")
    assert ("start_ambiguous" in dict(earlier.notes)) == (earlier.at < later.at)
    assert earlier.at <= later.at


@pytest.mark.slow
@given(ZONES, st.integers(1970, 2037), st.data())
def test_around_every_clock_change_each_instant_is_found_again_from_its_wall_clock(zone, year, data):
    tz = ZoneInfo(zone)
    hours = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(hours=h) for h in range(0, 8760, 12)]
    changes = [(a, b) for a, b in pairwise(hours) if a.astimezone(tz).utcoffset() != b.astimezone(tz).utcoffset()]
    assume(changes)
    before, after = data.draw(st.sampled_from(changes))
    instant = before + timedelta(minutes=data.draw(st.integers(0, int((after - before) / timedelta(minutes=1)))))
    wall = instant.astimezone(tz).replace(tzinfo=None, fold=0)
    found = {started(wall, source_timezone=zone, ambiguous_time=p).at for p in ("earlier", "later")}
    assert instant in found


@given(ZONES, MOMENTS, SECONDS)
def test_equal_starts_are_equal_keys_and_have_whole_minute_offsets(zone, local, test_time_s):
    start = started(local, test_time_s, source_timezone=zone)
    assert {start.at: 1}[start.at.astimezone(UTC)] == 1
    assert not start.at.utcoffset() % timedelta(minutes=1)


SETTINGS = a_settings()
STATION, ANOTHER = UUID(int=901), UUID(int=902)
_numbers = count(1)


def busy(clock: str, minutes: float | None, station: UUID = STATION) -> StationTime:
    """Return a run whose Timestamp shows ``clock`` in the night in which Oslo shows 02:00 to 03:00 twice."""
    local = datetime.fromisoformat(f"2026-10-25T{clock}")
    return StationTime(guid_of(next(_numbers)), station, local, None if minutes is None else minutes * 60)


def fold_of(run: StationTime, *others: StationTime, **answers) -> int | None:
    return disambiguated_folds([run, *others], a_settings(**answers)).get(run.index_guid)


def test_a_run_that_would_have_started_during_another_was_in_fold_one():
    assert fold_of(busy("02:10:00", 60), busy("01:50:00", 5)) == 1


def test_a_run_that_a_long_test_keeps_out_of_fold_one_was_in_fold_zero():
    assert fold_of(busy("02:30:00", 5), busy("03:05:00", 70)) == 0


def test_a_run_between_two_neighbours_that_leave_one_fold_free_was_there():
    before, after = busy("01:58:00", 20), busy("03:04:00", 63)
    assert fold_of(busy("02:20:00", 15), before, after) == 0
    assert fold_of(busy("02:20:00", 30), before, after) is None  # neither fold has room for it
    assert fold_of(busy("02:20:00", 30), before) == 1


def test_a_known_fold_shows_the_next_one():
    first, second = busy("02:30:00", 20), busy("02:35:00", 10)
    after = busy("03:02:00", 30)
    assert fold_of(first, after) is None
    assert fold_of(second, after) == 0
    assert fold_of(first, second, after) == 1


def test_runs_that_leave_each_other_no_room_show_nothing():
    first, second = busy("02:30:00", 20), busy("02:35:00", 10)
    assert fold_of(first, second, busy("03:02:00", 40)) is None
    assert fold_of(second, first, busy("03:02:00", 40)) is None


@pytest.mark.parametrize(
    "others",
    [
        pytest.param([], id="no-neighbours"),
        pytest.param([busy("01:05:00", 5), busy("03:30:00", 10)], id="room-in-both-folds"),
        pytest.param([busy("01:50:00", 5, ANOTHER)], id="another-station"),
        pytest.param([busy("01:50:00", 40), busy("01:55:00", 40)], id="a-station-that-tests-side-by-side"),
        pytest.param([busy("01:10:01", None)], id="without-a-test-time-at-its-edge"),
    ],
)
def test_where_both_folds_are_possible_neither_is_known(others):
    assert fold_of(busy("02:10:00", 60), *others) is None


def test_a_run_without_test_time_still_shows_that_the_station_was_free():
    assert fold_of(busy("02:10:00", 60), busy("01:30:00", None)) == 1


def test_a_timestamp_that_marks_the_start_counts_forwards():
    assert fold_of(busy("02:30:00", 5), busy("01:30:00", 75), timestamp_marks="start") == 1
    assert fold_of(busy("02:30:00", 5), busy("01:30:00", 75)) is None


def test_seconds_of_overlap_are_no_overlap():
    assert fold_of(busy("02:10:00", 60), busy("01:10:02", 5)) is None
    assert fold_of(busy("02:10:00", 60), busy("01:10:03", 5)) == 1


@pytest.mark.parametrize("minutes", [float("inf"), float("nan"), -1.0, 1e300])
def test_a_test_time_that_is_none_shows_nothing_and_stops_nothing(minutes):
    assert fold_of(busy("02:10:00", 60), busy("03:30:00", minutes)) is None


def test_runs_whose_time_is_clear_are_not_named():
    assert disambiguated_folds([busy("01:50:00", 5), busy("03:30:00", 5)], a_settings()) == {}


MINUTES = st.integers(0, 6 * 60 - 1)


@given(st.lists(st.tuples(MINUTES, st.sampled_from([0.0, 5.0, 20.0, 61.0, 130.0])), max_size=12), st.integers(0, 9))
def test_the_order_in_which_rows_come_does_not_matter(rows, seed):
    times = [
        busy(f"{minute // 60:02}:{minute % 60:02}:00", took, (STATION, ANOTHER)[index % 2])
        for index, (minute, took) in enumerate(rows)
    ]
    shuffled = Random(seed).sample(times, len(times))
    assert disambiguated_folds(times, SETTINGS) == disambiguated_folds(shuffled, SETTINGS)


@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 90)), min_size=1, max_size=10))
def test_what_is_known_is_what_happened_on_a_station_that_tests_one_unit_after_another(gaps):
    """Play a night of one station in real time, write down what its clock shows, and ask."""
    at = datetime(2026, 10, 24, 23, tzinfo=UTC)
    truth, times = {}, []
    for gap, took in gaps:
        at += timedelta(minutes=gap + took)
        shown = at.astimezone(SETTINGS.zone)
        run = StationTime(guid_of(next(_numbers)), STATION, shown.replace(tzinfo=None, fold=0), took * 60.0)
        times.append(run)
        truth[run.index_guid] = shown.fold
    folds = disambiguated_folds(times, SETTINGS)
    assert folds.items() <= truth.items()
