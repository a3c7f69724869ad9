"""Which reports in WATS have no run in VTE any more."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from tests.unit.builders import a_run, a_settings, guid_of
from tests.unit.fakes import FakeSource, FakeWats
from vte_wats.domain.report import Report
from vte_wats.domain.run import VteTestRun
from vte_wats.mapping.report_builder import map_run
from vte_wats.reconcile.gone_runs import find_gone, whole_days
from vte_wats.state.proof import GoneRuns

OSLO = ZoneInfo("Europe/Oslo")
FIRST, END = date(2026, 6, 15), date(2026, 6, 17)
MIDNIGHT = datetime(2026, 6, 15)
HERE, ELSEWHERE = UUID(int=4), UUID(int=5)


def run_at(number: int, local: datetime, station: UUID = HERE) -> VteTestRun:
    return a_run(number, timestamp_local=local, testsystem_guid=station)


def mapped(run: VteTestRun) -> Report:
    return map_run(run, a_settings())


def test_runs_that_vte_no_longer_has_are_counted_by_the_day_of_their_timestamps():
    runs = [run_at(n, MIDNIGHT + timedelta(hours=n)) for n in range(1, 48)]
    source, wats = FakeSource(*runs[3:40]), FakeWats(*map(mapped, runs))
    assert find_gone(source, wats, [(FIRST, END)], OSLO) == {
        FIRST: GoneRuns(runs=3, examples=tuple(str(guid_of(n)) for n in (1, 2, 3))),
        date(2026, 6, 16): GoneRuns(runs=7, examples=tuple(str(guid_of(n)) for n in range(41, 48))),
    }


def test_reports_of_another_database_and_of_other_days_do_not_count():
    start = MIDNIGHT + timedelta(seconds=1)  # the test began the day before
    runs = [
        run_at(1, start),
        run_at(2, start, ELSEWHERE),
        run_at(3, MIDNIGHT - timedelta(seconds=1)),
        run_at(4, MIDNIGHT + timedelta(days=2)),
    ]
    source, wats = FakeSource(run_at(9, MIDNIGHT)), FakeWats(*map(mapped, runs))
    found = find_gone(source, wats, [(FIRST, END)], OSLO)
    assert found == {FIRST: GoneRuns(runs=1, examples=(str(guid_of(1)),))}


def test_a_run_whose_timestamp_was_corrected_is_not_gone():
    wats = FakeWats(mapped(run_at(1, MIDNIGHT)))
    assert find_gone(FakeSource(run_at(1, MIDNIGHT - timedelta(days=90))), wats, [(FIRST, END)], OSLO) == {}


def test_a_hundred_examples_of_a_day_are_kept():
    runs = [run_at(n, MIDNIGHT + timedelta(seconds=n)) for n in range(1, 152)]
    (found,) = find_gone(FakeSource(run_at(999, MIDNIGHT)), FakeWats(*map(mapped, runs)), [(FIRST, END)], OSLO).values()
    assert (found.runs, len(found.examples)) == (151, 100)


def test_a_thousand_examples_of_all_days_are_kept_those_of_the_newest(monkeypatch):
    monkeypatch.setattr("vte_wats.reconcile.gone_runs._EXAMPLES_KEPT", 5)
    runs = [run_at(n, MIDNIGHT + timedelta(hours=6 * n)) for n in range(8)]
    found = find_gone(FakeSource(run_at(999, MIDNIGHT)), FakeWats(*map(mapped, runs)), [(FIRST, END)], OSLO)
    assert {day.day: (gone.runs, len(gone.examples)) for day, gone in found.items()} == {15: (4, 1), 16: (4, 4)}


def test_a_wats_that_lists_nothing_says_nothing():
    wats = FakeWats()
    wats.lists_ranges = False
    assert find_gone(FakeSource(), wats, [(FIRST, END)], OSLO) is None


def test_the_days_are_whole_and_their_end_is_left_out():
    assert whole_days([(FIRST, END), (END, END)]) == [FIRST, date(2026, 6, 16)]
