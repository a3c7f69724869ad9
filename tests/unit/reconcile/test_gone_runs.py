"""Which reports in WATS have no run in VTE any more."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from upath import UPath

from tests.unit.builders import a_run, a_settings, guid_of
from tests.unit.fakes import FakeSource, FakeWats
from vte_wats.domain.report import Report
from vte_wats.domain.run import WITHOUT_KEY, DeadLetterKind, VteTestRun
from vte_wats.mapping.report_builder import map_run
from vte_wats.reconcile.gone_runs import find_gone, remove_without_row, stage_listed, whole_days
from vte_wats.state.proof import GoneRuns
from vte_wats.storage.dead_letter_index import DeadLetterSummary
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import Staging

OSLO = ZoneInfo("Europe/Oslo")
FIRST, END = date(2026, 6, 15), date(2026, 6, 17)
MIDNIGHT = datetime(2026, 6, 15)
HERE, ELSEWHERE = UUID(int=4), UUID(int=5)


def run_at(number: int, local: datetime, station: UUID = HERE) -> VteTestRun:
    return a_run(number, timestamp_local=local, testsystem_guid=station)


@pytest.fixture
def gone_in(tmp_path):
    """What is found by listing first and looking then, as the two tasks do."""

    def listed_and_found(source: FakeSource, wats: FakeWats) -> dict[date, GoneRuns] | None:
        staging = Staging(UPath(tmp_path))
        stage_listed(wats, staging, [(FIRST, END)], OSLO)
        return find_gone(source, staging, [(FIRST, END)])

    return listed_and_found


def mapped(run: VteTestRun) -> Report:
    return map_run(run, a_settings())


def test_runs_that_vte_no_longer_has_are_counted_by_the_day_of_their_timestamps(gone_in):
    runs = [run_at(n, MIDNIGHT + timedelta(hours=n)) for n in range(1, 48)]
    source, wats = FakeSource(*runs[3:40]), FakeWats(*map(mapped, runs))
    assert gone_in(source, wats) == {
        FIRST: GoneRuns(runs=3, examples=tuple(str(guid_of(n)) for n in (1, 2, 3))),
        date(2026, 6, 16): GoneRuns(runs=7, examples=tuple(str(guid_of(n)) for n in range(41, 48))),
    }


def test_reports_of_another_database_and_of_other_days_do_not_count(gone_in):
    start = MIDNIGHT + timedelta(seconds=1)  # the test began the day before
    runs = [
        run_at(1, start),
        run_at(2, start, ELSEWHERE),
        run_at(3, MIDNIGHT - timedelta(seconds=1)),
        run_at(4, MIDNIGHT + timedelta(days=2)),
    ]
    source, wats = FakeSource(run_at(9, MIDNIGHT)), FakeWats(*map(mapped, runs))
    found = gone_in(source, wats)
    assert found == {FIRST: GoneRuns(runs=1, examples=(str(guid_of(1)),))}


def test_a_run_whose_timestamp_was_corrected_is_not_gone(gone_in):
    wats = FakeWats(mapped(run_at(1, MIDNIGHT)))
    assert gone_in(FakeSource(run_at(1, MIDNIGHT - timedelta(days=90))), wats) == {}


@pytest.mark.slow
def test_a_hundred_examples_of_a_day_are_kept_and_a_thousand_runs_asked_for_at_once(gone_in, caplog):
    runs = [run_at(n, MIDNIGHT + timedelta(seconds=n)) for n in range(1, 1_002)]
    source = FakeSource(run_at(9_999, MIDNIGHT))
    (found,) = gone_in(source, FakeWats(*map(mapped, runs))).values()
    assert (found.runs, len(found.examples)) == (1_001, 100)
    assert source.statements == ["select_testsystems", "select_run_keys", "select_run_keys"]
    assert "VW554 1001 runs are in WATS and no longer in VTE" in caplog.text


def test_a_thousand_examples_of_all_days_are_kept_those_of_the_newest(gone_in, monkeypatch):
    monkeypatch.setattr("vte_wats.reconcile.gone_runs._EXAMPLES_KEPT", 5)
    runs = [run_at(n, MIDNIGHT + timedelta(hours=6 * n)) for n in range(8)]
    found = gone_in(FakeSource(run_at(999, MIDNIGHT)), FakeWats(*map(mapped, runs)))
    assert {day.day: (gone.runs, len(gone.examples)) for day, gone in found.items()} == {15: (4, 1), 16: (4, 4)}


def test_a_wats_that_lists_nothing_says_nothing(gone_in, caplog):
    wats = FakeWats()
    wats.lists_ranges = False
    assert gone_in(FakeSource(), wats) is None
    assert "VW555" in caplog.text


def test_the_days_are_whole_and_their_end_is_left_out():
    assert whole_days([(FIRST, END), (END, END)]) == [FIRST, date(2026, 6, 16)]


def test_the_dead_letter_of_a_row_that_has_its_guid_by_now_is_removed_and_no_other(tmp_path):
    dead_letters, now_at = DeadLetters(UPath(tmp_path)), datetime(2026, 6, 18, tzinfo=UTC)
    for n, signature in {1: WITHOUT_KEY, 2: WITHOUT_KEY, 3: "serial is blank"}.items():
        dead_letters.put(run_at(n, MIDNIGHT), DeadLetterKind.DEAD, f"VW234 {signature}", signature, now_at)
    source = FakeSource(run_at(2, MIDNIGHT))
    assert remove_without_row(source, dead_letters, map(DeadLetterSummary.of, dead_letters)) == 1
    assert dead_letters.guids() == {guid_of(2), guid_of(3)}
