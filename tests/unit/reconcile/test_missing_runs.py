"""Which runs the daily comparison transfers: everything that WATS does not have, except dead dead_letters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from upath import UPath

from tests.unit.builders import NOON_LOCAL, a_report, a_run, guid_of
from tests.unit.fakes import FakeSource, FakeWats
from vte_wats.domain.outcome import DeadLetterKind
from vte_wats.intervals.wall_clock import LocalRange, everything_until
from vte_wats.reconcile.missing_runs import MissingRuns, compare, runs_to_transfer, stage_keys
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import staging_of

NOW_AT = datetime(2026, 6, 16, tzinfo=UTC)
ALL = [LocalRange(NOON_LOCAL - timedelta(days=1), NOON_LOCAL + timedelta(days=1))]


@pytest.fixture
def dead_letters(tmp_path) -> DeadLetters:
    return DeadLetters(UPath(tmp_path))


def find_missing(source, wats, dead_letters, ranges, tmp_path, batch=2_000) -> MissingRuns:
    """Do what the tasks of the daily comparison do, one after another."""

    def staging(name):
        return staging_of(UPath(tmp_path), "reconcile", "run", name)

    batches = [staging(name) for name in stage_keys(source, staging, ranges, batch)]
    for staged in batches:
        compare(wats, staged, ZoneInfo("Europe/Oslo"))
    return runs_to_transfer(batches, dead_letters)


def test_a_run_that_wats_does_not_have_is_transferred_and_one_it_has_is_not(dead_letters, tmp_path):
    missing = find_missing(FakeSource(a_run(1), a_run(2), a_run(3)), FakeWats(a_report(2)), dead_letters, ALL, tmp_path)
    assert missing.runs == [guid_of(1), guid_of(3)]


def test_dead_letters_stay_and_held_runs_are_tried_again(dead_letters, tmp_path):
    dead_letters.put(a_run(1), DeadLetterKind.DEAD, "serial is blank", "serial is blank", NOW_AT)
    dead_letters.put(a_run(2), DeadLetterKind.HELD, "process 7 is not in WATS", "process 7 is not in WATS", NOW_AT)
    assert find_missing(FakeSource(a_run(1), a_run(2)), FakeWats(), dead_letters, ALL, tmp_path).runs == [guid_of(2)]
    assert dead_letters.guids() == {guid_of(1), guid_of(2)}


def test_a_held_run_older_than_the_comparison_is_tried_again_too(dead_letters, tmp_path):
    dead_letters.put(a_run(7, timestamp_local=datetime(1999, 1, 1)), DeadLetterKind.HELD, "no map", "no map", NOW_AT)
    assert find_missing(FakeSource(a_run(1)), FakeWats(), dead_letters, ALL, tmp_path).runs == [guid_of(1), guid_of(7)]


def test_the_times_of_missing_runs_are_known_but_not_those_of_held_ones(dead_letters, tmp_path):
    dead_letters.put(a_run(2), DeadLetterKind.HELD, "process 7 is not in WATS", "process 7 is not in WATS", NOW_AT)
    missing = find_missing(FakeSource(a_run(1), a_run(2), a_run(3)), FakeWats(a_report(3)), dead_letters, ALL, tmp_path)
    assert missing.runs == [guid_of(1), guid_of(2)]
    assert missing.times_local == [a_run(1).timestamp_local]


def test_one_statement_reads_the_keys_however_many_there_are(dead_letters, tmp_path):
    source = FakeSource(*(a_run(number) for number in range(1, 2502)))
    wats = FakeWats()
    assert len(find_missing(source, wats, dead_letters, ALL, tmp_path).runs) == 2501
    assert source.statements == ["select_run_keys"]
    assert wats.asked == [2000, 501]


def test_batches_are_small_and_no_more_than_airflow_maps(tmp_path):
    def staging(name):
        return staging_of(UPath(tmp_path), "reconcile", "run", name)

    source = FakeSource(*(a_run(number) for number in range(1, 2_001)))
    names = stage_keys(source, staging, ALL, batch=1)
    sizes = [len(list(staging(name).read("keys"))) for name in names]
    assert sum(sizes) == 2_000
    assert [sizes[n] for n in (0, 99, 100, 199, 200, 300)] == [1, 1, 2, 2, 4, 8]  # so 1,000 hold 200 million runs
    assert len(names) < 500


def test_everything_reaches_from_the_first_day_a_datetime_can_hold_to_now_and_not_into_the_future(
    dead_letters, tmp_path
):
    ancient = a_run(1, timestamp_local=datetime(1970, 1, 1))
    future = a_run(2, timestamp_local=datetime(2026, 6, 16, 2, 0, 1))
    ranges = everything_until(NOW_AT, ZoneInfo("Europe/Oslo"))
    assert find_missing(FakeSource(ancient, future), FakeWats(), dead_letters, ranges, tmp_path).runs == [guid_of(1)]
    assert ranges[0].from_local == datetime(1753, 1, 1)
