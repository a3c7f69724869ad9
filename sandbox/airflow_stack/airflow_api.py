"""What the demo and the tests ask of Airflow's REST API: Apache's client behind a few typed calls."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import httpx
import urllib3
from airflow_client.client import ApiClient, ApiException, Configuration
from airflow_client.client.api.backfill_api import BackfillApi
from airflow_client.client.api.connection_api import ConnectionApi
from airflow_client.client.api.dag_api import DAGApi
from airflow_client.client.api.dag_run_api import DagRunApi
from airflow_client.client.api.import_error_api import ImportErrorApi
from airflow_client.client.api.monitor_api import MonitorApi
from airflow_client.client.api.pool_api import PoolApi
from airflow_client.client.api.task_instance_api import TaskInstanceApi
from airflow_client.client.api.variable_api import VariableApi
from airflow_client.client.api.x_com_api import XComApi
from airflow_client.client.exceptions import UnauthorizedException
from airflow_client.client.models.backfill_post_body import BackfillPostBody
from airflow_client.client.models.connection_body import ConnectionBody
from airflow_client.client.models.dag_patch_body import DAGPatchBody
from airflow_client.client.models.dag_run_clear_body import DAGRunClearBody
from airflow_client.client.models.dag_run_mutable_states import DagRunMutableStates
from airflow_client.client.models.dag_run_patch_body import DAGRunPatchBody
from airflow_client.client.models.dag_run_response import DAGRunResponse
from airflow_client.client.models.pool_body import PoolBody
from airflow_client.client.models.pool_patch_body import PoolPatchBody
from airflow_client.client.models.reprocess_behavior import ReprocessBehavior
from airflow_client.client.models.task_instance_response import TaskInstanceResponse
from airflow_client.client.models.trigger_dag_run_post_body import TriggerDAGRunPostBody
from airflow_client.client.models.variable_body import VariableBody
from airflow_client.client.rest import RESTResponse
from tenacity import RetryCallState

from sandbox.airflow_stack.stack_errors import AirflowApiError, StackError
from sandbox.polling import poll

PAGE_SIZE = 100
TIMEOUT_S = 60.0
HEALTH_TIMEOUT_S = 5.0
FINISHED_STATES = frozenset({"success", "failed"})
Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, kw_only=True)
class DagRun:
    """One run of a DAG; the interval is None for a manual run without a logical date."""

    dag_run_id: str
    state: str
    run_type: str
    data_interval_start: datetime | None
    data_interval_end: datetime | None
    start: datetime | None
    end: datetime | None


@dataclass(frozen=True, kw_only=True)
class TaskInstance:
    """One task of one run; ``map_index`` is -1 where the task is not mapped, ``pid`` the process of the latest try."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int
    rendered_map_index: str | None
    start: datetime | None
    end: datetime | None
    pid: int | None


@dataclass(frozen=True, kw_only=True)
class ImportFailure:
    """A DAG file that Airflow could not import."""

    filename: str
    stack_trace: str


class TimedClient(ApiClient):
    """The client, with a timeout for each call that names none."""

    def call_api(
        self,
        method: str,
        url: str,
        header_params: Mapping[str, str] | None = None,
        body: object = None,
        post_params: object = None,
        _request_timeout: float | None = None,
    ) -> RESTResponse:
        timeout_s = _request_timeout or TIMEOUT_S
        return super().call_api(method, url, header_params, body, post_params, timeout_s)


class WholeConnection(ConnectionBody):
    """A connection sent with all its fields: an absent one clears what is stored, where the client would leave it."""

    def to_dict(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True, exclude={"team_name"})


