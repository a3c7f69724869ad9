"""The backfill's tasks against a plant, run task by task in this process: forms, gaps, preview, progress."""

from __future__ import annotations

import json
import os
from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.variable import Variable
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import select

from tests.site.in_process import BEGIN_AT
from tests.wats_profiles import every_wats

BACKFILL = "vte_wats_backfill"
BLANK = {"from": None, "to": None, "guids": [], "dead_letters": None, "batch_size": None}


def backfill(site: Any, **form: Any) -> str:
    return site.sync(dag_id=BACKFILL, **(BLANK | form))


def time_range(from_minute: int, to_minute: int) -> dict[str, str]:
    edges = {"from": from_minute, "to": to_minute}
    return {name: (BEGIN_AT + timedelta(minutes=minute)).isoformat() for name, minute in edges.items()}


def progress() -> dict[str, Any]:
    return json.loads(Variable.get("vte_wats_backfill"))


def test_a_wrong_form_is_refused_before_anything_is_read(site):
    site.plant.vte.log.clear()
    assert backfill(site, **time_range(5, 5)) == "failed"
    assert "from: must lie before to" in site.refusal
    assert list(site.plant.vte.log) == []
    assert Variable.get("vte_wats_backfill", default_var=None) is None


@every_wats()
def test_a_time_range_becomes_coverage_and_closes_the_gap_that_kept_last_sync_back(site):
    assert site.sync(5) == "success"
    (early,) = site.state["coverage"]
    assert site.sync(60) == "success"
    (whole,) = site.state["coverage"]  # the sync has filled the gap: open it again, as after an outage
    late = {"from": (BEGIN_AT + timedelta(minutes=49)).isoformat(), "to": whole["to"]}
    site.state = site.state | {"coverage": [early, late]}
    before = site.state
    assert backfill(site, **time_range(0, 20)) == "success"
    assert len(site.state["coverage"]) == 2, "the gap is not closed yet"
    assert site.state["lastSync"] < before["coverage"][1]["from"]
    assert backfill(site, **time_range(15, 50)) == "success"
    assert len(site.state["coverage"]) == 1
    assert site.state["lastSync"] == before["coverage"][1]["to"]
    assert site.state["settings_hash"] == before["settings_hash"]
    assert (progress()["transferred"], progress()["remaining_s"]) == (progress()["runs"], 0)


def test_a_dry_run_posts_nothing_and_moves_nothing(site):
    assert site.sync(5) == "success"
    before, posted = site.state, len(site.plant.wats.log.find("POST"))
    assert backfill(site, **time_range(0, 60), dry_run=True) == "success"
    assert site.state == before
    assert len(site.plant.wats.log.find("POST")) == posted
    assert progress()["dry_run"] is True
    assert set(progress()["preview"]) == {"shortened", "taken", "not taken", "dead", "held"}


def test_named_runs_and_dead_letters_are_transferred_without_coverage(site):
    assert site.sync(5) == "success"
    before = site.state
    (guid,) = [str(guid) for (guid,) in site.plant.db.query('SELECT "Index_GUID" FROM "IndexData" LIMIT 1')]
    assert backfill(site, guids=[guid]) == "success"
    assert backfill(site, dead_letters="all") == "success"
    assert site.state["coverage"] == before["coverage"]


@pytest.fixture
def small_parts(bag, monkeypatch) -> None:
    """Parts of one slice."""
    monkeypatch.setattr(bag.dags[BACKFILL].get_task("plan"), "op_args", ("", 1))


def triggered() -> dict[str, Any] | None:
    """Return the conf of the DAG run that the last part triggered."""
    with create_session() as session:
        found = session.scalars(select(DagRun).where(DagRun.run_id.contains("__part_"))).all()
        conf = found[-1].conf if found else None
        for dag_run in found:
            session.delete(dag_run)
    return conf


def guids_of(site: Any) -> list[str]:
    return [str(guid) for (guid,) in site.plant.db.query('SELECT "Index_GUID" FROM "IndexData" ORDER BY 1')]


def load_hour(site: Any, hour: int) -> set[str]:
    """Let four runs start in an hour; return their GUIDs."""
    before = set(guids_of(site))
    start_at = BEGIN_AT + timedelta(hours=hour)
    site.plant.factory_data.load(site.plant.db, start=start_at, end=start_at + timedelta(minutes=15), runs=4, steps=2)
    return set(guids_of(site)) - before


def next_parts(site: Any) -> list[str]:
    """Run every further part as Airflow would; return how each ended."""
    ended = []
    while conf := triggered():
        ended.append(site.sync(dag_id=BACKFILL, **(BLANK | conf)))
    return ended


