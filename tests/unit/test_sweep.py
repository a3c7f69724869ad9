"""Which runs the daily comparison carries: everything WATS does not have, but for dead letters."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from upath import UPath

from tests.unit.builders import NOON_LOCAL, a_report, a_run, guid_of
from tests.unit.fakes import FakeSource, FakeWats
from vte_wats.ports import TimeRange
from vte_wats.storage.dead_letters import DeadLetters, LetterKind
from vte_wats.sync.sweep import sweep
from vte_wats.windows import everything_until

NOW_AT = datetime(2026, 6, 16, tzinfo=UTC)
ALL = [TimeRange(NOON_LOCAL - timedelta(days=1), NOON_LOCAL + timedelta(days=1))]


@pytest.fixture
def letters(tmp_path) -> DeadLetters:
    return DeadLetters(UPath(tmp_path))


def test_a_run_that_wats_does_not_have_is_carried_and_one_it_has_is_not(letters):
    missing = sweep(FakeSource(a_run(1), a_run(2), a_run(3)), FakeWats(a_report(2)), letters, ALL)
    assert missing.runs == [guid_of(1), guid_of(3)]


def test_dead_letters_stay_and_held_runs_are_tried_again(letters):
    letters.put(a_run(1), LetterKind.DEAD, "serial is blank", "serial is blank", NOW_AT)
    letters.put(a_run(2), LetterKind.HELD, "process 7 is not in WATS", "process 7 is not in WATS", NOW_AT)
    assert sweep(FakeSource(a_run(1), a_run(2)), FakeWats(), letters, ALL).runs == [guid_of(2)]
    assert letters.guids() == {guid_of(1), guid_of(2)}


def test_a_held_run_older_than_the_comparison_is_tried_again_too(letters):
    letters.put(a_run(7, timestamp_local=datetime(1999, 1, 1)), LetterKind.HELD, "no map", "no map", NOW_AT)
    assert sweep(FakeSource(a_run(1)), FakeWats(), letters, ALL).runs == [guid_of(1), guid_of(7)]


def test_the_times_of_missing_runs_are_told_but_not_those_of_held_ones(letters):
    letters.put(a_run(2), LetterKind.HELD, "process 7 is not in WATS", "process 7 is not in WATS", NOW_AT)
    swept = sweep(FakeSource(a_run(1), a_run(2), a_run(3)), FakeWats(a_report(3)), letters, ALL)
    assert swept.runs == [guid_of(1), guid_of(2)]
    assert swept.times_local == [a_run(1).timestamp_local]


def test_one_statement_reads_the_keys_however_many_there_are(letters):
    source = FakeSource(*(a_run(number) for number in range(1, 2502)))
    wats = FakeWats()
    assert len(sweep(source, wats, letters, ALL).runs) == 2501
    assert source.statements == ["select_run_keys"]
    assert wats.asked == [1000, 1000, 501]


def test_everything_reaches_from_the_first_day_a_datetime_can_hold_to_now_and_not_into_the_future(letters):
    ancient = a_run(1, timestamp_local=datetime(1970, 1, 1))
    future = a_run(2, timestamp_local=datetime(2026, 6, 16, 2, 0, 1))
    ranges = everything_until(NOW_AT, ZoneInfo("Europe/Oslo"))
    assert sweep(FakeSource(ancient, future), FakeWats(), letters, ranges).runs == [guid_of(1)]
    assert ranges[0].from_local == datetime(1753, 1, 1)
