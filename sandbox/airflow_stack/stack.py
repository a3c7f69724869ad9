"""The stack: PostgreSQL and Airflow's components, started in order, owned until the end of a ``with`` block."""

import atexit
import fcntl
import json
import logging
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from http import HTTPStatus
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from celery import Celery  # type: ignore[import-untyped]  # it ships no types

from sandbox.airflow_stack.airflow_api import AirflowApi, DagRun, ImportFailure, TaskInstance, wait_for_run
from sandbox.airflow_stack.component import Component, wait_all
from sandbox.airflow_stack.configuration import StackFolders, airflow_environment
from sandbox.airflow_stack.guard import Guard
from sandbox.airflow_stack.postgres import Postgres
from sandbox.airflow_stack.redis import Redis
from sandbox.airflow_stack.stack_errors import AirflowApiError, StackError
from sandbox.airflow_stack.tcp_ports import free_ports
from sandbox.polling import poll

log = logging.getLogger(__name__)

START_TIMEOUT_S = 120.0
STOP_GRACE_S = 6.0
COMPONENT_STOP_GRACE_S = 60.0
PARSE_TIMEOUT_S = 90.0
PARSE_SETTLED_S = 30.0
# -P keeps the current folder off the import path
AIRFLOW = (sys.executable, "-P", "-m", "airflow")
COMMANDS = {
    "api-server": (*AIRFLOW, "api-server", "--apps", "all"),
    # served logs would take a fixed port; the API server reads the files itself
    "scheduler": (*AIRFLOW, "scheduler", "--skip-serve-logs"),
    "dag-processor": (*AIRFLOW, "dag-processor"),
    "triggerer": (*AIRFLOW, "triggerer", "--skip-serve-logs"),
}
WORKER = "worker-{number}"
"""How the Celery workers are called: ``worker-1`` and so on."""
MIGRATE = (sys.executable, "-P", "-c", "from airflow.utils.db import initdb; initdb()")


