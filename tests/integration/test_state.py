"""The state in Airflow: whose it is, and what stops when it is lost, older or another's. Tasks run in this process."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.models.variable import Variable
from airflow.utils.session import create_session

from sandbox.environment import SandboxEnvironment
from tests.site.in_process import BEGIN_AT, STATE, Site
from tests.wats_profiles import every_wats


@every_wats()
def test_the_first_sync_names_source_and_target_and_the_next_ones_go_on(site):
    assert site.sync(5) == "success"
    first = site.state
    assert (first["source"]["server"], first["source"]["database"]) == ("VTE-SANDBOX", "VTE9_3")
    assert first["target"] == "127.0.0.1"
    assert site.sync(10) == "success"
    assert {name: site.state[name] for name in ("started", "source", "target")} == {
        name: first[name] for name in ("started", "source", "target")
    }
    assert site.state["syncs"] == 2


def test_an_empty_interval_costs_two_tasks_and_extends_coverage(site):
    with site.showing_after(delay_s=3_600):
        assert site.sync(40) == "success"
        assert tasks_of(site, 45) == {"plan", "settle"}
        assert len(site.state["coverage"]) == 1


def test_an_empty_interval_asks_once_for_what_was_confirmed_before(site, clock):
    with site.showing_after(delay_s=0):
        assert site.sync(40) == "success"
        clock.pass_minutes(1)
        assert {"plan", "settle"} < tasks_of(site, 45)
        assert tasks_of(site, 50) == {"plan", "settle"}


def tasks_of(site: Site, minute: int) -> set[str]:
    """Sync; return the tasks that ran. All others were skipped."""
    with create_session() as session:
        session.query(TaskInstance).delete()
    assert site.sync(minute) == "success"
    with create_session() as session:
        states = {task.task_id: str(task.state) for task in session.query(TaskInstance)}
    assert set(states.values()) <= {"success", "skipped"}
    return {task_id for task_id, state in states.items() if state == "success"}


def stored() -> str | None:
    return Variable.get(STATE, default_var=None)


def refused(site: Site, words: str, **given: Any) -> bool:
    """Sync; return whether plan stopped with these words and left the state alone."""
    before = stored()
    ended = site.sync(**given)
    assert words in site.refusal
    return ended == "failed" and before == stored()


def test_another_server_stops_until_it_is_accepted(site, monkeypatch):
    assert site.sync(5) == "success"
    before = site.state
    moved = SandboxEnvironment()
    moved.vte.server_name = "PLANT-2"
    with moved:
        monkeypatch.setenv("AIRFLOW_CONN_VTE_DEFAULT", json.dumps(moved.connections["vte_default"]))
        assert refused(site, "another database than the one synced so far: VTE9_3 on PLANT-2", minute=10)
        assert refused(site, "another database", dag_id="vte_wats_reconcile")
        assert site.sync(10, accept_identity=True) == "success"
        assert site.state["source"]["server"] == "PLANT-2"
        assert site.state["coverage"][0]["from"] == before["coverage"][0]["from"]
        assert site.sync(15) == "success"


def test_a_restored_database_stops(site):
    assert site.sync(5) == "success"
    site.plant.db.facts = replace(site.plant.db.facts, created_local=datetime(2026, 3, 2, 1))
    assert refused(site, "the database was restored or created again", minute=10)


def test_another_wats_stops(site, monkeypatch):
    assert site.sync(5) == "success"
    fields = site.plant.connections["wats_default"]
    fields["host"] = fields["host"].replace("127.0.0.1", "localhost")
    monkeypatch.setenv("AIRFLOW_CONN_WATS_DEFAULT", json.dumps(fields))
    assert refused(site, "another WATS than the one synced to so far: localhost; so far 127.0.0.1", minute=10)


def test_a_lost_state_stops_and_starts_again_when_accepted(site):
    assert site.sync(5) == "success"
    started = site.state["started"]
    Variable.delete(STATE)
    assert refused(site, "vte_wats_state is lost", minute=10)
    assert site.sync(accept_identity=True) == "success"
    assert site.state["started"] > started
    assert datetime.now(UTC) - datetime.fromisoformat(site.state["lastSync"]) < timedelta(minutes=30)
    assert site.state["totals"]["unchanged"] > 0
    assert site.sync(15) == "success"


def test_after_an_older_state_was_restored_the_syncs_transfer_what_is_not_in_it_again(site):
    assert site.sync(5) == "success"
    older = site.state
    assert site.sync(10) == "success"
    received = site.plant.receipts
    site.state = older
    assert site.sync(15) == "success"
    assert site.state["started"] > older["started"]
    assert len(site.state["coverage"]) == 1
    assert site.plant.receipts.items() >= received.items()


def test_a_state_of_the_future_stops(site):
    assert site.sync(5) == "success"
    site.state = site.state | {"coverage": [{"from": "2026-03-01T00:00:00Z", "to": "2099-01-01T00:00:00Z"}]}
    assert refused(site, "vte_wats_state covers time in the future")


def test_a_damaged_state_stops(site):
    Variable.set(STATE, "{}")
    assert refused(site, "vte_wats_state is damaged", minute=5)


def test_intervals_that_failed_before_any_sync_leave_no_lost_state_behind(site, monkeypatch):
    monkeypatch.setenv(
        "AIRFLOW_CONN_WATS_DEFAULT", json.dumps(site.plant.connections["wats_default"] | {"password": "d3Jvbmc="})
    )
    assert site.sync(5) == "failed"
    monkeypatch.setenv("AIRFLOW_CONN_WATS_DEFAULT", json.dumps(site.plant.connections["wats_default"]))
    assert site.sync(10) == "success"


def test_a_dry_run_leaves_no_trace_that_a_later_sync_would_miss(site):
    assert site.sync(5, dry_run=True) == "success"
    assert stored() is None
    assert site.sync(10) == "success"


def test_the_daily_comparison_starts_no_state(site):
    assert site.sync(dag_id="vte_wats_reconcile", days=0) == "success"
    assert stored() is None
    assert site.sync(5) == "success"


def test_the_skew_of_the_clocks_is_in_the_state(site, clock, caplog):
    site.plant.vte.clock = lambda: clock() + timedelta(minutes=2)
    assert site.sync(5) == "success"
    assert site.state["clock_skew_s"] == pytest.approx(120, abs=0.1)
    assert caplog.text.count("SQL Server's clock differs from Airflow's by +1") == 1


def test_late_runs_are_counted_by_their_age(site):
    assert site.sync(10) == "success"
    zone = ZoneInfo(site.plant.factory_data.timezone)
    before = site.state["late_arrivals"]["late"]
    for age_s in (30, 200, 201):
        at = BEGIN_AT + timedelta(minutes=9, seconds=-age_s)  # settle_delay_s is a minute
        site.plant.db.insert_rows(
            {"IndexData": [{"Index_GUID": uuid4(), "Timestamp": at.astimezone(zone).replace(tzinfo=None), "Result": 1}]}
        )
    assert site.sync(15) == "success"
    assert before == {}
    assert site.state["late_arrivals"]["late"] == {"60": 1, "300": 2, "600": 0}


def test_what_the_comparison_finds_too_late_is_counted_beyond_the_guard_band(site):
    with site.showing_after(delay_s=3_600):  # so that it finds none of the reports of the syncs either
        assert site.sync(5) == "success"
        assert site.sync(60) == "success"
        zone = ZoneInfo(site.plant.factory_data.timezone)
        for minute in (2, 50, 55, 90):  # two are done, one is in the guard band of the last sync, one not done yet
            at_local = (BEGIN_AT + timedelta(minutes=minute - 2)).astimezone(zone).replace(tzinfo=None)
            site.plant.db.insert_rows({"IndexData": [{"Index_GUID": uuid4(), "Timestamp": at_local, "Result": 1}]})
        assert site.sync(dag_id="vte_wats_reconcile", days=0) == "success"
        assert site.state["late_arrivals"]["late"] == {"1800": 2}
        assert site.sync(dag_id="vte_wats_reconcile", days=0) == "success"  # dead letters by now: they have no serial
        assert site.state["late_arrivals"]["late"] == {"1800": 2}
        assert set(site.plant.receipts.values()) == {1}


def test_the_daily_comparison_finds_runs_of_clocks_that_fell_back(site, tmp_path):
    assert site.sync(5) == "success"
    reset = uuid4()
    row = {"Index_GUID": reset, "Timestamp": datetime(2000, 1, 1, 0, 3), "Result": 1}
    site.plant.db.insert_rows({"IndexData": [row]})
    assert site.sync(dag_id="vte_wats_reconcile", days=7) == "success"
    assert (tmp_path / "dead_letters" / f"{reset}.json").exists()  # it has no serial


def test_settings_that_change_during_a_sync_give_held_runs_a_try_at_the_next(site, bag, monkeypatch):
    assert site.sync(5) == "success"
    before = site.state["settings_hash"]
    plan = bag.dags["vte_wats_sync"].get_task("plan")
    changed = json.dumps(json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"]) | {"default_location": "Hall 2"})
    plan.on_success_callback = [lambda _: monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", changed)]
    try:
        assert site.sync(10) == "success"
    finally:
        plan.on_success_callback = []
    assert site.state["settings_hash"] == before
    assert site.sync(15) == "success"
    assert site.state["settings_hash"] != before


@every_wats()
def test_a_dead_letter_that_is_removed_is_counted_in_the_state(site):
    site.plant.db.query('UPDATE "UutData" SET "Serial" = NULL')
    assert site.sync(10) == "success"
    dead = site.state["totals"]["dead"]
    assert dead > 3
    assert site.state["redriven"] == 0
    site.plant.db.query("""UPDATE "UutData" SET "Serial" = 'SN-' || CAST("Uut_GUID" AS VARCHAR)""")
    form = {"from": None, "to": None, "guids": [], "batch_size": None, "dead_letters": "all"}
    assert site.sync(dag_id="vte_wats_backfill", **form) == "success"
    assert (site.state["totals"]["uploaded"], site.state["redriven"]) == (dead, dead)


def test_a_state_that_disappears_during_a_sync_is_not_started_again(site, bag):
    assert site.sync(5) == "success"
    plan = bag.dags["vte_wats_sync"].get_task("plan")
    plan.on_success_callback = [lambda _: Variable.delete(STATE)]
    try:
        assert site.sync(10) == "failed"
    finally:
        plan.on_success_callback = []
    assert stored() is None
    assert refused(site, "vte_wats_state is lost", minute=15)