class AirflowApi:
    """Calls of one user; the token is fetched at the first call and again when it is refused."""

    def __init__(self, url: str, *, user: str, password: str) -> None:
        self._token_url = f"{url}/auth/token"
        self._credentials = {"username": user, "password": password}
        # An empty proxy instead of None: the environment's does not count for this machine.
        self._client = TimedClient(Configuration(host=url, proxy="", retries=0))
        self._dags = DAGApi(self._client)
        self._dag_runs = DagRunApi(self._client)
        self._task_instances = TaskInstanceApi(self._client)
        self._xcoms = XComApi(self._client)
        self._variables = VariableApi(self._client)
        self._connections = ConnectionApi(self._client)
        self._pools = PoolApi(self._client)

    def close(self) -> None:
        self._client.rest_client.pool_manager.clear()

    def health(self) -> dict[str, Any]:
        """Return the health of each component, or nothing while the API does not answer; it needs no login."""
        with suppress(ApiException, urllib3.exceptions.HTTPError):
            return MonitorApi(self._client).get_health(_request_timeout=HEALTH_TIMEOUT_S).to_dict()
        return {}

    def dag_files(self) -> set[str]:
        """Return the files of all DAGs, with their paths."""

        def page(offset: int) -> tuple[Sequence[str], int]:
            found = self._dags.get_dags(limit=PAGE_SIZE, offset=offset)
            return [dag.fileloc for dag in found.dags], found.total_entries

        return set(self._pages(page))

    def import_errors(self) -> list[ImportFailure]:
        api = ImportErrorApi(self._client)

        def page(offset: int) -> tuple[Sequence[ImportFailure], int]:
            found = api.get_import_errors(limit=PAGE_SIZE, offset=offset)
            failures = [
                ImportFailure(filename=error.filename, stack_trace=error.stack_trace) for error in found.import_errors
            ]
            return failures, found.total_entries

        return list(self._pages(page))

    def set_paused(self, dag_id: str, *, is_paused: bool) -> None:
        body = DAGPatchBody(is_paused=is_paused)
        self._call(lambda: self._dags.patch_dag(dag_id, body))

    def trigger(
        self,
        dag_id: str,
        *,
        conf: Mapping[str, Any],
        logical_date: datetime | None,
        interval: tuple[datetime, datetime] | None = None,
    ) -> str:
        begin, end = interval or (None, None)
        body = TriggerDAGRunPostBody(
            conf=dict(conf), logical_date=begin or logical_date, data_interval_start=begin, data_interval_end=end
        )
        return self._call(lambda: self._dag_runs.trigger_dag_run(dag_id, body)).dag_run_id

    def backfill(self, dag_id: str, start: datetime, end: datetime, *, reprocess: str, max_active_runs: int) -> None:
        body = BackfillPostBody(
            dag_id=dag_id,
            from_date=start,
            to_date=end,
            reprocess_behavior=ReprocessBehavior(reprocess),
            max_active_runs=max_active_runs,
            dag_run_conf={},
        )
        self._call(lambda: BackfillApi(self._client).create_backfill(body))

    def runs(self, dag_id: str) -> list[DagRun]:
        """Return every run of a DAG, the earliest due first."""

        def page(offset: int) -> tuple[Sequence[DagRun], int]:
            found = self._dag_runs.get_dag_runs(dag_id, limit=PAGE_SIZE, offset=offset, order_by=["run_after"])
            return [_dag_run(run) for run in found.dag_runs], found.total_entries or 0

        return list(self._pages(page))

    def run(self, dag_id: str, dag_run_id: str) -> DagRun:
        return _dag_run(self._call(lambda: self._dag_runs.get_dag_run(dag_id, dag_run_id)))

    def fail_run(self, dag_id: str, dag_run_id: str) -> None:
        """End a run, and the tasks that it still runs, as failed."""
        body = DAGRunPatchBody(state=DagRunMutableStates.FAILED)
        self._call(lambda: self._dag_runs.patch_dag_run(dag_id, dag_run_id, body))

    def clear(self, dag_id: str, dag_run_id: str, *, only_failed: bool) -> None:
        body = DAGRunClearBody(dry_run=False, only_failed=only_failed)
        self._call(lambda: self._dag_runs.clear_dag_run(dag_id, dag_run_id, body))

    def task_instances(self, dag_id: str, dag_run_id: str) -> list[TaskInstance]:
        """Return the task instances of a run, by task id, then by map index."""

        def page(offset: int) -> tuple[Sequence[TaskInstance], int]:
            found = self._task_instances.get_task_instances(dag_id, dag_run_id, limit=PAGE_SIZE, offset=offset)
            return [_task_instance(task) for task in found.task_instances], found.total_entries or 0

        return sorted(self._pages(page), key=lambda task: (task.task_id, task.map_index))

    def extra_links(self, dag_id: str, dag_run_id: str, task_id: str, *, map_index: int) -> dict[str, str]:
        links = partial(self._task_instances.get_extra_links, dag_id, dag_run_id, task_id, map_index=map_index)
        return self._call(links).extra_links

    def task_log(self, dag_id: str, dag_run_id: str, task_id: str, *, map_index: int, try_number: int) -> str:
        """Return one line per event: time, level, message, then the fields."""
        log = self._call(
            lambda: _body_of(
                self._task_instances.get_log_without_preload_content(
                    dag_id,
                    dag_run_id,
                    task_id,
                    try_number,
                    full_content=True,
                    map_index=map_index,
                    accept="application/json",
                )
            )
        )
        return "\n".join(_log_line(event) for event in log["content"])

    def xcom(self, dag_id: str, dag_run_id: str, task_id: str, *, key: str, map_index: int) -> Any:
        """Return the value as Python's plain types, or None where there is none."""
        found = self._found(
            lambda: self._xcoms.get_xcom_entry(
                dag_id,
                task_id,
                dag_run_id,
                key,
                map_index=map_index,
                deserialize=True,
                stringify=False,
            )
        )
        return None if found is None or found.actual_instance is None else found.actual_instance.value

    def variable(self, name: str) -> str | None:
        found = self._found(lambda: self._variables.get_variable(name))
        return None if found is None else found.value

    def set_variable(self, name: str, text: str) -> None:
        body = VariableBody(key=name, value=text)
        if self._found(lambda: self._variables.patch_variable(name, body)) is None:
            self._call(lambda: self._variables.post_variable(body))

    def set_connection(self, conn_id: str, fields: Mapping[str, Any]) -> None:
        body = connection_body(conn_id, fields)
        if self._found(lambda: self._connections.patch_connection(conn_id, body)) is None:
            self._call(lambda: self._connections.post_connection(body))

    def set_pool(self, name: str, slots: int) -> None:
        patch = PoolPatchBody(pool=name, slots=slots, include_deferred=False)
        if self._found(lambda: self._pools.patch_pool(name, patch)) is None:
            body = PoolBody(name=name, slots=slots, include_deferred=False)
            self._call(lambda: self._pools.post_pool(body))

    def test_connection(self, conn_id: str) -> tuple[bool, str]:
        """Let the API server run the hook's own test of a stored connection."""
        stored = self._call(lambda: self._connections.get_connection(conn_id))
        body = ConnectionBody.model_validate(stored.to_dict())
        result = self._call(lambda: self._connections.test_connection(body))
        return result.status, result.message

    def _pages(self, page: Callable[[int], tuple[Sequence[Item], int]]) -> Iterator[Item]:
        """Yield the items of a collection; ``page`` returns those from an offset on, and how many there are in all."""
        offset = 0
        while True:
            items, total = self._call(partial(page, offset))
            yield from items
            offset += len(items)
            if not items or offset >= total:
                return

    def _found(self, request: Callable[[], Result]) -> Result | None:
        """Return what a request finds, or None where there is nothing of that name."""
        try:
            return self._call(request)
        except AirflowApiError as error:
            if error.status_code == HTTPStatus.NOT_FOUND:
                return None
            raise

    def _call(self, request: Callable[[], Result]) -> Result:
        """Send a request with a token that is accepted; an error status becomes an AirflowApiError."""
        try:
            try:
                return request()
            except UnauthorizedException:
                self._log_in()
                return request()
        except ApiException as error:
            raise AirflowApiError(error.status or 0, str(error.body or error.reason)[:2000]) from error

    def _log_in(self) -> None:
        """Fetch a token from the auth manager, whose address is no part of the API that the client covers."""
        response = httpx.post(self._token_url, json=self._credentials, timeout=TIMEOUT_S, trust_env=False)
        if response.is_error:
            raise AirflowApiError(response.status_code, f"POST /auth/token: {response.text[:2000]}")
        self._client.configuration.access_token = response.json()["access_token"]


