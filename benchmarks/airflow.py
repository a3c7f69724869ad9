"""A real Airflow between the emulated servers, and how much of the machine it takes."""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import psutil
import psycopg2

from benchmarks import emulated_servers
from benchmarks.measure import Worker
from sandbox.airflow_stack import AirflowStack

REPOSITORY = Path(__file__).resolve().parents[1]
SYNC, BACKFILL = "vte_wats_sync", "vte_wats_backfill"
PATIENCE_S = 3 * 3_600

_XCOM = "SELECT coalesce(sum(pg_column_size(value)), 0), coalesce(max(pg_column_size(value)), 0), count(*) FROM xcom"
_TABLES = """
    ANALYZE;
    SELECT sum(greatest(reltuples, 0)), sum(pg_total_relation_size(oid))
    FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
"""


@dataclass(frozen=True, slots=True)
class Site:
    """What a measurement asks for: the servers' process, the Airflow, its storage, and what the settings are."""

    servers: Worker
    airflow: AirflowStack
    storage: Path
    settings: dict[str, Any]

    def set(self, **settings: Any) -> None:
        """Change settings of the site."""
        self.settings.update(settings)
        self.airflow.set_variable("vte_wats", json.dumps(self.settings))

    def cpu_s(self) -> float:
        """Return the CPU seconds that everything of Airflow has used: components, database, tasks that have ended."""
        return sum(_cpu_s(pid) for pid in self.airflow.pids.values())

    def calls_of_tasks(self) -> int:
        """Return how often tasks have called the API server so far."""
        lines = self.airflow.component_log("api-server").splitlines()
        return sum("request finished" in line and "path=/execution/" in line for line in lines)

    def xcoms(self) -> dict[str, int]:
        """Return what all results of tasks take in Airflow's database."""
        return dict(zip(("total_bytes", "largest_bytes", "entries"), self._asked(_XCOM), strict=True))

    def database(self) -> dict[str, int]:
        """Return the rows of Airflow's database and what they take, indexes included."""
        return dict(zip(("rows", "bytes"), self._asked(_TABLES), strict=True))

    def _asked(self, query: str) -> list[int]:
        address = self.airflow.database_url.replace("postgresql+psycopg2", "postgresql")
        with psycopg2.connect(address) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return [int(value) for value in cursor.fetchone()]


@contextmanager
def site(runs: int, steps: int, requests_per_minute: int, *, wats_ms: float = 20, vte_ms: float = 1) -> Iterator[Site]:
    """Run an Airflow whose DAGs nothing but a trigger starts, with one slot for WATS."""
    with tempfile.TemporaryDirectory(prefix="vte-wats-bench-") as folder, Worker() as servers:
        home = Path(folder)
        environment = servers.call(emulated_servers.start, runs, steps, requests_per_minute)
        servers.call(emulated_servers.delay, vte_ms=vte_ms, wats_ms=wats_ms)
        settings = json.loads(environment["AIRFLOW_VAR_VTE_WATS"])
        settings |= {"storage_path": f"file://{home}/storage", "settle_delay_s": 0}
        connections = {
            name: json.loads(environment[f"AIRFLOW_CONN_{name.upper()}"]) for name in ("vte_default", "wats_default")
        }
        with AirflowStack(
            home=home / "airflow",
            dags_folder=REPOSITORY / "dags",
            plugins_folder=REPOSITORY / "plugins",
            env={
                "AIRFLOW__VTE_WATS__START_DATE": (emulated_servers.START - timedelta(days=1)).isoformat(),
                "AIRFLOW__VTE_WATS__SCHEDULE": "0 0 1 1 *",  # its first interval has not started yet
                "AIRFLOW__VTE_WATS__RETRIES": "0",
                "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",  # of every published number
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
            },
            pools={"wats_api": 1, "vte_wats_state": 1, "vte_read": 2},
            connections=connections,
            variables={"vte_wats": json.dumps(settings)},
        ) as airflow:
            yield Site(servers, airflow, home / "storage", settings)


def now() -> datetime:
    """Return the present moment."""
    return datetime.now(UTC)


def _cpu_s(session_leader: int) -> float:
    """Add up a component, what it forked, and what of that has ended and was waited for."""
    total = 0.0
    with suppress(psutil.Error):
        leader = psutil.Process(session_leader)
        for process in [leader, *leader.children(recursive=True)]:
            with suppress(psutil.Error):
                used = process.cpu_times()
                total += used.user + used.system + used.children_user + used.children_system
    return total


class Watch:
    """Looks at the tasks and the staging twice a second, for the length of a ``with`` block.

    ``peak_mb`` is the most that one task held; ``slot_mb`` the most that a task and the process that watches it held
    together, pages that processes share counted in parts; ``staged_mb`` the most that lay in staging.
    """

    def __init__(self, scheduler_pid: int, staging: Path) -> None:
        self._scheduler = psutil.Process(scheduler_pid)
        self._staging = staging
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.peak_mb = 0.0
        self.slot_mb = 0.0
        self.staged_mb = 0.0

    def __enter__(self) -> Self:
        """Start looking."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Look no longer."""
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(0.5):
            for worker in self._scheduler.children():
                tasks = _children(worker)
                self.peak_mb = max([self.peak_mb, *map(_high_water_mb, tasks)])
                if tasks:
                    self.slot_mb = max(self.slot_mb, sum(map(_proportional_mb, [worker, *tasks])))
            # Unlike rglob, walk goes on where a task removes the folder that it is in.
            files = [Path(folder) / name for folder, _, names in os.walk(self._staging) for name in names]
            self.staged_mb = max(self.staged_mb, sum(map(_size_bytes, files)) / 1e6)


def _children(process: Any) -> list[Any]:
    with suppress(psutil.Error):
        return list(process.children(recursive=True))
    return []


def _high_water_mb(process: Any) -> float:
    """Read a process's own high-water mark, so that a look now and then misses nothing but its last moments."""
    with suppress(OSError, StopIteration):
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii", errors="replace")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024
    return 0.0


def _proportional_mb(process: Any) -> float:
    with suppress(psutil.Error):
        return float(process.memory_full_info().pss) / 2**20
    return 0.0


def _size_bytes(path: Path) -> int:
    with suppress(OSError):
        return path.stat().st_size
    return 0


def finished(airflow: AirflowStack, dag_id: str, dag_run_id: str) -> None:
    """Wait for a DAG run; raise when it fails, with the log of what failed."""
    if airflow.wait_for_run(dag_id, dag_run_id, timeout_s=PATIENCE_S) == "success":
        return
    failed = [task for task in airflow.task_instances(dag_id, dag_run_id) if task.state == "failed"]
    logs = "\n".join(
        airflow.task_log(dag_id, dag_run_id, task.task_id, task.map_index, task.try_number)[-3000:]
        for task in failed[:2]
    )
    raise RuntimeError(f"{dag_run_id} of {dag_id} failed: {[task.task_id for task in failed]}\n{logs}")