class AirflowStack:
    """Airflow with everything it needs, on free ports of 127.0.0.1, below one folder.

    ``workers`` is how many Celery workers run the tasks, with Redis between them and the scheduler; with none the
    scheduler runs the tasks itself (LocalExecutor). Either way ``parallelism`` tasks run at the same time.

    ``home`` is an empty folder, which may be deleted once the block has ended. ``env`` goes over the stack's own
    settings. ``variables`` (name to text) and ``connections`` (id to Airflow's JSON form) are stored in the metadata
    database, so that tasks may write them; an ``AIRFLOW_VAR_`` or ``AIRFLOW_CONN_`` of the same name in ``env`` hides
    them. ``template_folder`` keeps a migrated database between stacks: the first stack fills it, later ones copy it.

    However the block ends, every process of the stack has ended; when this process is killed, a guard
    ends them. Nothing is written outside ``home`` and ``template_folder``, compiled modules excepted.
    """

    def __init__(
        self,
        *,
        home: Path,
        dags_folder: Path,
        plugins_folder: Path,
        env: Mapping[str, str] | None = None,
        components: Sequence[str] = ("api-server", "scheduler", "dag-processor"),
        workers: int = 0,
        pools: Mapping[str, int] | None = None,
        variables: Mapping[str, str] | None = None,
        connections: Mapping[str, Mapping[str, Any]] | None = None,
        parallelism: int = 8,
        template_folder: Path | None = None,
    ) -> None:
        if unknown := set(components) - set(COMMANDS):
            raise StackError(f"Unknown components {sorted(unknown)}; there are {sorted(COMMANDS)}.")
        if "api-server" not in components:
            raise StackError("A stack needs the api-server: the tasks of Airflow 3 run against it.")
        self.folders = StackFolders(home=home.resolve())
        self.user = "admin"
        self.password = secrets.token_urlsafe(12)
        self._port, database_port, broker_port = free_ports(3)
        self.url = f"http://127.0.0.1:{self._port}"
        self._dags_folder = dags_folder.resolve()
        self._plugins_folder = plugins_folder.resolve()
        self._overrides = dict(env or {})
        self._workers = {
            WORKER.format(number=n + 1): _worker(n + 1, -(-parallelism // workers)) for n in range(workers)
        }
        self._commands = {name: COMMANDS[name] for name in components} | self._workers
        self._pools = dict(pools or {})
        self._variables = dict(variables or {})
        self._connections = dict(connections or {})
        self._parallelism = parallelism
        self._template = template_folder / "postgres" if template_folder is not None else None
        self._guard = Guard()
        self._postgres = Postgres(
            self.folders.postgres,
            port=database_port,
            log_path=self.folders.logs / "postgres.log",
            guard=self._guard,
            template=self._template,
        )
        self._redis = (
            Redis(
                self.folders.redis,
                port=broker_port,
                log_path=self.folders.logs / "redis.log",
                guard=self._guard,
            )
            if workers
            else None
        )
        self._env: dict[str, str] = {}
        self._components: dict[str, Component] = {}
        self._api = AirflowApi(self.url, user=self.user, password=self.password)
        self.seconds: dict[str, float] = {}

    def __enter__(self) -> Self:
        atexit.register(self.stop)
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Bring everything up; return when the API answers, heartbeats are fresh and the DAG files are parsed."""
        started = time.monotonic()
        self.folders.create()
        self._write_password()
        self._guard.start()
        if self._redis is not None:
            self._timed("redis", self._redis.start)
        with _alone_until_filled(self._template):
            self._open_database()
        for name in self._commands:
            self._components[name] = self._component(name)
            self._components[name].start()
        self._timed("api-server", self._wait_for_api)
        self._timed("contents", self._store_contents)
        self._timed("healthy", self._wait_for_heartbeats)
        self._timed("parsed", self._wait_for_dags)
        self._check_alive()
        self.seconds["boot"] = time.monotonic() - started
        log.info("Airflow is up at %s after %.1f s", self.url, self.seconds["boot"])

    def stop(self) -> None:
        """End every process; calling it again does nothing."""
        atexit.unregister(self.stop)
        started = time.monotonic()
        components = list(self._components.values())
        for component in components:
            component.ask_to_stop()
        wait_all(components, timeout_s=STOP_GRACE_S)
        for component in components:
            component.kill()
        self._components.clear()
        self._postgres.stop()
        if self._redis is not None:
            self._redis.stop()
        self._guard.stop()
        self._api.close()
        self.seconds["stop"] = time.monotonic() - started

    @property
    def pids(self) -> dict[str, int]:
        """Process ids of what runs now, by component, ``postgres`` and ``redis`` included."""
        pids = {name: component.pid for name, component in self._components.items()} | {"postgres": self._postgres.pid}
        if self._redis is not None:
            pids["redis"] = self._redis.pid
        return {name: pid for name, pid in pids.items() if pid is not None}

    @property
    def ports(self) -> tuple[int, ...]:
        """The port of the UI and API, the port of PostgreSQL and, with Celery workers, the port of Redis."""
        return self._port, self._postgres.port, *([self._redis.port] if self._redis is not None else [])

    @property
    def broker_url(self) -> str:
        """Where Celery's messages are; without workers there are none."""
        if self._redis is None:
            raise StackError("This stack has no Celery workers, so it has no broker.")
        return self._redis.url

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL of Airflow's database."""
        return self._postgres.url

    def stop_component(self, name: str) -> None:
        """Stop a component as an operator would; the scheduler lets running tasks finish."""
        self._known(name).stop(grace_s=COMPONENT_STOP_GRACE_S)

    def kill_component(self, name: str) -> None:
        """SIGKILL a component and all that it forked (running tasks, for whoever runs them) without warning."""
        self._known(name).kill()

    def start_component(self, name: str) -> None:
        """Start a component again and return when its heartbeat, or the API, or its answer to Celery, is back."""
        component = self._known(name)
        component.start()
        if name == "api-server":
            self._wait_for_api()
        self._wait_for_heartbeats(newer_than=time.time())

    def unpause(self, dag_id: str) -> None:
        self._set_paused(dag_id, is_paused=False)

    def pause(self, dag_id: str) -> None:
        self._set_paused(dag_id, is_paused=True)

    def trigger(
        self,
        dag_id: str,
        conf: Mapping[str, Any] | None = None,
        logical_date: datetime | None = None,
        *,
        interval: tuple[datetime, datetime] | None = None,
    ) -> str:
        """Create a manual run and return its id; without a logical date or an interval it has no data interval."""
        return self._api.trigger(dag_id, conf=conf or {}, logical_date=logical_date, interval=interval)

    def wait_for_run(self, dag_id: str, dag_run_id: str, timeout_s: float) -> str:
        """Return the final state of a run; StackError names the tasks that kept it from ending in time."""
        return wait_for_run(self._api, dag_id, dag_run_id, timeout_s=timeout_s)

    def runs(self, dag_id: str) -> list[DagRun]:
        """Return every run of a DAG, the earliest due first."""
        return self._api.runs(dag_id)

    def task_instances(self, dag_id: str, dag_run_id: str) -> list[TaskInstance]:
        """Return the task instances of a run, by task id, then by map index."""
        return self._api.task_instances(dag_id, dag_run_id)

    def clear(self, dag_id: str, dag_run_id: str, *, only_failed: bool = False) -> None:
        """Let tasks of a run run again: all of them, or those that failed."""
        self._api.clear(dag_id, dag_run_id, only_failed=only_failed)

    def fail_run(self, dag_id: str, dag_run_id: str) -> None:
        """End a run, and the tasks that it still runs, as failed."""
        self._api.fail_run(dag_id, dag_run_id)

    def backfill(
        self, dag_id: str, start: datetime, end: datetime, *, reprocess: str = "none", max_active_runs: int = 1
    ) -> None:
        """Start Airflow's own backfill of a range; ``reprocess`` is ``none``, ``failed`` or ``completed``."""
        self._api.backfill(dag_id, start, end, reprocess=reprocess, max_active_runs=max_active_runs)

    def extra_links(self, dag_id: str, dag_run_id: str, task_id: str, map_index: int = -1) -> dict[str, str]:
        """Return the addresses behind a task's buttons by their names."""
        return self._api.extra_links(dag_id, dag_run_id, task_id, map_index=map_index)

    def xcom(self, dag_id: str, dag_run_id: str, task_id: str, key: str = "return_value", map_index: int = -1) -> Any:
        """Return the value as Python's plain types, or None where there is none."""
        return self._api.xcom(dag_id, dag_run_id, task_id, key=key, map_index=map_index)

    def variable(self, name: str) -> str | None:
        """Return its text, or None. Airflow formats JSON again, and masks fields whose names sound secret."""
        return self._api.variable(name)

    def set_variable(self, name: str, text: str) -> None:
        self._api.set_variable(name, text)

    def set_connection(self, conn_id: str, fields: Mapping[str, Any]) -> None:
        """Store or replace a connection, given in Airflow's JSON form; ``extra`` may be an object."""
        self._api.set_connection(conn_id, fields)

    def set_pool(self, name: str, slots: int) -> None:
        self._api.set_pool(name, slots)

    def task_log(self, dag_id: str, dag_run_id: str, task_id: str, map_index: int = -1, try_number: int = 1) -> str:
        """Return one line per event: time, level, message, then the fields."""
        return self._api.task_log(dag_id, dag_run_id, task_id, map_index=map_index, try_number=try_number)

    def command(self, *arguments: str) -> None:
        """Run one command of Airflow's command line to its end; raise StackError when it fails."""
        self._run_once(f"airflow-{arguments[0]}", (*AIRFLOW, *arguments))

    def import_errors(self) -> list[ImportFailure]:
        return self._api.import_errors()

    def test_connection(self, conn_id: str) -> tuple[bool, str]:
        """Let the API server run the hook's own test of a stored connection."""
        return self._api.test_connection(conn_id)

    def component_log(self, name: str) -> str:
        """Return the whole log of a component, ``postgres`` included."""
        return (self.folders.logs / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def _component(self, name: str) -> Component:
        return Component(
            name,
            self._commands[name],
            env=self._env,
            folder=self.folders.home,
            log_path=self.folders.logs / f"{name}.log",
            guard=self._guard,
        )

    def _known(self, name: str) -> Component:
        if name not in self._components:
            raise StackError(f"This stack has no component {name!r}; it has {sorted(self._components)}.")
        return self._components[name]

    def _write_password(self) -> None:
        self.folders.passwords.touch(mode=0o600)
        self.folders.passwords.write_text(json.dumps({self.user: self.password}), encoding="utf-8")

    def _open_database(self) -> None:
        self._timed("postgres", self._postgres.start)
        self._env = airflow_environment(
            folders=self.folders,
            dags_folder=self._dags_folder,
            plugins_folder=self._plugins_folder,
            database_url=self._postgres.url,
            broker_url=self._redis.url if self._redis is not None else None,
            port=self._port,
            user=self.user,
            parallelism=self._parallelism,
            overrides=self._overrides,
        )
        self._timed("migrate", self._migrate)

    def _migrate(self) -> None:
        if self._template is not None and self._template.exists():
            return
        self._run_once("migrate", MIGRATE)
        if self._template is not None:
            self._postgres.stop()
            self._postgres.save_template(self._template)
            self._postgres.start()

    def _run_once(self, name: str, command: Sequence[str]) -> None:
        step = Component(
            name,
            command,
            env=self._env,
            folder=self.folders.home,
            log_path=self.folders.logs / f"{name}.log",
            guard=self._guard,
        )
        step.start()
        try:
            exit_code = step.wait(timeout_s=START_TIMEOUT_S)
            if exit_code != 0:
                ending = f"exit code {exit_code}" if exit_code is not None else f"no end within {START_TIMEOUT_S:g} s"
                raise StackError(f"{name} failed: {ending}.\n{step.log_tail()}")
        finally:
            step.kill()

    def _wait_for_api(self) -> None:
        self._wait_until("the API", self._database_is_healthy)

    def _database_is_healthy(self) -> bool:
        return bool(self._api.health().get("metadatabase", {}).get("status") == "healthy")

    def _wait_for_heartbeats(self, *, newer_than: float = 0.0) -> None:
        """Wait for a healthy heartbeat of every running component, written after the given Unix time.

        Celery workers write none; they answer the broker.
        """
        alive = {name for name, component in self._components.items() if component.is_alive}
        workers, parts = alive & self._workers.keys(), sorted(alive - self._workers.keys() - {"api-server"})

        def fresh() -> bool:
            health = self._api.health()
            return all(_is_fresh(health.get(part.replace("-", "_")) or {}, newer_than) for part in parts)

        self._wait_until(f"heartbeats of {', '.join(parts)}", fresh)
        if self._redis is not None and workers:
            with Celery(broker=self._redis.url) as celery:
                self._wait_until(f"answers of {', '.join(sorted(workers))}", lambda: workers <= _answering(celery))

    def _store_contents(self) -> None:
        for name, slots in self._pools.items():
            self._api.set_pool(name, slots)
        for name, text in self._variables.items():
            self._api.set_variable(name, text)
        for conn_id, fields in self._connections.items():
            self._api.set_connection(conn_id, fields)

    def _wait_for_dags(self) -> None:
        """Wait until every file that may hold a DAG shows a DAG or an import error, or until nothing new comes."""
        if "dag-processor" not in self._components:
            self._run_once("reserialize", (*AIRFLOW, "dags", "reserialize"))
            return
        expected = {path for path in self._dags_folder.rglob("*.py") if _may_hold_a_dag(path)}
        deadline = time.monotonic() + PARSE_TIMEOUT_S
        seen: set[Path] = set()
        last_change = time.monotonic()
        while time.monotonic() < deadline:
            self._components["dag-processor"].check_alive()
            files = {self._dags_folder / name for name in self._api.dag_files()}
            files |= {self._dags_folder / failure.filename for failure in self._api.import_errors()}
            if files != seen:
                seen, last_change = files, time.monotonic()
            if expected <= seen or (seen and time.monotonic() - last_change > PARSE_SETTLED_S):
                return
            time.sleep(0.1)
        tail = self._components["dag-processor"].log_tail()
        raise StackError(f"No DAG of {self._dags_folder} was parsed within {PARSE_TIMEOUT_S:g} s.\n{tail}")

    def _set_paused(self, dag_id: str, *, is_paused: bool) -> None:
        try:
            self._api.set_paused(dag_id, is_paused=is_paused)
        except AirflowApiError as error:
            if error.status_code != HTTPStatus.NOT_FOUND:
                raise
            failures = "\n".join(f"{failure.filename}: {failure.stack_trace}" for failure in self.import_errors())
            raise StackError(f"There is no DAG {dag_id!r}. Import errors: {failures or 'none'}") from error

    def _wait_until(self, what: str, condition: Callable[[], bool]) -> None:
        """Wait for a condition; a part of the stack that ends meanwhile, or just before, is an error at once."""

        def holds() -> bool:
            is_true = condition()
            self._check_alive()
            return is_true

        def tails() -> str:
            return "\n".join(component.log_tail() for component in self._components.values())

        poll(
            holds,
            timeout_s=START_TIMEOUT_S,
            every_s=0.1,
            late=lambda _: StackError(f"Waited {START_TIMEOUT_S:g} s in vain for {what}.\n{tails()}"),
        )

    def _check_alive(self) -> None:
        self._postgres.check_alive()
        if self._redis is not None:
            self._redis.check_alive()
        for component in self._components.values():
            component.check_alive()

    def _timed(self, name: str, step: Callable[[], None]) -> None:
        started = time.monotonic()
        try:
            step()
        finally:
            self.seconds[name] = time.monotonic() - started


@contextmanager
def _alone_until_filled(template: Path | None) -> Iterator[None]:
    """Let the first of several stacks fill the template while the others wait; once it is there nobody waits."""
    if template is None or template.exists():
        yield
        return
    template.parent.mkdir(parents=True, exist_ok=True)
    with template.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _worker(number: int, slots: int) -> tuple[str, ...]:
    name = WORKER.format(number=number)
    options = {"--celery-hostname": name, "--concurrency": str(slots), "--pid": f"{name}.pid"}
    return (*AIRFLOW, "celery", "worker", "--skip-serve-logs", *chain.from_iterable(options.items()))


def _answering(celery: Celery) -> set[str]:
    """Return the names of the workers that answer."""
    answers = celery.control.ping(timeout=1.0)
    return {node.partition("@")[2] for answer in answers for node in answer}


def _is_fresh(part: Mapping[str, Any], newer_than: float) -> bool:
    heartbeats = [value for name, value in part.items() if name.startswith("latest_") and value]
    return part.get("status") == "healthy" and any(
        datetime.fromisoformat(value).timestamp() >= newer_than for value in heartbeats
    )


def _may_hold_a_dag(path: Path) -> bool:
    """Apply Airflow's own pre-selection of files: the words ``dag`` and ``airflow`` occur."""
    with suppress(OSError):
        text = path.read_bytes().lower()
        return b"dag" in text and b"airflow" in text
    return False
