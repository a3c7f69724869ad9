"""Time that was not transferred is covered by later syncs, with no human action. Tasks run in this process."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from upath import UPath

from tests.site.in_process import BEGIN_AT, Site
from vte_wats.domain.errors import RetriableError
from vte_wats.messages import VW507
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.vte.reader import VteSource

HOUR, DAY = 60, 1_440


def configure(monkeypatch, **settings: object) -> None:
    known = json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"])
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(known | settings))


def load(site: Site, from_minute: int, to_minute: int, runs: int) -> None:
    """Commit runs of that time, evenly."""
    start, end = (BEGIN_AT + timedelta(minutes=minute) for minute in (from_minute, to_minute))
    site.plant.factory_data.load(site.plant.db, start=start, end=end, runs=runs, steps=2, oddities=[])


def assert_whole(site: Site, from_minute: int, to_minute: int) -> None:
    """Assert that coverage is one interval up to then, and that VTE equals WATS and the dead letters within it."""
    (covered,) = site.state["coverage"]
    to_at = BEGIN_AT + timedelta(minutes=to_minute - 1)  # settle_delay_s is a minute
    assert site.state["lastSync"] == covered["to"] == to_at.isoformat().replace("+00:00", "Z")
    zone = ZoneInfo(site.plant.factory_data.timezone)
    from_local, to_local = (
        at.astimezone(zone).replace(tzinfo=None) for at in (BEGIN_AT + timedelta(minutes=from_minute), to_at)
    )
    rows = site.plant.db.query('SELECT "Index_GUID", "Timestamp" FROM "IndexData"')
    in_vte = {str(guid).lower() for guid, local in rows if local is not None and from_local <= local < to_local}
    storage = json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"])["storage_path"]
    dead = {str(guid) for guid in DeadLetters(UPath(storage)).guids()}
    assert in_vte - dead == in_vte & site.plant.receipts.keys()
    assert not dead & site.plant.receipts.keys()
    assert set(site.plant.receipts.values()) == {1}


@pytest.mark.parametrize("what_failed", ["the DAG runs failed", "the DAG runs were deleted or marked by hand"])
def test_after_an_outage_of_an_hour_one_sync_closes_the_gap(site, what_failed):
    load(site, 15, 80, runs=40)
    assert site.sync(5) == "success"
    if what_failed == "the DAG runs failed":
        site.plant.wats.stop()
        assert [site.sync(minute) for minute in (10, 65)] == ["failed"] * 2
        site.plant.wats.start()
    assert site.sync(70) == "success"
    assert_whole(site, 0, 70)
    assert site.state["failed_gaps"] == []
    assert site.history.get("waiting", []) == []
    assert site.sync(75) == "success"
    assert_whole(site, 0, 75)


def test_after_an_outage_of_a_day_each_sync_closes_a_part_of_it_oldest_first(site, monkeypatch):
    configure(monkeypatch, catch_up_runs=30)
    load(site, 15, DAY + 60, runs=100)
    assert site.sync(5) == "success"
    reached = []
    for minute in range(DAY, DAY + 40, 5):
        assert site.sync(minute) == "success"
        reached.append(site.state["lastSync"])
        assert len(site.state["coverage"]) <= 2
        assert site.state["coverage"][-1]["to"] == (BEGIN_AT + timedelta(minutes=minute - 1)).isoformat().replace(
            "+00:00", "Z"
        )
        if len(site.state["coverage"]) == 1:
            break
    assert reached == sorted(set(reached))
    assert 3 <= len(reached) <= 5  # 96 runs, 30 and those of a second at a time
    assert_whole(site, 0, minute)


def test_a_gap_without_runs_costs_no_slice(site):
    assert site.sync(30) == "success"
    assert site.sync(3 * DAY) == "success"
    assert_whole(site, 0, 3 * DAY)


def test_an_earlier_start_date_is_a_gap_like_any_other(site, bag, monkeypatch):
    load(site, -HOUR, 0, runs=20)
    assert site.sync(20) == "success"
    monkeypatch.setattr(bag.dags["vte_wats_sync"], "start_date", BEGIN_AT - timedelta(hours=1))
    assert site.sync(25) == "success"
    assert site.state["lastSync"] == "2026-03-02T00:24:00Z"
    assert_whole(site, -HOUR, 25)


def test_a_longer_or_shorter_settle_delay_leaves_no_gap(site, monkeypatch):
    load(site, 15, 2 * HOUR, runs=60)
    configure(monkeypatch, settle_delay_s=1_800, guard_band_s=0)
    assert site.sync(60) == "success"
    configure(monkeypatch, settle_delay_s=60)
    assert site.sync(65) == "success"
    assert_whole(site, 0, 65)


def test_history_that_a_backfill_transferred_before_the_start_is_no_gap(site):
    form = {"guids": [], "batch_size": None, "dead_letters": None}
    old = {"from": "2026-02-01T00:00:00Z", "to": "2026-02-02T00:00:00Z"}
    assert site.sync(5) == "success"
    assert site.sync(dag_id="vte_wats_backfill", **form, **old) == "success"
    assert site.sync(10) == "success"
    assert [covered["from"] for covered in site.state["coverage"]] == ["2026-02-01T00:00:00Z", "2026-03-01T23:49:00Z"]


def test_a_gap_that_fails_leaves_the_current_interval_alone_and_says_why(site, monkeypatch):
    configure(monkeypatch, catch_up_runs=10)
    load(site, 60, 120, runs=30)
    assert site.sync(5) == "success"
    bad = _break_a_run(site, monkeypatch)
    for minute in range(180, 200, 5):
        assert site.sync(minute) == "success"
    live, (failed,) = site.state["coverage"][-1], site.state["failed_gaps"]
    assert live["to"] == "2026-03-02T03:14:00Z"
    assert "this row cannot be read" in failed["reason"]
    assert failed["interval"]["from"] <= bad < failed["interval"]["to"]


def test_a_gap_that_failed_is_covered_once_its_cause_is_gone(site, monkeypatch):
    load(site, 60, 120, runs=30)
    assert site.sync(5) == "success"
    with monkeypatch.context() as broken:
        _break_a_run(site, broken)
        assert site.sync(180) == "success"
        assert len(site.state["failed_gaps"]) == 1
    assert site.sync(185) == "success"  # it is not due yet
    assert len(site.state["coverage"]) == 2
    site.state = json.loads(json.dumps(site.state).replace('"due_at": "20', '"due_at": "19'))
    assert site.sync(190) == "success"
    assert site.state["failed_gaps"] == []
    assert_whole(site, 0, 190)


def test_a_dry_run_on_the_grid_costs_the_schedule_its_interval_and_the_next_sync_transfers_it(site):
    load(site, 15, 40, runs=12)
    assert site.sync(5) == "success"
    assert site.sync(30, dry_run=True) == "success"
    assert site.sync(35) == "success"
    assert_whole(site, 0, 35)


def test_no_gap_is_filled_while_other_syncs_are_at_work(site, monkeypatch):
    load(site, 15, 80, runs=20)
    assert site.sync(5) == "success"
    monkeypatch.setattr("vte_wats.orchestration.task_context.other_syncs_are_at_work", lambda _: True)
    assert site.sync(70) == "success"
    assert len(site.state["coverage"]) == 2


def test_a_dry_run_fills_no_gap(site):
    load(site, 15, 80, runs=20)
    assert site.sync(5) == "success"
    before, received = site.state, site.plant.receipts
    assert site.sync(70, dry_run=True) == "success"
    assert (site.state, site.plant.receipts) == (before, received)


def _break_a_run(site: Site, monkeypatch) -> str:
    """Let the reading of any slice with one run fail; return that run's time, ISO 8601 in UTC."""
    rows = site.plant.db.query('SELECT "Timestamp" FROM "IndexData" ORDER BY "Timestamp"')
    bad = [local for (local,) in rows if local is not None][20]
    read = VteSource.runs_between

    def runs_between(source, ranges):
        if any(local_range.from_local <= bad < local_range.to_local for local_range in ranges):
            raise RetriableError(VW507, "this row cannot be read")
        return read(source, ranges)

    monkeypatch.setattr(VteSource, "runs_between", runs_between)
    at = bad.replace(tzinfo=ZoneInfo(site.plant.factory_data.timezone)).astimezone(BEGIN_AT.tzinfo)
    return at.isoformat().replace("+00:00", "Z")
