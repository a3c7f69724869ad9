"""A plant and a real Airflow that syncs it, and what a case does to both."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import psycopg2
from upath import UPath

from sandbox.airflow_stack import AirflowStack
from sandbox.airflow_stack.component import Component
from sandbox.airflow_stack.process_sessions import session_members
from sandbox.airflow_stack.stack import COMMANDS
from sandbox.airflow_stack.stack_errors import StackError
from sandbox.environment import SandboxEnvironment
from sandbox.mail import MailCatcher
from sandbox.sqlserver import faults as vte_faults
from sandbox.wats import wats_faults
from sandbox.wats.profiles import DEFAULT, WatsProfile
from sandbox.wats.request_log import Request
from vte_wats.storage.in_flight_keys import confirmed_uploads
from vte_wats.storage.unseen_reports import UnseenReports

REPOSITORY = Path(__file__).resolve().parents[2]
SYNC, RECONCILE, MONITOR = "vte_wats_sync", "vte_wats_reconcile", "vte_wats_monitor"
BACKFILL = "vte_wats_backfill"
STATE, SETTINGS, WATS_PROFILE, LEARNED = "vte_wats_state", "vte_wats", "vte_wats_profile", "vte_wats_learned"
PATIENCE_S = 600.0
MOST_SYNCS = 12
TIMEOUT_S = 4  # of SQL statements, so that a stall costs a case seconds
WATS_TIMEOUT_S = 10  # of WATS requests: a machine that stands still for less makes nobody post twice
UPLOAD = "transfer.upload"
CONCURRENCY = 8  # requests that one upload has in flight at a time
RESULT_TABLES = ("TestDataNumeric", "TestDataText", "TestDataOther", "IndexData", "UutData")


@dataclass
class Story:
    """What happened in a case: the end state of each attempt, and the tries Airflow made of each task."""

    states: list[str] = field(default_factory=list)
    tries: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        again = [f"{task.removeprefix('transfer.')} ×{tries}" for task, tries in self.tries.items() if tries > 1]
        return " → ".join(self.states) + (f" ({', '.join(again)})" if again else "")


class Site:
    """One plant, one Airflow. :meth:`fresh` empties both databases between cases; the watermark goes on."""

    def __init__(self, plant: SandboxEnvironment, airflow: AirflowStack, mail: MailCatcher, home: Path) -> None:
        self.plant, self.airflow, self.mail, self.home = plant, airflow, mail, home
        self.storage = home / "storage"
        self.zone = ZoneInfo(plant.factory_data.timezone)
        self.settings: dict[str, Any] = {}
        self.story = Story()
        self.violations: list[str] = []
        self.armed = 0
        self._struck_before = 0
        self.running = ""
        self._watermark: str | None = None

    # -- a case begins ------------------------------------------------------------------------------------------------
    def fresh(self, profile: WatsProfile = DEFAULT) -> None:
        """Begin a case with an empty source, an empty WATS, no dead letters, no faults and the usual settings."""
        self.plant.wats.profile = profile
        self.story, self.violations, self.armed = Story(), [], 0
        self.fix()
        self._struck_before = len(self.plant.vte.faults.struck)
        for table in RESULT_TABLES:
            self.plant.db.query(f'DELETE FROM "{table}"')
        self.plant.wats.store.clear()
        self.plant.wats.log.clear()
        shutil.rmtree(self.storage, ignore_errors=True)
        self.connect()
        self.airflow.set_pool("wats_api", 1)
        self.know_wats()
        self.airflow.set_variable(LEARNED, "{}")  # or a case would be judged by how well WATS worked in the one before
        self.set()

    def set(self, **settings: Any) -> None:
        """Write the settings: those of the plant, and what a case wants otherwise."""
        usual = self.plant.settings(storage_path=f"file://{self.storage}", settle_delay_s=0)
        self.settings = usual | settings
        self.airflow.set_variable(SETTINGS, json.dumps(self.settings))

    def know_wats(self, **behaviour: Any) -> None:
        """Write what an acceptance run has found out about WATS; nothing without arguments."""
        self.airflow.set_variable(WATS_PROFILE, json.dumps({"host": self.plant.wats.host} | behaviour))

    def load(self, runs: int = 6, *, steps: int | None = 6, oddities: Any = ()) -> list[str]:
        """Commit runs that ended within the last two minutes; return their GUIDs."""
        end_at = datetime.now(UTC) - timedelta(seconds=2)
        return self.load_between(end_at - timedelta(minutes=2), end_at, runs=runs, steps=steps, oddities=oddities)

    def load_between(
        self, from_at: datetime, to_at: datetime, *, runs: int, steps: int | None = 6, oddities: Any = ()
    ) -> list[str]:
        """Commit runs that ended within an interval of time; return their GUIDs."""
        before = self.plant.source
        oddities = oddities if isinstance(oddities, bool) else list(oddities)
        self.loaded = self.plant.factory_data.load(
            self.plant.db, start=from_at, end=to_at, runs=runs, steps=steps, oddities=oddities
        )
        return sorted(self.plant.source - before)

    # -- faults -------------------------------------------------------------------------------------------------------
    def break_wats(self, kind: str, **how: Any) -> int:
        """Arm WATS with a fault, as data."""
        self.armed += 1
        return self.plant.wats.faults.add(wats_faults.Fault(kind, **how))

    def break_vte(self, kind: Any, **how: Any) -> vte_faults.Fault:
        """Arm SQL Server with a fault, as data."""
        self.armed += 1
        return self.plant.vte.faults.add(vte_faults.Fault(kind, **how))

    def fix(self) -> None:
        """End every fault."""
        self.plant.wats.faults.clear()
        self.plant.vte.faults.clear()
        self.plant.vte.start()
        self.plant.wats.start()

    # -- Airflow ------------------------------------------------------------------------------------------------------
    def start_sync(self, dag_id: str = SYNC, **conf: Any) -> str:
        """Trigger a sync from the watermark to now."""
        self._watermark = self.last_sync
        return self.airflow.trigger(dag_id, conf=conf)

    def end_sync(self, dag_run_id: str, expected: str | None = None, dag_id: str = SYNC) -> str:
        """Wait until a sync has ended, note what happened, and see that lastSync did what it must."""
        state = self.airflow.wait_for_run(dag_id, dag_run_id, timeout_s=PATIENCE_S)
        self.story.states.append(state)
        for found_instance in self.airflow.task_instances(dag_id, dag_run_id):
            self.story.tries[found_instance.task_id] = max(
                self.story.tries.get(found_instance.task_id, 0), found_instance.try_number
            )
        after = self.last_sync
        if dag_id == SYNC and state == "failed" and after != self._watermark:
            self.violations.append(f"lastSync moved from {self._watermark} to {after} while the sync failed")
        if dag_id == SYNC and state == "success" and not (after or "") > (self._watermark or ""):
            self.violations.append(f"lastSync stayed at {after} after a success")
        if expected is not None and state != expected:
            self.violations.append(f"the sync ended as {state}, not as {expected}: {self.failure(dag_run_id, dag_id)}")
        return state

    def sync(self, expected: str = "success", **conf: Any) -> str:
        """Sync from the watermark to now; return the run's id."""
        dag_run_id = self.start_sync(**conf)
        self.end_sync(dag_run_id, expected)
        return dag_run_id

    def clear_failed(self, dag_run_id: str, expected: str = "success") -> None:
        """Do what the operator does once the cause is fixed."""
        self.story.states.append("cleared")
        self.airflow.clear(SYNC, dag_run_id, only_failed=True)
        self.end_sync(dag_run_id, expected)

    def start_interval(self, from_at: datetime, to_at: datetime) -> str:
        """Trigger the sync of one data interval; return the run's id."""
        return self.airflow.trigger(SYNC, interval=(from_at, to_at))

    def see_what_shows(self) -> None:
        """Sync on as the schedule would, until WATS was asked for everything it confirmed, and shows it."""
        to_at = datetime.now(UTC).replace(second=0, microsecond=0)
        for _ in range(MOST_SYNCS):
            awaited = confirmed_uploads(UPath(self.storage))
            if not awaited and not UnseenReports(UPath(self.storage)).tries():
                return
            self.wait_for_the_delay()
            from_at, to_at = to_at, to_at + timedelta(seconds=1)
            self.airflow.wait_for_run(SYNC, self.start_interval(from_at, to_at), timeout_s=PATIENCE_S)
        self.violations.append("WATS confirmed reports that it never showed")

    def wait_for_the_delay(self) -> None:
        """Wait until WATS should show all that it confirmed."""
        awaited = confirmed_uploads(UPath(self.storage))
        due_at = max((upload.hidden_until_at for upload in awaited), default=datetime.now(UTC))
        self.wait_until(lambda: datetime.now(UTC) >= due_at, "the delay of WATS")

    def backfill(self, from_at: datetime, to_at: datetime) -> None:
        """Let Airflow's own backfill go over intervals that were synced already."""
        self.airflow.backfill(SYNC, from_at, to_at, reprocess="completed", max_active_runs=3)

    def busy_with(self, run_type: str, *states: str) -> bool:
        """Whether a sync of that type is queued or running, or in one of these states."""
        wanted = states or ("queued", "running")
        return any(run.run_type == run_type and run.state in wanted for run in self.airflow.runs(SYNC))

    def second_scheduler(self) -> Component:
        """Return another scheduler of the same Airflow, to be started and stopped."""
        log_path = self.airflow.folders.logs / "scheduler-2.log"
        folder, guard = self.airflow.folders.home, self.airflow._guard
        env = self.airflow._env
        return Component("scheduler-2", COMMANDS["scheduler"], env=env, folder=folder, log_path=log_path, guard=guard)

    def restart_what_ended(self) -> None:
        """Start every component again that has ended, as whatever supervises it would, until all of them run."""

        def runs() -> bool:
            for component in self.airflow._components.values():
                if not component.is_alive:
                    component.start()
            try:
                self.airflow._wait_for_heartbeats(newer_than=time.time())
            except StackError:
                return False
            return all(component.is_alive for component in self.airflow._components.values())

        self.wait_until(runs, "every component to run")

    def let_people_know(self) -> None:
        """Let the monitor find everything broken and send its mails: what they say is looked through for secrets."""
        self.fresh()
        self.set(alerts={"recipients": ["quality@factory.example"], "confirm_checks": 1})
        self.break_vte("login_failed", times=None)
        self.break_wats("status", status=401, message=f"Bad token {self.plant.wats.token}")
        self.airflow.unpause(MONITOR)
        self.airflow.wait_for_run(MONITOR, self.airflow.trigger(MONITOR), timeout_s=PATIENCE_S)
        self.airflow.pause(MONITOR)
        self.fix()

    def connect(self, host: str | None = None, **options: Any) -> None:
        """Write the connection to WATS: the usual one, or with another address or other options."""
        usual = _connections(self.plant)["wats_default"]
        fields = usual | {"extra": usual["extra"] | options} | ({} if host is None else {"host": host})
        self.airflow.set_connection("wats_default", fields)

    def redirect_uploads(self, host: str) -> None:
        """Begin a sync, and let its uploads, which come after the plan, find WATS at another address."""
        fault = self.break_vte("stall", match=r"AS \[other_value\]", seconds=2)
        self.running = self.start_sync()
        self.wait_for_vte_fault(fault)
        self.connect(host)

    def compare_all(self) -> None:
        """Let the daily comparison go over the whole database."""
        dag_run_id = self.start_sync(RECONCILE, days=0)
        self.story.states.append("compared")
        self.end_sync(dag_run_id, "success", RECONCILE)

    def give_up(self) -> None:
        """End whatever a case that went wrong left under way, so that the next one has Airflow for itself."""
        self.fix()
        self.restart_what_ended()
        for dag_id in (SYNC, RECONCILE):
            for run in self.airflow.runs(dag_id):
                if run.state in ("queued", "running"):
                    self.airflow.fail_run(dag_id, run.dag_run_id)

    def failure(self, dag_run_id: str, dag_id: str = SYNC) -> str:
        """Return why tasks failed, a line of its log each."""
        texts = []
        for instance in self.airflow.task_instances(dag_id, dag_run_id):
            if instance.state == "failed":
                log = self.airflow.task_log(
                    dag_id, dag_run_id, instance.task_id, instance.map_index, instance.try_number
                )
                reported = re.findall(r"""'exc_value': ['"](.{0,300})""", log) or log.splitlines()[-1:]
                texts.append(f"{instance.task_id}: {reported[0][:300]}")
        return " | ".join(texts)

    # -- what is there ------------------------------------------------------------------------------------------------
    @property
    def dead_letters(self) -> dict[str, dict[str, Any]]:
        """The dead letters by GUID."""
        return {path.stem: json.loads(path.read_text()) for path in self.storage.glob("dead_letters/*.json")}

    @property
    def state(self) -> dict[str, Any]:
        """What the syncs remember; empty where that is lost or damaged."""
        with suppress(ValueError):
            found = json.loads(self.airflow.variable(STATE) or "null")
            return found if isinstance(found, dict) else {}
        return {}

    @property
    def last_sync(self) -> str | None:
        """The watermark as the Variable shows it."""
        return self.state.get("lastSync")

    @property
    def uploaded(self) -> int:
        """How many uploads the totals of the state count."""
        return int(self.state.get("totals", {}).get("uploaded", 0))

    @property
    def strikes(self) -> int:
        """How many requests and connections a fault has struck in this case."""
        vte = len(self.plant.vte.faults.struck) - self._struck_before
        return vte + sum(1 for wat in self.plant.wats.log if wat.fault)

    @property
    def posts(self) -> list[Request]:
        """Every report that was posted, oldest first."""
        return [request for request in self.plant.wats.log if request.method == "POST"]

    @property
    def spoilt(self) -> Counter[str]:
        """How many posts of each run had their answer spoilt: so often may a report have been sent again."""
        return Counter(post.report_id for post in self.posts if post.fault and post.report_id)

    # -- force --------------------------------------------------------------------------------------------------------
    @contextmanager
    def metadata(self) -> Iterator[Any]:
        """Open a cursor on Airflow's own database; what it did is committed at the end."""
        url = self.airflow._postgres.url.replace("+psycopg2", "")
        connection = psycopg2.connect(url)
        try:
            with connection, connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    @contextmanager
    def locked(self, table: str, mode: str = "EXCLUSIVE") -> Iterator[None]:
        """Hold a table of Airflow's database: nobody writes to it, or reads it in mode ACCESS EXCLUSIVE."""
        connection = psycopg2.connect(self.airflow._postgres.url.replace("+psycopg2", ""))
        try:
            with connection.cursor() as cursor:
                cursor.execute(f"LOCK TABLE {table} IN {mode} MODE")
                yield
        finally:
            connection.rollback()
            connection.close()

    @contextmanager
    def locked_variable(self, name: str) -> Iterator[None]:
        """Hold one Variable: who writes it waits."""
        with self.metadata() as cursor:
            cursor.execute("SELECT key FROM variable WHERE key = %s FOR UPDATE", (name,))
            if cursor.fetchone() is None:
                raise LookupError(f"there is no Variable {name} to hold")
            yield

    def wait_for_lock(self, table: str, what: str) -> None:
        """Wait until somebody waits for a table, or for a row of it."""

        def waited_for() -> bool:
            with self.metadata() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~* %s",
                    (rf"\m{table}\M",),
                )
                return bool(cursor.fetchone()[0])

        self.wait_until(waited_for, what)

    def wait_for_task(self, dag_run_id: str, task_id: str, state: str) -> None:
        """Wait until an instance of a task is in a state."""

        def there() -> bool:
            tasks = self.airflow.task_instances(SYNC, dag_run_id)
            return any(found_task.task_id == task_id and found_task.state == state for found_task in tasks)

        self.wait_until(there, f"{task_id} to be {state}")

    def kill_task(self, dag_run_id: str, task_id: str) -> None:
        """SIGKILL the process that runs a task, wherever it is."""
        scheduler = self.airflow.pids["scheduler"]

        def running() -> psutil.Process | None:
            with self.metadata() as cursor:
                cursor.execute(
                    "SELECT id FROM task_instance WHERE run_id = %s AND task_id = %s AND state = 'running'",
                    (dag_run_id, task_id),
                )
                titles = {f"airflow worker -- {entry}" for (entry,) in cursor.fetchall()}
            for pid in session_members(scheduler):
                with suppress(psutil.Error):
                    process = psutil.Process(pid)
                    if " ".join(process.cmdline()).strip() in titles:
                        return process
            return None

        process = self.wait_until(running, f"a process of {task_id}")
        os.kill(process.pid, signal.SIGKILL)

    def wait_until(self, condition: Callable[[], Any], what: str, timeout_s: float = PATIENCE_S) -> Any:
        """Return what the condition gives, as soon as it gives anything."""
        deadline = time.monotonic() + timeout_s
        while not (found := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"waited {timeout_s:.0f} s in vain for {what}")
            time.sleep(0.05)
        return found

    def wait_for_wats_fault(self, number: int, strikes: int = 1) -> None:
        """Wait until a fault of WATS has struck."""
        self.wait_until(lambda: self.plant.wats.faults.fired(number) >= strikes, "the fault of WATS to strike")

    def wait_for_vte_fault(self, fault: vte_faults.Fault) -> None:
        """Wait until a fault of SQL Server has struck."""
        self.wait_until(
            lambda: any(found_fault is fault for found_fault in self.plant.vte.faults.struck),
            "the fault of SQL Server to strike",
        )

    def staging(self, dag_run_id: str, slice_name: str = "s0001") -> Path:
        """Make and return the staging folder of one slice."""
        folder = self.storage / "staging" / SYNC / _escaped(dag_run_id) / slice_name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def _escaped(dag_run_id: str) -> str:
    return dag_run_id.replace(":", "%3A").replace("+", "%2B").replace(".", "%2E")


