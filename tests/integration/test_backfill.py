"""The backfill's tasks against a plant, run task by task in this process: forms, gaps, preview, progress."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from airflow.models.variable import Variable

from tests.integration.in_process import BEGIN_AT

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


def test_a_time_range_becomes_coverage_and_closes_the_gap_that_kept_last_sync_back(site):
    assert site.sync(5) == "success"
    assert site.sync(60) == "success"
    before = site.state
    assert len(before["coverage"]) == 2
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
