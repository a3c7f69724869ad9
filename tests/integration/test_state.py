"""The state in Airflow: whose it is, and what stops when it is lost, older or another's. Tasks run in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.variable import Variable
from airflow.utils.db import initdb, resetdb
from airflow.utils.session import create_session

from sandbox.plant import Plant

STATE = "vte_wats_state"
BEGIN_AT = datetime(2026, 3, 2, tzinfo=UTC)  # the start date of the tests


class Site:
    """Both DAGs against a plant, run task by task."""

    def __init__(self, plant: Plant, bag: DagBag, capfd: pytest.CaptureFixture[str]) -> None:
        self.plant, self._bag, self._capfd = plant, bag, capfd

    def sync(self, minute: int | None = None, dag_id: str = "vte_wats_sync", **conf: Any) -> str:
        """Sync the interval that ends then, or without one from the watermark to now; return how it ended."""
        self._capfd.readouterr()
        at = None if minute is None else BEGIN_AT + timedelta(minutes=minute)
        run = self._bag.dags[dag_id].test(logical_date=at, run_conf=conf)
        self.log = "".join(self._capfd.readouterr())
        return str(run.state)

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(Variable.get(STATE))

    @state.setter
    def state(self, plain: dict[str, Any]) -> None:
        Variable.set(STATE, json.dumps(plain))


@pytest.fixture(scope="module")
def bag(repository) -> DagBag:
    initdb()
    return DagBag(dag_folder=str(repository / "dags"))


@pytest.fixture
def site(bag, tmp_path, monkeypatch, capfd) -> Iterator[Site]:
    with create_session() as session:
        session.query(DagRun).delete()
    Variable.delete(STATE)
    plant = Plant()
    plant.floor.load(plant.db, start=BEGIN_AT, end=BEGIN_AT + timedelta(minutes=15), runs=9, steps=2)
    with plant:
        for name, value in plant.environment.items():
            monkeypatch.setenv(name, value)
        settings = plant.floor.settings(storage_path=f"file://{tmp_path}")
        monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(settings))
        yield Site(plant, bag, capfd)


def test_the_first_sync_names_source_and_target_and_the_next_ones_go_on(site):
    assert site.sync(5) == "success", site.log
    first = site.state
    print(first, site.log[-3000:])
    assert (first["source"]["server"], first["source"]["database"]) == ("VTE-SANDBOX", "VTE9_3")
    assert first["target"] == "127.0.0.1"
    assert site.sync(10) == "success", site.log
    assert {name: site.state[name] for name in ("begun", "source", "target")} == {
        name: first[name] for name in ("begun", "source", "target")
    }
    assert site.state["syncs"] == 2