def _connections(plant: SandboxEnvironment) -> dict[str, dict[str, Any]]:
    connections = plant.connections
    connections["vte_default"]["extra"] = {"timeout": TIMEOUT_S, "login_timeout": TIMEOUT_S}
    connections["wats_default"]["extra"] = {
        "requests_per_minute": 60_000,
        "timeout_s": WATS_TIMEOUT_S,
        "attempts": 2,
        "concurrency": CONCURRENCY,
    }
    return connections


@contextmanager
def open_site(home: Path, seed: int, *, template: Path, live: bool = False) -> Iterator[Site]:
    """Start a plant and an Airflow whose schedule never strikes: every sync is one that a case triggers.

    On a ``live`` site it strikes every minute, and the DAGs are paused.
    """
    began_at = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=15)
    with (
        SandboxEnvironment(seed=seed) as plant,
        MailCatcher() as mail,
        AirflowStack(
            home=home / "airflow",
            template_folder=template,
            dags_folder=REPOSITORY / "dags",
            plugins_folder=REPOSITORY / "plugins",
            env={
                "AIRFLOW__VTE_WATS__START_DATE": began_at.isoformat(),
                "AIRFLOW__VTE_WATS__SCHEDULE": "* * * * *" if live else "0 0 1 1 *",
                "AIRFLOW__VTE_WATS__MAX_ACTIVE_RUNS": "3",
                "AIRFLOW__VTE_WATS__RECONCILE_SCHEDULE": "0 0 1 1 *",
                "AIRFLOW__VTE_WATS__MONITOR_SCHEDULE": "0 0 1 1 *",
                "PYTHONPATH": str(REPOSITORY / "plugins"),
                "AIRFLOW__VTE_WATS__BACKFILL_SLICES": "2",
                "AIRFLOW__VTE_WATS__RETRIES": "3",
                "AIRFLOW__VTE_WATS__RETRY_DELAY_S": "1",
            },
            pools={"wats_api": 1, "vte_wats_state": 1, "vte_read": 2},
            connections=_connections(plant) | {"smtp_default": mail.connection},
            variables={SETTINGS: json.dumps(plant.factory_data.settings(settle_delay_s=0))},
        ) as airflow,
    ):
        if errors := airflow.import_errors():
            raise RuntimeError(f"the DAG files do not import: {errors}")
        for dag_id in () if live else (SYNC, RECONCILE):
            airflow.unpause(dag_id)
        yield Site(plant, airflow, mail, home)
