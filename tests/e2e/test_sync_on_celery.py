"""The same DAG files on a cluster: CeleryExecutor, two workers, Redis between them, one shared folder."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from sandbox.airflow_stack import AirflowStack, TaskInstance
from sandbox.airflow_stack import redis as broker
from sandbox.airflow_stack.process_sessions import session_members
from sandbox.environment import SandboxEnvironment
from sandbox.wats.wats_faults import Fault
from tests.waiting import wait_until

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not broker.is_installed(), reason=f"no {broker.PROGRAM}: apt-get install {broker.PROGRAM}"),
]

SYNC = "vte_wats_sync"
WORKERS = ("worker-1", "worker-2")
POST = "/api/Report/WSJF"


class Site:
    """A plant, an Airflow of several workers that syncs it, and what a test asks about both."""

    def __init__(self, plant: SandboxEnvironment, airflow: AirflowStack, storage: Path) -> None:
        self.plant, self.airflow, self.storage = plant, airflow, storage

    def load(self, runs: int) -> None:
        """Commit runs of the last two minutes."""
        end = datetime.now(UTC) - timedelta(seconds=2)
        self.plant.factory_data.load(self.plant.db, start=end - timedelta(minutes=2), end=end, runs=runs, steps=6)

    def start_sync(self) -> str:
        return self.airflow.trigger(SYNC)

    def end_sync(self, dag_run_id: str) -> str:
        return self.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=480)

    @property
    def dead_letters(self) -> list[Path]:
        return list(self.storage.glob("dead_letters/*"))

    def done_by(self, worker: str, dag_run_id: str, since: int = 0) -> set[str]:
        """Return which tasks of a run a worker was given, from its own log; ``since`` a length the log had before."""
        given = [line for line in self.log(worker)[since:].splitlines() if "Executing workload" in line]
        return {
            found[1] for line in given if dag_run_id in line and (found := re.search(r"task_id=.?'([\w.]+).?'", line))
        }

    def log(self, worker: str) -> str:
        return self.airflow.component_log(worker)

    def uploads(self, dag_run_id: str) -> list[TaskInstance]:
        return [
            found_instance
            for found_instance in self.airflow.task_instances(SYNC, dag_run_id)
            if found_instance.task_id == "transfer.upload"
        ]

    def everything_is_mapped(self, dag_run_id: str) -> bool:
        mapped = [
            instance.state
            for instance in self.airflow.task_instances(SYNC, dag_run_id)
            if instance.task_id == "transfer.map_runs"
        ]
        return bool(mapped) and set(mapped) == {"success"}

    def upload_under_way(self, dag_run_id: str) -> tuple[str, int] | None:
        """Return the worker and the process of the upload of this run that Airflow holds for running, while both live."""
        for known_upload in self.uploads(dag_run_id):
            for worker in WORKERS:
                if known_upload.state == "running" and known_upload.pid in session_members(self.airflow.pids[worker]):
                    return worker, known_upload.pid
        return None


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, repository: Path, empty_metadata: Path) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("cluster")
    began_at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=15)
    plant = SandboxEnvironment()
    settings = plant.factory_data.settings(storage_path=f"file://{home}/storage", settle_delay_s=0, batch_size=20)
    with (
        plant,
        AirflowStack(
            home=home / "airflow",
            template_folder=empty_metadata,
            dags_folder=repository / "dags",
            plugins_folder=repository / "plugins",
            workers=len(WORKERS),
            parallelism=4,
            env={
                "AIRFLOW__VTE_WATS__START_DATE": began_at.isoformat(),
                "AIRFLOW__VTE_WATS__SCHEDULE": "0 0 1 1 *",  # every sync is one that a test triggers
                "AIRFLOW__VTE_WATS__RETRY_DELAY_S": "1",
                "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "60",  # in production longer: docs/scaling.md
            },
            pools={"wats_api": 1, "vte_wats_state": 1, "vte_read": 2},
            connections=patient(plant),
            variables={"vte_wats": json.dumps(settings)},
        ) as airflow,
    ):
        assert airflow.import_errors() == []
        airflow.unpause(SYNC)
        yield Site(plant, airflow, home / "storage")
        sessions = list(airflow.pids.values())
    assert [pid for session in sessions for pid in session_members(session)] == []


@dataclass(frozen=True)
class Stalled:
    """A sync whose upload hangs."""

    dag_run_id: str
    at_work: str
    process: int
    idle: str


@pytest.fixture(scope="module")
def stalled(site: Site) -> Stalled:
    """WATS stores what it gets and answers nothing."""
    site.load(30)
    number = site.plant.wats.faults.add(Fault("store_then_timeout", method="POST", path=POST, after=5))
    dag_run_id = site.start_sync()
    wait_until(lambda: site.plant.wats.faults.fired(number), "the fault to strike")
    wait_until(lambda: site.everything_is_mapped(dag_run_id), "nothing but the upload to be under way")
    at_work, process = wait_until(lambda: site.upload_under_way(dag_run_id), "the upload under way")
    (idle,) = set(WORKERS) - {at_work}
    return Stalled(dag_run_id, at_work, process, idle)


def patient(plant: SandboxEnvironment) -> dict[str, dict[str, Any]]:
    """Return the plant's connections; requests to WATS wait longer than any test."""
    connections = plant.connections
    connections["wats_default"]["extra"]["timeout_s"] = 600
    return connections