@pytest.mark.usefixtures("small_parts")
def test_parts_hand_each_other_a_reference_and_transfer_every_named_run(site):
    guids = guids_of(site)
    assert backfill(site, guids=guids, batch_size=4, note="{{ conn.wats_default.password }}") == "success"
    conf = triggered()
    assert set(conf) == {"dry_run", "force", "continued"}
    assert set(conf["continued"]) == {"plan", "part"}
    with create_session() as session:
        left = session.query(XComModel).filter_by(dag_id=BACKFILL)
        assert not [
            found.key for found in left if sum(guid in str(found.value) for guid in guids) > 1
        ]  # a link has one
    assert site.sync(dag_id=BACKFILL, **(BLANK | conf)) == "success"
    assert next_parts(site) == ["success"]
    assert site.plant.receipts.keys() == set(guids)
    assert (progress()["parts"], progress()["part"], progress()["transferred"]) == (3, 3, 9)
    assert progress()["ended_at"] is not None


@pytest.mark.usefixtures("small_parts")
def test_a_part_that_finds_fewer_runs_than_planned_fails_and_the_next_part_goes_on(site, caplog):
    guids = [*guids_of(site), "00000000-0000-0000-0000-00000000dead"]
    assert backfill(site, guids=guids, batch_size=5) == "failed"
    assert "VW624 1 of 1 slices found fewer runs than planned" in site.refusal
    assert "g0001 · 5 named runs: 4 of 5 runs" in site.refusal
    assert next_parts(site) == ["success"]
    assert "VW920 not in VTE, or no longer: 00000000-0000-0000-0000-00000000dead" in caplog.text
    assert site.plant.receipts.keys() == set(guids[:-1])


def test_a_dry_run_that_finds_fewer_runs_than_planned_says_that_nothing_is_posted(site):
    assert backfill(site, guids=["00000000-0000-0000-0000-00000000dead"], dry_run=True) == "failed"
    assert "The runs that were found are compared, and nothing is posted." in site.refusal


@pytest.mark.usefixtures("small_parts")
def test_a_part_whose_runs_were_all_deleted_since_they_were_planned_fails_and_the_next_part_goes_on(site):
    hours = [set(guids_of(site)), load_hour(site, 1), load_hour(site, 2)]
    assert backfill(site, **time_range(0, 180), batch_size=5) == "success"
    assert site.plant.receipts.keys() == hours[0]
    for table, guid in product(["TestDataNumeric", "TestDataText", "TestDataOther", "IndexData"], hours[1]):
        site.plant.db.query(f'DELETE FROM "{table}" WHERE "Index_GUID" = ?', [guid])
    conf = triggered()
    assert site.sync(dag_id=BACKFILL, **(BLANK | conf)) == "failed"
    assert "VW624 part 2 of 3, from 2026-03-02T01:00:00+00:00 to 2026-03-02T02:00:00+00:00, had 4 runs" in site.refusal
    assert "if they were deleted on purpose, mark this task as success" in site.refusal
    assert next_parts(site) == ["success"]
    assert site.plant.receipts.keys() == hours[0] | hours[2]


@pytest.mark.usefixtures("small_parts")
def test_time_in_which_no_runs_were_planned_is_no_failure(site):
    assert backfill(site, **time_range(60, 120), batch_size=5) == "success"


@pytest.mark.report("P4")
@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("template", ["{{ conn.wats_default.password }}", "{{ 7 * 7 }}", "{% raw %}", "plan.sql"])
def test_dead_letters_of_a_test_plan_that_is_a_template_are_redriven_in_every_part(site, monkeypatch, template):
    site.plant.db.query('UPDATE "IndexData" SET "TestplanName" = ?', [template])
    assert [site.sync(minute) for minute in (5, 10, 15, 20)] == ["success"] * 4
    assert len(site.plant.receipts) == 0
    settings = json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"]) | {"process_map": {"*": 100}}
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(settings))
    ended = [backfill(site, dead_letters=f"unmapped test plan '{template}'", batch_size=4)]
    assert [*ended, *next_parts(site)] == ["success"] * 3
    assert len(site.plant.receipts) == 9


@pytest.mark.parametrize("continued", [{"plan": "0" * 32, "part": 1}, {"plan": "../x", "part": 2}, "x", {"number": 1}])
def test_a_reference_that_somebody_wrote_by_hand_is_refused(site, continued):
    assert backfill(site, continued=continued) == "failed"
    assert "VW623" in site.refusal
