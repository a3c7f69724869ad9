from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.builders import NOON_LOCAL, a_settings, a_sync
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import LateArrivals, State
from vte_wats.state.late_arrivals import found_later, measured, suggested_guard_band_s
from vte_wats.sync.plan import window_of

NOON_AT = datetime(2026, 6, 15, 10, tzinfo=UTC)  # NOON_LOCAL in Oslo
SETTINGS = a_settings(guard_band_s=600, settle_delay_s=0)


def window(number: int) -> Interval:
    """Return the window of the five minutes that begin ``number`` intervals after noon."""
    begin_at = NOON_AT + number * timedelta(minutes=5)
    return window_of(
        Interval(begin_at, begin_at + timedelta(minutes=5)), SETTINGS.guard_band_s, SETTINGS.settle_delay_s
    )


def runs_at(*minutes: float) -> list[tuple[datetime, int]]:
    return [(NOON_LOCAL + timedelta(minutes=minute), 1) for minute in sorted(minutes)]


def test_the_first_window_shows_no_late_run():
    first = measured(None, window(0), runs_at(1, 3, 4.5), SETTINGS)
    assert first == LateArrivals(until_at=window(0).to_at, seen={60: 1, 300: 2, 600: 0}, late={})


def test_runs_that_were_not_there_before_are_late_by_the_age_of_their_second():
    first = measured(None, window(0), runs_at(1, 4.5), SETTINGS)
    second = measured(first, window(1), runs_at(-4, -3, 1, 2, 4.5, 4.7, 7), SETTINGS)
    assert second.late == {60: 1, 300: 1, 600: 2}
    assert second.seen == {60: 0, 300: 1, 600: 4}
    third = measured(second, window(2), runs_at(1, 2, 4.5, 4.7, 5, 7), SETTINGS)
    assert third.late == {60: 1, 300: 2, 600: 2}


def test_runs_of_the_interval_itself_are_not_late():
    first = measured(None, window(0), runs_at(1), SETTINGS)
    assert set(measured(first, window(1), runs_at(1, 5, 6, 9.9), SETTINGS).late.values()) == {0}


def test_runs_that_were_deleted_are_not_counted_against_others():
    first = measured(None, window(0), runs_at(1, 2), SETTINGS)
    assert set(measured(first, window(1), runs_at(), SETTINGS).late.values()) == {0}


@pytest.mark.parametrize("number", [-1, 3], ids=["an-older-interval", "after-a-gap"])
def test_seconds_that_were_not_counted_before_are_not_compared(number):
    first = measured(None, window(0), [], SETTINGS)
    assert measured(first, window(number), runs_at(-9, -3, 8, 12), SETTINGS).late == {}


def test_a_guard_band_that_was_changed_is_measured_from_the_next_window_on():
    first = measured(None, window(0), runs_at(1), SETTINGS)
    longer = a_settings(guard_band_s=900, settle_delay_s=0)
    second = measured(first, Interval(window(1).from_at - timedelta(minutes=5), window(1).to_at), runs_at(1, 2), longer)
    assert second.late == {60: 0, 300: 1, 600: 0}
    assert second.seen.keys() == {60, 300, 600, 900}


def test_no_guard_band_measures_nothing():
    none = a_settings(guard_band_s=0, settle_delay_s=0)
    first = measured(None, Interval(NOON_AT, NOON_AT), [], none)
    assert measured(first, Interval(NOON_AT, NOON_AT + timedelta(minutes=5)), runs_at(1), none).late == {0: 0}


def test_late_runs_in_the_oldest_part_suggest_a_longer_guard_band(caplog):
    first = measured(None, window(0), [], SETTINGS)
    measured(first, window(1), runs_at(4.5), SETTINGS)
    assert caplog.text == ""
    measured(first, window(1), runs_at(-4), SETTINGS)
    assert "1 runs appeared in the oldest part" in caplog.text
    assert "in the oldest part of guard_band_s = 600 s" in caplog.text


def test_late_runs_of_earlier_windows_suggest_nothing_again(caplog):
    first = measured(None, window(0), [], SETTINGS)
    second = measured(first, window(1), runs_at(-4), SETTINGS)
    caplog.clear()
    measured(second, window(2), runs_at(), SETTINGS)
    assert caplog.text == ""


def done(*minutes: tuple[int, int]) -> State:
    """Return a state whose syncs are done with these minutes after noon."""
    state = State(since_at=NOON_AT)
    for from_minute, to_minute in minutes:
        edges = (NOON_AT + timedelta(minutes=minute) for minute in (from_minute, to_minute))
        state = state.extended(a_sync(Interval(*edges)))
    return state


def late_at(*minutes: float, state: State, settings=SETTINGS) -> dict[int, int]:
    return found_later([NOON_LOCAL + timedelta(minutes=minute) for minute in minutes], state, settings)


def test_a_run_that_is_missing_although_its_time_is_done_came_later_than_the_guard_band(caplog):
    assert late_at(0, 5, state=done((0, 60))) == {1_800: 2}
    assert "2 runs are not in WATS" in caplog.text
    assert "guard_band_s = 1800 the sync would" in caplog.text


@pytest.mark.parametrize(
    ("minute", "why"),
    [(-1, "before"), (25, "in-a-gap"), (20, "behind-an-edge"), (50, "in-the-guard-band"), (70, "not-done-yet")],
)
def test_a_run_is_not_late_where_no_sync_is_done_with_its_time(minute, why, caplog):
    assert late_at(minute, state=done((0, 30), (45, 60))) == {}, why
    assert caplog.text == ""


@pytest.mark.parametrize("local", [datetime(1970, 1, 1), datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59)])
def test_a_run_of_a_wrong_clock_is_not_late(local):
    assert found_later([local], done((0, 60)), SETTINGS) == {}


def test_a_guard_band_beyond_all_ages_is_asked_to_double():
    longest = a_settings(guard_band_s=86_400, settle_delay_s=0)
    assert late_at(0, state=done((0, 60 * 48)), settings=longest) == {172_800: 1}


def test_the_suggestion_is_the_first_age_beyond_the_guard_band_that_runs_had():
    late_arrivals = LateArrivals(until_at=NOON_AT, seen={600: 0}, late={300: 4, 600: 1, 1_800: 0, 3_600: 2})
    assert suggested_guard_band_s(late_arrivals, SETTINGS) == 3_600
    assert suggested_guard_band_s(late_arrivals, a_settings(guard_band_s=3_600)) is None
    assert suggested_guard_band_s(None, SETTINGS) is None


def test_what_the_comparison_found_makes_the_hint_of_the_sync_a_plain_one(caplog):
    first = measured(None, window(0), [], SETTINGS).with_late({1_800: 3})
    measured(first, window(1), runs_at(-4), SETTINGS)
    assert "raise it to 1800 s: vte_wats_reconcile found such runs" in caplog.text


def test_what_the_comparison_found_stays_in_the_histogram():
    first = measured(None, window(0), runs_at(1), SETTINGS).with_late({1_800: 3})
    assert measured(first, window(1), runs_at(1, 4.5), SETTINGS).late == {60: 1, 300: 0, 600: 0, 1_800: 3}
