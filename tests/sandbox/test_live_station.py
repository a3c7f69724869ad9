"""A live station commits headers first and steps later, and never holds anything up."""

import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sandbox.factory_data.factory import FactoryData
from tests.sandbox.in_memory_vte import InMemoryVte
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
STEP_TABLES = {"TestDataNumeric", "TestDataText", "TestDataOther"}
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)


def _until(condition):
    wait_until(condition, "the station")


def _steps(store, guid):
    return sum(store.value(f'SELECT count(*) FROM "{table}" WHERE "Index_GUID" = ?', guid) for table in STEP_TABLES)


class _Clock:
    """A second passes with every look."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        self.now += timedelta(seconds=1)
        return self.now


def test_a_live_station_commits_the_header_first_and_the_steps_in_a_transaction_of_their_own():
    looked = threading.Event()

    class Waiting(InMemoryVte):
        def insert_rows(self, rows):
            if STEP_TABLES & rows.keys():
                looked.wait(60)
            super().insert_rows(rows)

    store = Waiting()
    station = FactoryData(seed=5).live(store, every_s=60, child_delay_s=0.01, oddity_rate=0)
    with station:
        _until(lambda: station.committed)
        run = station.committed[0]
        assert store.value('SELECT count(*) FROM "IndexData" WHERE "Index_GUID" = ?', run.guid) == 1
        assert (_steps(store, run.guid), run.steps_at) == (0, None)
        looked.set()
        _until(lambda: run.steps_at)
        assert _steps(store, run.guid) == run.step_count > 0
    masters, header, steps = store.transactions
    assert "Users" in masters
    assert header == ("UutData", "IndexData")
    assert set(steps) <= STEP_TABLES


def test_a_live_station_keeps_committing_runs_that_end_now():
    store, clock = InMemoryVte(), _Clock()
    station = FactoryData(seed=5).live(store, every_s=0.02, clock=clock, child_delay_s=0.01, oddity_rate=0)
    with station:
        _until(lambda: len(station.committed) >= 10)
    assert station.refused == []
    stored = store.rows('SELECT "Index_GUID"::VARCHAR AS guid, "Timestamp" AS at FROM "IndexData" ORDER BY "Timestamp"')
    assert [(row["guid"], row["at"]) for row in stored] == [
        (run.guid, run.timestamp_local) for run in station.committed
    ]
    began, ended = (at.replace(tzinfo=None) + timedelta(hours=2) for at in (NOON, clock.now))  # as Oslo's clocks show
    assert all(began < run.timestamp_local <= ended for run in station.committed)


def test_stopping_a_live_station_leaves_no_header_without_its_steps():
    store = InMemoryVte()
    station = FactoryData(seed=5).live(store, every_s=0.02, child_delay_s=60, oddity_rate=0).start()
    try:
        _until(lambda: len(station.committed) >= 3)
        assert all(run.steps_at is None for run in station.committed)
    finally:
        station.stop()
    assert all(_steps(store, run.guid) == run.step_count for run in station.committed)
    station.stop()


def test_a_live_station_draws_the_oddities_it_is_given_and_says_which():
    store = InMemoryVte()
    station = FactoryData(seed=5).live(
        store, every_s=0.02, child_delay_s=0.01, oddity_rate=1, oddities=["blank_serial", "no_steps"]
    )
    with station:
        _until(lambda: set(station.guids_by_oddity) == {"blank_serial", "no_steps"})
    for guid in station.guids_by_oddity["no_steps"]:
        assert _steps(store, guid) == 0
    blank = (
        'SELECT trim(u."Serial") FROM "UutData" AS u JOIN "IndexData" AS i USING ("Uut_GUID") WHERE "Index_GUID" = ?'
    )
    assert all(store.value(blank, guid) == "" for guid in station.guids_by_oddity["blank_serial"])


def test_slow_steps_come_long_after_the_others():
    store = InMemoryVte()
    station = FactoryData(seed=5).live(
        store, every_s=60, child_delay_s=0.02, oddity_rate=1, oddities=["header_long_before_steps"]
    )
    with station:
        _until(lambda: station.committed and station.committed[0].steps_at)
    run = station.committed[0]
    assert run.steps_at - run.header_at >= timedelta(seconds=0.35)


def test_wrong_clocks_are_drawn_only_when_named():
    factory_data = FactoryData(seed=5)
    drawn = factory_data.live(InMemoryVte()).oddities
    assert set(factory_data.oddities) - set(drawn) == {
        "future_by_minutes",
        "future_by_years",
        "clock_reset_to_1970",
        "clock_reset_to_2000",
    }
    with pytest.raises(ValueError, match="no such oddity"):
        factory_data.live(InMemoryVte(), oddities=["no such thing"])


def test_a_live_station_works_on_when_the_store_refuses_once():
    class Refusing(InMemoryVte):
        refusals = 1

        def insert_rows(self, rows):
            if "IndexData" in rows and self.refusals:
                self.refusals -= 1
                raise OSError("database is restarting")
            super().insert_rows(rows)

    store = Refusing()
    station = FactoryData(seed=5).live(store, every_s=0.02, child_delay_s=0.01, oddity_rate=0)
    with station:
        _until(lambda: len(station.committed) >= 3)
    assert [str(error) for error in station.refused] == ["database is restarting"]
    assert store.value('SELECT count(*) FROM "IndexData"') == len(station.committed)


def test_live_runs_go_on_after_a_bulk_load_of_the_same_plant():
    store, factory_data = InMemoryVte(), FactoryData(seed=5)
    factory_data.load(store, start=NOON - timedelta(hours=1), end=NOON, runs=100, oddities=True)
    loaded = store.value('SELECT count(*) FROM "IndexData"')
    with factory_data.live(store, every_s=0.02, child_delay_s=0.01) as station:
        _until(lambda: len(station.committed) >= 5)
    assert store.value('SELECT count(*) FROM "IndexData"') == loaded + len(station.committed)


def test_a_live_station_never_keeps_the_process_alive():
    code = (
        "from sandbox.factory_data.factory import FactoryData\n"
        "from tests.sandbox.in_memory_vte import InMemoryVte\n"
        "FactoryData(seed=5).live(InMemoryVte(), every_s=600).start()\n"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT)},
        timeout=120,
        capture_output=True,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
