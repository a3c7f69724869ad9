"""Where the links of a mail lead in the Airflow UI."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from vte_wats.alerting.incidents import TaskFailure
from vte_wats.config.sites import Site
from vte_wats.orchestration.alert_context import links_for


@pytest.mark.parametrize(
    ("dag_run_id", "path"),
    [
        ("manual__2026-03-02T00:00:00+00:00", "manual__2026-03-02T00%3A00%3A00%2B00%3A00"),
        ("a/b", "a%2Fb"),
        ("../../x?y#z", "..%2F..%2Fx%3Fy%23z"),
    ],
)
def test_the_id_of_a_dag_run_is_one_part_of_the_path_whatever_it_holds(monkeypatch, dag_run_id, path):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.example/")
    failure = TaskFailure(
        dag_id="vte_wats_sync", dag_run_id=dag_run_id, task_id="plan", map_index=-1, try_number=2,
        at=datetime(2026, 3, 2, tzinfo=UTC), reason="VW207",
    )  # fmt: skip
    links = dict(links_for(Site(), failure, dag_run_id))
    runs = f"https://airflow.example/dags/vte_wats_sync/runs/{path}"
    assert links["Airflow: this DAG run"] == runs
    assert links["Log of the failed task"] == f"{runs}/tasks/plan?try_number=2"
