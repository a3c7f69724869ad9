"""The daily comparison looks into reports: what WATS says is what VTE says. Tasks run in this process."""

from __future__ import annotations

import json
import os

import pytest
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session

from tests.integration.in_process import Site

RECONCILE = "vte_wats_reconcile"


def verified() -> dict[str, int]:
    """What the newest comparison found."""
    with create_session() as session:
        found = session.query(XComModel).filter_by(task_id="verify", key="return_value").order_by(XComModel.timestamp)
        return XComModel.deserialize_value(found.all()[-1])


def compare(site: Site, **conf: int) -> str:
    return site.sync(dag_id=RECONCILE, days=0, **{"sample": 100} | conf)


@pytest.fixture
def reasons(bag) -> list[str]:
    """What verify failed with."""
    messages: list[str] = []
    verify = bag.dags[RECONCILE].get_task("verify")
    verify.on_failure_callback = [lambda context: messages.append(str(context["exception"]))]
    return messages


def test_reports_equal_their_runs_after_a_sync(site):
    assert site.sync(15) == "success"
    assert compare(site) == "success"
    reports = len(site.plant.wats.store)
    assert reports > 0
    assert verified() == {"equal": reports, "outdated": 0, "altered": 0, "absent": 9 - reports}


def test_a_report_that_was_altered_in_wats_fails_the_comparison_by_name(site, reasons):
    assert site.sync(15) == "success"
    report = site.plant.wats.store.reports()[0]
    report["result"] = "P" if report["result"] == "F" else "F"
    site.plant.wats.store.receive(json.dumps(report).encode())
    assert compare(site) == "failed"
    assert "1 of " in reasons[0]
    assert report["id"] in reasons[0]
    assert "result: " in reasons[0]
    assert "vte_wats_backfill" in reasons[0]


def test_a_sample_of_none_asks_wats_nothing_about_content(site):
    assert site.sync(15) == "success"
    assert compare(site, sample=0) == "success"
    assert site.plant.wats.log.find("GET", "/api/Report/Wsjf/") == []
    with create_session() as session:
        states = {task.task_id: str(task.state) for task in session.query(TaskInstance).filter_by(dag_id=RECONCILE)}
    assert states["verify"] == "success"


def test_a_wats_that_gives_ids_of_its_own_gets_every_run_once(site, monkeypatch):
    site.plant.wats.profile = site.plant.wats.profile.but(renames_reports=True)
    settings = json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"]) | {"existence_check": "source_id"}
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(settings))
    assert site.sync(15) == "success"
    reports = len(site.plant.wats.store)
    assert reports > 0
    assert site.plant.receipts.keys().isdisjoint(site.plant.source)
    assert site.sync(15) == "success"
    assert len(site.plant.wats.log.find("POST", "/api/Report/WSJF")) == reports
    assert compare(site) == "success"
    assert verified() == {"equal": reports, "outdated": 0, "altered": 0, "absent": 9 - reports}
