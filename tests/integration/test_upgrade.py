"""What release 0.1.0 leaves in Airflow's Variables and in the storage is read by this one, and the sync goes on from there.

Release 0.1.0 wrote ``tests/data/variables-0.1.0.json``: two syncs, a backfill and the monitor on this same plant, and its
models what it stores after a failure. It wrote ``tests/data/storage-0.1.0``, too: a sync on this plant with a blank serial
and a test plan that ``process_map`` lacked, and one that was killed before it posted.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from airflow.models.variable import Variable
from upath import UPath

from tests.site.in_process import Site
from vte_wats.config.settings import parse_settings
from vte_wats.config.sites import Site as Names
from vte_wats.domain.run import VteTestRun
from vte_wats.orchestration.handover import KEY
from vte_wats.orchestration.variables import (
    BACKFILL,
    BUDGET_USAGE,
    HISTORY,
    LAST_FAILURE,
    MISSED_DEADLINE,
    MONITOR_STATE,
    STATE,
)
from vte_wats.storage.dead_letter_index import DeadLetterIndex
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.retention import Retention, remove_old
from vte_wats.storage.staging import staging_of

LEFT: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "variables-0.1.0.json").read_text(encoding="utf-8")
)
STORAGE = Path(__file__).parents[1] / "data" / "storage-0.1.0"
BLANK_SERIAL, HELD = UUID("8d449389-b3e6-4197-99f0-706fe704c81d"), UUID("13aa2953-4721-4ba8-81e3-f172cc012491")
KILLED = "manual__2026-11-29T04:44:54.091309+00:00"
NAMES = Names("")
READ_BY = {
    variable.name_of(NAMES): variable
    for variable in (STATE, HISTORY, MONITOR_STATE, BUDGET_USAGE, BACKFILL, MISSED_DEADLINE, LAST_FAILURE)
}
RENAMED = {"run_id": "dag_run_id", "told_at": "notified_at"}
# Known from the next check on, or said by what stands beside them.
DROPPED = {"vte_wats_alerts": {"ways"}, "vte_wats_budget": {"reserved", "resume_at_s"}}


@pytest.fixture
def upgraded(site: Site) -> Iterator[Site]:
    """A site that 0.1.0 served until now."""
    for name in READ_BY:
        Variable.set(name, json.dumps(LEFT[name]))
    yield site
    for name in READ_BY:
        Variable.delete(name)


@pytest.fixture
def storage(tmp_path: Path) -> UPath:
    """The storage that 0.1.0 left."""
    shutil.copytree(STORAGE, tmp_path, dirs_exist_ok=True)
    return UPath(tmp_path)


def test_every_variable_that_was_left_is_read():
    assert LEFT.keys() == {*READ_BY, NAMES.settings_variable}
    assert parse_settings(json.dumps(LEFT[NAMES.settings_variable])).process_code("PSU Board Test") == 50


def in_present_words(left: dict[str, Any]) -> dict[str, Any]:
    words = {RENAMED.get(name, name): value for name, value in left.items()}
    if "from_at" in words:
        words["interval"] = {"from": words.pop("from_at"), "to": words.pop("to_at")}
    if "conditions" in words:
        words["conditions"] = {key: in_present_words(condition) for key, condition in words["conditions"].items()}
        words["waiting"] = words["waiting"] | {"left_s": 0.0}
        words |= {server: words[server] | {"code": None} for server in ("vte", "wats")}
    return words


@pytest.mark.parametrize("name", READ_BY)
def test_nothing_that_was_left_is_lost(name, caplog):
    with caplog.at_level(logging.WARNING):
        read = READ_BY[name].parse(NAMES, json.dumps(LEFT[name]))
    assert read is not None, caplog.messages
    kept = json.loads(READ_BY[name].dump(read))
    expected = in_present_words(LEFT[name])
    for dropped in DROPPED.get(name, ()):
        assert not expected.pop(dropped)
    assert {key: kept.get(key) for key in expected} == expected


def test_the_sync_goes_on_where_the_earlier_release_stopped(upgraded):
    before = upgraded.state
    assert upgraded.sync(15) == "success", upgraded.refusal
    after = upgraded.state
    assert [covered["from"] for covered in after["coverage"]] == [before["coverage"][0]["from"]]
    assert after["lastSync"] > before["lastSync"]
    assert (after["syncs"], after["started"]) == (before["syncs"] + 1, before["started"])
    assert after["totals"]["uploaded"] == before["totals"]["uploaded"] + len(upgraded.plant.receipts)
    assert len(upgraded.history["counted"]) == len(LEFT[NAMES.history_variable]["counted"]) + 1


@pytest.mark.parametrize("change", [lambda left: left | {"of_another_release": 1}, lambda left: {"plan": left}])
def test_a_sync_under_way_during_the_update_closes_with_the_next(site, bag, change):
    """What the plan of another DAG version left is never half understood: its time stays open and is synced again."""
    assert site.sync(5) == "success"
    covered = site.state["coverage"]

    def rewrite(context):
        left = context["ti"].xcom_pull(task_ids="plan", key=KEY)
        context["ti"].xcom_push(key=KEY, value=left | {"planned": change(left["planned"])})

    plan = bag.dags["vte_wats_sync"].get_task("plan")
    plan.on_success_callback = [rewrite]
    try:
        site.sync(10)
    finally:
        plan.on_success_callback = []
    assert site.state["coverage"] == covered
    assert site.sync(15) == "success", site.refusal
    (closed,) = site.state["coverage"]
    assert closed["to"] > covered[0]["to"]
    assert set(site.plant.receipts.values()) == {1}


def test_every_dead_letter_that_was_left_is_shown_with_its_reason_and_its_dag_run(storage):
    found = DeadLetterIndex(storage).groups()
    assert (found.listed, found.read, found.unreadable, found.dead, found.held) == (2, 2, 0, 1, 1)
    assert {group.signature for group in found.groups} == {
        "serial is blank",
        "unmapped test plan 'RF Module Calibration'",
    }
    assert {left.dag_id for left in DeadLetters(storage)} == {"vte_wats_sync"}
    assert all(left.dag_run_id.startswith("manual__2026-11-29") for left in DeadLetters(storage))


def test_a_run_that_was_held_goes_through_and_a_corrected_one_is_redriven(upgraded, storage):
    """The settings have the test plan now; the serial is filled in after the first sync."""
    db = upgraded.plant.db
    ((unit, serial),) = db.query(
        'SELECT u."Uut_GUID", u."Serial" FROM "IndexData" i JOIN "UutData" u ON u."Uut_GUID" = i."Uut_GUID" '
        'WHERE i."Index_GUID" = ?',
        [BLANK_SERIAL],
    )
    fill_in = 'UPDATE "UutData" SET "Serial" = ? WHERE "Uut_GUID" = ?'
    db.query(fill_in, ["", unit])
    assert upgraded.sync(15) == "success", upgraded.refusal
    assert upgraded.plant.receipts[str(HELD)] == 1
    left = DeadLetters(storage).get(BLANK_SERIAL)
    assert left is not None
    assert left.attempts == 2
    assert HELD not in DeadLetters(storage).guids()
    db.query(fill_in, [serial, unit])
    form = {"from": None, "to": None, "guids": [], "batch_size": None, "dead_letters": "serial is blank"}
    assert upgraded.sync(dag_id="vte_wats_backfill", **form) == "success"
    assert upgraded.plant.receipts[str(BLANK_SERIAL)] == 1
    assert DeadLetters(storage).guids() == set()


def test_what_a_killed_upload_of_0_1_0_left_stops_nothing_and_goes_with_time(upgraded, storage, caplog):
    (keys,) = (storage / "uploading").iterdir()
    assert upgraded.sync(15) == "success", upgraded.refusal
    assert set(upgraded.plant.receipts.values()) == {1}
    later_at = datetime.now(UTC) + timedelta(days=15)
    removed = remove_old(storage, Retention(dead_letters=None, staging=timedelta(days=14)), later_at)
    assert (removed.dead_letters, removed.staging) == (0, 1)
    assert not keys.exists()


def test_the_runs_that_0_1_0_staged_can_be_read(storage):
    staging = staging_of(storage, "vte_wats_sync", KILLED, "s0001")
    runs = list(staging.parsed("runs", VteTestRun.model_validate_json))
    assert len(runs) == 9
    assert all(run.steps for run in runs)