def connection_body(conn_id: str, fields: Mapping[str, Any]) -> WholeConnection:
    """Turn Airflow's JSON form of a connection (``AIRFLOW_CONN_...``) into the body that the REST API takes."""
    names = ("conn_type", "host", "login", "password", "schema", "port", "description", "extra")
    if unknown := set(fields) - set(names):
        raise StackError(f"Connection {conn_id!r} has unknown fields: {', '.join(sorted(unknown))}.")
    extra = fields.get("extra")
    text = json.dumps(dict(extra)) if isinstance(extra, Mapping) else extra
    return WholeConnection.model_validate({"connection_id": conn_id, **fields, "extra": text})


def wait_for_run(api: AirflowApi, dag_id: str, dag_run_id: str, *, timeout_s: float) -> str:
    """Return the final state of a run; StackError names the tasks that kept it from ending in time."""

    def late(state: str) -> StackError:
        tasks = ", ".join(
            f"{task.task_id}[{task.map_index}]={task.state}"
            for task in api.task_instances(dag_id, dag_run_id)
            if task.state != "success"
        )
        return StackError(f"Run {dag_run_id} of {dag_id} is {state} after {timeout_s:g} s; not successful: {tasks}")

    return poll(
        lambda: api.run(dag_id, dag_run_id).state,
        until=FINISHED_STATES.__contains__,
        timeout_s=timeout_s,
        every_s=_longer_and_longer,
        late=late,
    )


