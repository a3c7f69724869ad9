"""What release 0.1.0 leaves in Airflow's Variables is read by this one, and the sync goes on from there.

Release 0.1.0 wrote ``tests/data/variables-0.1.0.json``: two syncs, a backfill and the monitor on this same plant, and its
models what it stores after a failure.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.models.variable import Variable

from tests.integration.in_process import Site
from vte_wats.config.settings import parse_settings
from vte_wats.config.sites import Site as Names
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

LEFT: dict[str, Any] = json.loads(
    (Path(__file__).parents[1] / "data" / "variables-0.1.0.json").read_text(encoding="utf-8")
)
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
