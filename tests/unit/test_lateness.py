from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.builders import NOON_LOCAL, a_settings
from vte_wats.coverage import Lateness
from vte_wats.sync.lateness import measured
from vte_wats.windows import Window, window_of

NOON_AT = datetime(2026, 6, 15, 10, tzinfo=UTC)  # NOON_LOCAL in Oslo
SETTINGS = a_settings(guard_band_s=600, settle_delay_s=0)


def window(number: int) -> Window:
    """Return the window of the five minutes that begin ``number`` intervals after noon."""
    begin_at = NOON_AT + number * timedelta(minutes=5)
    return window_of(begin_at, begin_at + timedelta(minutes=5), SETTINGS.guard_band_s, SETTINGS.settle_delay_s)


def runs_at(*minutes: float) -> list[tuple[datetime, int]]:
    return [(NOON_LOCAL + timedelta(minutes=minute), 1) for minute in sorted(minutes)]


def test_the_first_window_shows_no_late_run():
    first = measured(None, window(0), runs_at(1, 3, 4.5), SETTINGS)
    assert first == Lateness(until_at=window(0).to_at, seen={60: 1, 300: 2, 600: 0}, late={})


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
    second = measured(first, Window(window(1).from_at - timedelta(minutes=5), window(1).to_at), runs_at(1, 2), longer)
    assert second.late == {60: 0, 300: 1, 600: 0}
    assert second.seen.keys() == {60, 300, 600, 900}


def test_no_guard_band_measures_nothing():
    none = a_settings(guard_band_s=0, settle_delay_s=0)
    first = measured(None, Window(NOON_AT, NOON_AT), [], none)
    assert measured(first, Window(NOON_AT, NOON_AT + timedelta(minutes=5)), runs_at(1), none).late == {0: 0}


def test_late_runs_in_the_oldest_part_suggest_a_longer_guard_band(caplog):
    first = measured(None, window(0), [], SETTINGS)
    measured(first, window(1), runs_at(4.5), SETTINGS)
    assert caplog.text == ""
    measured(first, window(1), runs_at(-4), SETTINGS)
    assert "1 runs appeared in the oldest part of the guard band" in caplog.text
    assert "raise guard_band_s = 600 s" in caplog.text


def test_late_runs_of_earlier_windows_suggest_nothing_again(caplog):
    first = measured(None, window(0), [], SETTINGS)
    second = measured(first, window(1), runs_at(-4), SETTINGS)
    caplog.clear()
    measured(second, window(2), runs_at(), SETTINGS)
    assert caplog.text == ""
