"""Which fold of the repeated hour a run was in, as far as its station's other runs show it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import a_settings, guid_of
from vte_wats.domain.source import StationTime
from vte_wats.mapping.dst_disambiguation import disambiguated_folds

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
