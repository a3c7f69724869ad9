"""Text in XCom is data: what one task returns is never a template for the next one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.sdk import DAG, get_current_context, task, task_group
from airflow.utils.db import initdb

from vte_wats.orchestration.wats_link import linked_task

HOSTILE = [
    "{{ 7 * 7 }}",
    "{% for x in ().__class__.__mro__ %}{{ x }}{% endfor %}",
    "{{ conn.wats_default.password }}",
    "x.sql",
]
seen: list[Any] = []


@task
def plan() -> list[dict[str, Any]]:
    return [{"testplan": text, "nested": [text]} for text in HOSTILE]


@task(map_index_template="{{ slice_label }}")
def extract(site_name: str, slice_: dict[str, Any]) -> dict[str, Any]:
    get_current_context()["slice_label"] = slice_["testplan"]
    return slice_


@linked_task(map_index_template="{{ slice_label }}")
def upload(site_name: str, mapped: dict[str, Any], *, flag: bool) -> str:
    get_current_context()["slice_label"] = mapped["testplan"]
    seen.append(mapped)
    return mapped["testplan"]


@task
def settle(site_name: str, slices: Any) -> None:
    seen.append(slices)


@task_group
def transfer(slice_: dict[str, Any]) -> Any:
    return upload("", extract("", slice_), flag=True)


@pytest.fixture
def dag() -> DAG:
    initdb()
    DagBundlesManager().sync_bundles_to_db()
    bundle = next(iter(DagBundlesManager().get_all_dag_bundles()))
    with DAG("hostile_xcom", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        slices = plan()
        transfer.expand(slice_=slices) >> settle("", slices)
    bag = BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    bag.bag_dag(dag)
    sync_bag_to_db(bag, bundle.name, None)
    return dag


def test_what_a_task_returns_reaches_the_next_tasks_as_it_is(dag):
    seen.clear()
    assert dag.test().state == "success"
    expected = [{"testplan": text, "nested": [text]} for text in HOSTILE]
    assert seen.pop() == expected
    assert sorted(seen, key=str) == sorted(expected, key=str)