def _longer_and_longer(state: RetryCallState) -> float:
    """Return how long to wait for the next question: each costs Airflow time of its own."""
    return min(1.0, max(0.1, (state.seconds_since_start or 0) / 20))


def _dag_run(run: DAGRunResponse) -> DagRun:
    return DagRun(
        dag_run_id=run.dag_run_id,
        state=run.state.value,
        run_type=run.run_type.value,
        data_interval_start=_utc(run.data_interval_start),
        data_interval_end=_utc(run.data_interval_end),
        start=_utc(run.start_date),
        end=_utc(run.end_date),
    )


def _task_instance(task: TaskInstanceResponse) -> TaskInstance:
    return TaskInstance(
        task_id=task.task_id,
        map_index=task.map_index,
        state=task.state.value if task.state else None,
        try_number=task.try_number,
        rendered_map_index=task.rendered_map_index,
        start=_utc(task.start_date),
        end=_utc(task.end_date),
        pid=task.pid,
    )


def _utc(at: datetime | None) -> datetime | None:
    return at.astimezone(UTC) if at else None


def _body_of(response: urllib3.BaseHTTPResponse) -> Any:
    """Return the JSON of a response that the client was asked to leave as it came: its model of a log drops fields."""
    if response.status != HTTPStatus.OK:
        raise ApiException.from_response(http_resp=response, body=response.data.decode(), data=None)
    return response.json()


def _log_line(event: dict[str, Any] | str) -> str:
    if isinstance(event, str):
        return event
    fields = dict(event)
    leading = [str(fields.pop(name)) for name in ("timestamp", "level", "event") if fields.get(name) is not None]
    return " ".join([*leading, *(f"{name}={value}" for name, value in fields.items())])