def let_the_visibility_timeout_pass(site: Site) -> None:
    """Do what a broker's client does some time after messages were not acknowledged: queue them again."""
    options = {"visibility_timeout": 0}
    with Celery(broker=site.airflow.broker_url, broker_transport_options=options).connection_for_read() as connection:
        connection.default_channel.qos.restore_visible(interval=1)


def shares_of_a_sync_by(site: Site, workers: tuple[str, ...], attempts: int = 6) -> list[set[str]]:
    """Sync fresh runs until every worker had a task of one sync: who takes a message from the queue is chance."""
    for _ in range(attempts):
        site.load(60)
        dag_run_id = site.start_sync()
        assert site.end_sync(dag_run_id) == "success"
        assert site.plant.receipts == dict.fromkeys(site.plant.source, 1)
        shares = [site.done_by(worker, dag_run_id) for worker in workers]
        if all(shares):
            return shares
    pytest.fail(f"in {attempts} syncs a worker of {workers} had no task; the last shares: {shares}")


def test_fresh_runs_reach_wats_and_both_workers_transfer_them(site):
    shares = shares_of_a_sync_by(site, WORKERS)
    assert set.union(*shares) == {"plan", "transfer.extract", "transfer.map_runs", "transfer.upload", "settle"}


def test_a_task_that_the_broker_hands_out_again_while_it_runs_is_left_alone(site, stalled):
    let_the_visibility_timeout_pass(site)
    wait_until(
        lambda: any("already running elsewhere, ignoring" in site.log(worker) for worker in WORKERS),
        "a worker to refuse the task",
    )
    assert site.upload_under_way(stalled.dag_run_id) == (stalled.at_work, stalled.process)
    assert set(site.plant.receipts.values()) == {1}
    states = {found_upload.state for found_upload in site.uploads(stalled.dag_run_id)}
    assert "running" in states
    assert states <= {None, "scheduled", "queued", "running", "success"}  # neither failed nor tried again


def test_a_worker_that_dies_in_an_upload_loses_nothing_and_the_other_one_finishes(site, stalled):
    since = len(site.log(stalled.idle))
    assert len(site.plant.receipts) < len(site.plant.source)
    site.airflow.kill_component(stalled.at_work)
    site.plant.wats.faults.clear()
    assert site.end_sync(stalled.dag_run_id) == "success"
    assert site.plant.receipts == dict.fromkeys(site.plant.source, 1)
    assert site.dead_letters == []
    assert "transfer.upload" in site.done_by(stalled.idle, stalled.dag_run_id, since)
    assert max(upload.try_number for upload in site.uploads(stalled.dag_run_id)) == 2
    assert stalled.at_work not in site.airflow.pids


def test_a_worker_that_comes_back_takes_part_again(site):
    (dead,) = set(WORKERS) - site.airflow.pids.keys()
    site.airflow.start_component(dead)
    shares_of_a_sync_by(site, WORKERS)
