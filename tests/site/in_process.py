"""The DAGs that transfer runs, on a plant, task by task in this process; the metadata database is a file of SQLite."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, DagBag, sync_bag_to_db
from airflow.models.dagrun import DagRun
from airflow.models.variable import Variable
from airflow.sdk import DAG
from airflow.utils.session import create_session

from sandbox.environment import SandboxEnvironment
from sandbox.wats.profiles import WatsProfile
from tests.site.simulated_time import SimulatedTime

STATE, HISTORY, PROGRESS, PROOF = "vte_wats_state", "vte_wats_history", "vte_wats_backfill", "vte_wats_proof"
WATS_PROFILE = "vte_wats_profile"
DEFAULTS = {"accept_identity": False, "dry_run": False, "force": False}  # DAG.test keeps what a run before was given
BEGIN_AT = datetime(2026, 3, 2, tzinfo=UTC)  # the start date of the tests


class Site:
    """The DAGs that transfer runs, on a plant, task by task."""

    def __init__(self, plant: SandboxEnvironment, bag: DagBag) -> None:
        self.plant, self.bag = plant, bag
        self.refusal = ""
        for dag_id in ("vte_wats_sync", "vte_wats_reconcile", "vte_wats_backfill"):
            dag = bag.dags[dag_id]
            for task in dag.tasks:
                task.retries = 0
            for task_id in {"plan", "settle", "check_part"} & dag.task_dict.keys():
                dag.get_task(task_id).on_failure_callback = [self._note_refusal]

    def sync(self, minute: int | None = None, dag_id: str = "vte_wats_sync", **conf: Any) -> str:
        """Sync the interval that ends then, or without one from the watermark to now; return how it ended."""
        self.refusal = ""
        at = None if minute is None else self.at(minute)
        return str(self.bag.dags[dag_id].test(logical_date=at, run_conf=DEFAULTS | conf).state)

    @staticmethod
    def at(minute: int) -> datetime:
        """Return a time of the tests."""
        return BEGIN_AT + timedelta(minutes=minute)

    @contextmanager
    def showing_after(self, delay_s: float) -> Iterator[None]:
        """A WATS that shows what it confirmed after so many seconds, and was measured to: no sync asks for it before.

        A minute is waited for at least; :meth:`SimulatedTime.pass_minutes` is that.
        """
        Variable.set(WATS_PROFILE, json.dumps({"host": self.plant.wats.host, "visibility_delay_s": delay_s}))
        self.plant.wats.profile = self.plant.wats.profile.but(shown_after_s=delay_s)
        yield
        Variable.delete(WATS_PROFILE)

    def _note_refusal(self, context: Any) -> None:
        self.refusal = self.refusal or str(context["exception"])

    @property
    def state(self) -> dict[str, Any]:
        return _stored(STATE)

    @state.setter
    def state(self, plain: dict[str, Any]) -> None:
        Variable.set(STATE, json.dumps(plain))

    @property
    def history(self) -> dict[str, Any]:
        return _stored(HISTORY)


def _stored(variable: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Variable.get(variable))
    return found


_all_bundles = DagBundlesManager.get_all_dag_bundles
_sleep = time.sleep


def store_dags() -> None:
    """Parse the DAGs and store them in Airflow's database, as the DAG processor does."""
    manager = DagBundlesManager()  # type: ignore[no-untyped-call]
    manager.sync_bundles_to_db()
    bundle = next(iter(_all_bundles(manager)))
    sync_bag_to_db(BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name), bundle.name, None)


def _sleep_unless_alone(seconds: float) -> None:
    """Sleep; ``DAG.test`` goes on at once: it pauses after a look that skipped tasks only, and nobody else acts here."""
    caller = sys._getframe(1).f_code
    _sleep(0.01 if caller is DAG.test.__code__ else seconds)


@contextmanager
def stored_dags() -> Iterator[None]:
    """Store the DAGs once; each ``DAG.test`` would parse and store all of them again."""
    store_dags()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "sleep", _sleep_unless_alone)
        patch.setattr(DagBundlesManager, "get_all_dag_bundles", lambda _: ())
        yield


@pytest.fixture(scope="module")
def bag(repository: Path, metadata: None) -> Iterator[DagBag]:
    bag = DagBag(dag_folder=str(repository / "dags"))
    for dag in bag.dags.values():
        dag.deadline = None  # DAG.test looks a deadline up in the database and has none there
    with stored_dags():
        yield bag


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimulatedTime:
    """A clock that stands still, for the tasks too: what is at the edge of a time stays there on a busy machine."""
    clock = SimulatedTime(datetime.now(UTC))
    clock.rule(monkeypatch)
    return clock


@pytest.fixture
def site(bag: DagBag, wats_profile: WatsProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    with create_session() as session:
        session.query(DagRun).delete()
        session.query(Variable).delete()  # a test that moves the clock leaves times that are still to come
    plant = SandboxEnvironment(profile=wats_profile)
    plant.factory_data.load(plant.db, start=BEGIN_AT, end=BEGIN_AT + timedelta(minutes=15), runs=9, steps=2)
    with plant:
        for name, value in plant.environment_variables.items():
            monkeypatch.setenv(name, value)
        settings = plant.settings(storage_path=f"file://{tmp_path}")
        monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(settings))
        yield Site(plant, bag)
