"""Two sites by one set of DAG files, each with a VTE and a WATS of its own. Tasks run in this process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.variable import Variable
from airflow.utils.session import create_session

from sandbox.environment import SandboxEnvironment
from tests.site.in_process import BEGIN_AT, stored_dags

NAMES = ("oslo", "bergen")


class Sites:
    """Both plants, and the DAGs that serve them."""

    def __init__(self, plants: dict[str, SandboxEnvironment], bag: DagBag, storage: Path) -> None:
        self.plants, self._bag, self._storage = plants, bag, storage

    def run(self, kind: str, name: str, at: datetime | None = None, **conf) -> str:
        dag = self._bag.dags[f"vte_wats_{kind}_{name}"]
        defaults = {param: dag.params[param] for param in dag.params}
        return str(dag.test(logical_date=at, run_conf=defaults | conf).state)

    def sync(self, name: str, minute: int) -> str:
        """Sync the interval that ends then."""
        return self.run("sync", name, BEGIN_AT + timedelta(minutes=minute))

    def dead_letters(self, name: str) -> set[str]:
        return {path.stem for path in (self._storage / name).glob("dead_letters/*.json")}

    def folders(self) -> set[str]:
        return {path.name for path in self._storage.iterdir()} if self._storage.exists() else set()

    def everything_of(self, name: str) -> tuple[object, ...]:
        """All that a site leaves behind: its Variables, its dead letters, what its WATS was sent."""
        plant = self.plants[name]
        return variables(name), self.dead_letters(name), plant.receipts, len(list(plant.wats.log))


def variables(ending: str) -> dict[str, str]:
    with create_session() as session:
        return {stored.key: stored.get_val() for stored in session.query(Variable) if stored.key.endswith(ending)}


@pytest.fixture
def sites(repository, metadata, tmp_path, monkeypatch) -> Iterator[Sites]:
    monkeypatch.setenv("AIRFLOW__VTE_WATS__SITES", ", ".join(NAMES))
    monkeypatch.setenv("AIRFLOW__VTE_WATS__RETRIES", "0")
    with create_session() as session:
        session.query(DagRun).delete()
        session.query(Variable).delete()
    bag = DagBag(dag_folder=str(repository / "dags"))
    assert bag.import_errors == {}
    for dag in bag.dags.values():
        dag.deadline = None  # as in tests/site/in_process.py
    plants = {name: SandboxEnvironment(seed=number, timezone="Europe/Oslo") for number, name in enumerate(NAMES)}
    with plants["oslo"], plants["bergen"], stored_dags():
        for name, plant in plants.items():
            plant.factory_data.load(plant.db, start=BEGIN_AT, end=BEGIN_AT + timedelta(minutes=4), runs=8, steps=2)
            for conn_id, fields in plant.connections.items():
                monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.replace('default', name).upper()}", json.dumps(fields))
            settings = plant.factory_data.settings(storage_path=f"file://{tmp_path}/storage")
            monkeypatch.setenv(f"AIRFLOW_VAR_VTE_WATS_{name.upper()}", json.dumps(settings))
        yield Sites(plants, bag, tmp_path / "storage")


def test_a_sync_of_one_site_leaves_the_other_untouched(sites):
    untouched = sites.everything_of("bergen")
    assert sites.sync("oslo", 5) == "success"
    assert sites.plants["oslo"].receipts == dict.fromkeys(sites.plants["oslo"].source, 1)
    assert sites.everything_of("bergen") == untouched
    assert sites.folders() <= {"oslo"}
    before = sites.everything_of("oslo")
    assert sites.sync("bergen", 5) == "success"
    assert sites.plants["bergen"].receipts == dict.fromkeys(sites.plants["bergen"].source, 1)
    assert sites.everything_of("oslo") == before
    assert {json.loads(variables("")[f"vte_wats_state_{name}"])["syncs"] for name in NAMES} == {1}
    assert [name for name in variables("") if not name.endswith(NAMES)] == []


def test_one_site_fails_and_the_other_goes_on(sites):
    assert sites.sync("oslo", 5) == "success"
    sites.plants["oslo"].vte.stop()
    sites.plants["oslo"].wats.stop()
    before = variables("state_oslo")
    assert sites.sync("oslo", 10) == "failed"
    assert variables("state_oslo") == before
    assert sites.sync("bergen", 5) == "success"
    assert sites.plants["bergen"].receipts == dict.fromkeys(sites.plants["bergen"].source, 1)


def test_dead_letters_are_kept_and_redriven_by_site(sites):
    for name, plant in sites.plants.items():
        plant.db.query('UPDATE "UutData" SET "Serial" = \'\'')
        assert sites.sync(name, 5) == "success"
        assert sites.dead_letters(name) == sites.plants[name].source
        plant.db.query('UPDATE "UutData" SET "Serial" = "Uut_GUID"')
    before = sites.everything_of("bergen")
    assert sites.run("backfill", "oslo", dead_letters="all") == "success"
    assert sites.dead_letters("oslo") == set()
    assert sites.plants["oslo"].receipts == dict.fromkeys(sites.plants["oslo"].source, 1)
    assert sites.everything_of("bergen") == before


def test_a_site_led_to_another_wats_stops_alone(sites, monkeypatch):
    for name in NAMES:
        assert sites.sync(name, 5) == "success"
    oslo = sites.plants["oslo"]
    monkeypatch.setenv(
        "AIRFLOW_CONN_WATS_BERGEN", json.dumps(oslo.connections["wats_default"] | {"host": "http://localhost:1"})
    )
    before = variables("state_bergen")
    assert sites.sync("bergen", 10) == "failed"
    assert variables("state_bergen") == before
    assert sites.sync("oslo", 10) == "success"
