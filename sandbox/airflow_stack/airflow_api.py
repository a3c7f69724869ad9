"""Airflow's REST API v2, as far as the demo and the tests need it."""

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from sandbox.airflow_stack.stack_errors import AirflowApiError, StackError

PAGE_SIZE = 100
FINISHED_STATES = frozenset({"success", "failed"})
JsonDict = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class DagRun:
    """One run of a DAG; the interval is None for a manual run without a logical date."""

    run_id: str
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


class RestClient:
    """Calls of one user; the token is fetched at the first call and again when it is refused."""

    def __init__(self, url: str, *, user: str, password: str) -> None:
        self._credentials = {"username": user, "password": password}
        self._http = httpx.Client(base_url=url, timeout=60.0, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def health(self) -> JsonDict:
        """Return the health document; it needs no login."""
        answer = self._http.get("/api/v2/monitor/health", timeout=5.0)
        answer.raise_for_status()
        return _object(answer.json())

    def dags(self) -> list[JsonDict]:
        return list(self._pages("/api/v2/dags", "dags"))

    def import_errors(self) -> list[ImportFailure]:
        failures = self._pages("/api/v2/importErrors", "import_errors")
        return [ImportFailure(filename=each["filename"], stack_trace=each["stack_trace"]) for each in failures]

    def set_paused(self, dag_id: str, *, is_paused: bool) -> None:
        self._call("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": is_paused})

    def trigger(
        self,
        dag_id: str,
        *,
        conf: Mapping[str, Any],
        logical_date: datetime | None,
        interval: tuple[datetime, datetime] | None = None,
    ) -> str:
        body = {"conf": dict(conf), "logical_date": logical_date.isoformat() if logical_date else None}
        if interval is not None:
            begin, end = (edge.isoformat() for edge in interval)
            body |= {"logical_date": begin, "data_interval_start": begin, "data_interval_end": end}
        return str(self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag_id: str) -> list[DagRun]:
        """Return every run of a DAG, the earliest due first."""
        pages = self._pages(f"/api/v2/dags/{dag_id}/dagRuns", "dag_runs", order_by="run_after")
        return [_dag_run(each) for each in pages]

    def run(self, dag_id: str, run_id: str) -> DagRun:
        return _dag_run(self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"))

    def task_instances(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Return the task instances of a run, by task id, then by map index."""
        found = [
            TaskInstance(
                task_id=each["task_id"],
                map_index=each["map_index"],
                state=each["state"],
                try_number=each["try_number"],
                rendered_map_index=each["rendered_map_index"],
                start=_instant(each["start_date"]),
                end=_instant(each["end_date"]),
                pid=each["pid"],
            )
            for each in self._pages(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances", "task_instances")
        ]
        return sorted(found, key=lambda each: (each.task_id, each.map_index))

    def clear(self, dag_id: str, run_id: str, *, only_failed: bool) -> None:
        body = {"dry_run": False, "only_failed": only_failed}
        self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/clear", json=body)

    def xcom(self, dag_id: str, run_id: str, task_id: str, *, key: str, map_index: int) -> Any:
        """Return the value as Python's plain types, or None where there is none."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/{key}"
        answer = self._get_or_none(path, map_index=map_index, deserialize=True, stringify=False)
        return None if answer is None else answer["value"]

    def task_log(self, dag_id: str, run_id: str, task_id: str, *, map_index: int, try_number: int) -> str:
        """Return one line per event: time, level, message, then the fields."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/logs/{try_number}"
        answer = self._call("GET", path, params={"map_index": map_index, "full_content": True})
        return "\n".join(_log_line(each) for each in answer["content"])

    def variable(self, name: str) -> str | None:
        answer = self._get_or_none(f"/api/v2/variables/{name}")
        return None if answer is None else str(answer["value"])

    def set_variable(self, name: str, text: str) -> None:
        self._upsert("/api/v2/variables", name, {"key": name, "value": text})

    def set_connection(self, conn_id: str, fields: Mapping[str, Any]) -> None:
        self._upsert("/api/v2/connections", conn_id, connection_body(conn_id, fields))

    def set_pool(self, name: str, slots: int) -> None:
        self._upsert("/api/v2/pools", name, {"name": name, "slots": slots, "include_deferred": False})

    def test_connection(self, conn_id: str) -> tuple[bool, str]:
        """Let the API server run the hook's own test of a stored connection."""
        stored = self._call("GET", f"/api/v2/connections/{conn_id}")
        names = ("connection_id", "conn_type", "host", "login", "schema", "port", "password", "extra", "description")
        body = {name: stored[name] for name in names if name in stored}
        answer = self._call("POST", "/api/v2/connections/test", json=body)
        return bool(answer["status"]), str(answer["message"])

    def _upsert(self, collection: str, name: str, body: Mapping[str, Any]) -> None:
        try:
            self._call("PATCH", f"{collection}/{name}", json=body)
        except AirflowApiError as error:
            if error.status_code != httpx.codes.NOT_FOUND:
                raise
            self._call("POST", collection, json=body)

    def _get_or_none(self, path: str, **params: Any) -> JsonDict | None:
        try:
            return self._call("GET", path, params=params)
        except AirflowApiError as error:
            if error.status_code == httpx.codes.NOT_FOUND:
                return None
            raise

    def _pages(self, path: str, key: str, **params: Any) -> Iterator[JsonDict]:
        offset = 0
        while True:
            answer = self._call("GET", path, params={"limit": PAGE_SIZE, "offset": offset, **params})
            yield from answer[key]
            offset += len(answer[key])
            if not answer[key] or offset >= answer["total_entries"]:
                return

    def _call(self, method: str, path: str, **arguments: Any) -> JsonDict:
        if "Authorization" not in self._http.headers:
            self._log_in()
        answer = self._http.request(method, path, headers={"Accept": "application/json"}, **arguments)
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            self._log_in()
            answer = self._http.request(method, path, headers={"Accept": "application/json"}, **arguments)
        _raise_for_status(answer)
        return _object(answer.json()) if answer.content else {}

    def _log_in(self) -> None:
        answer = self._http.post("/auth/token", json=self._credentials)
        _raise_for_status(answer)
        self._http.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"


def connection_body(conn_id: str, fields: Mapping[str, Any]) -> JsonDict:
    """Turn Airflow's JSON form of a connection (``AIRFLOW_CONN_...``) into the body that the REST API takes."""
    names = ("conn_type", "host", "login", "password", "schema", "port", "description", "extra")
    if unknown := set(fields) - set(names):
        raise StackError(f"Connection {conn_id!r} has unknown fields: {', '.join(sorted(unknown))}.")
    body: JsonDict = {
        "connection_id": conn_id,
        **{name: fields.get(name) for name in names},
    }  # an absent one is cleared
    if isinstance(body["extra"], Mapping):
        body["extra"] = json.dumps(dict(body["extra"]))
    return body


def wait_for_run(client: RestClient, dag_id: str, run_id: str, *, timeout_s: float) -> str:
    """Return the final state of a run; StackError names the tasks that kept it from ending in time."""
    deadline = time.monotonic() + timeout_s
    while (state := client.run(dag_id, run_id).state) not in FINISHED_STATES:
        if time.monotonic() > deadline:
            tasks = ", ".join(
                f"{each.task_id}[{each.map_index}]={each.state}"
                for each in client.task_instances(dag_id, run_id)
                if each.state != "success"
            )
            raise StackError(f"Run {run_id} of {dag_id} is {state} after {timeout_s:g} s; not successful: {tasks}")
        time.sleep(0.2)
    return state


def _raise_for_status(answer: httpx.Response) -> None:
    if answer.is_error:
        request = answer.request
        raise AirflowApiError(answer.status_code, f"{request.method} {request.url.path}: {answer.text[:2000]}")


def _object(value: Any) -> JsonDict:
    if not isinstance(value, dict):
        raise StackError(f"Airflow answered with {type(value).__name__} where a JSON object was expected.")
    return value


def _dag_run(each: JsonDict) -> DagRun:
    return DagRun(
        run_id=each["dag_run_id"],
        state=each["state"],
        run_type=each["run_type"],
        data_interval_start=_instant(each["data_interval_start"]),
        data_interval_end=_instant(each["data_interval_end"]),
        start=_instant(each["start_date"]),
        end=_instant(each["end_date"]),
    )


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).astimezone(UTC) if text else None


def _log_line(event: JsonDict | str) -> str:
    if isinstance(event, str):
        return event
    fields = dict(event)
    leading = [str(fields.pop(name)) for name in ("timestamp", "level", "event") if fields.get(name) is not None]
    return " ".join([*leading, *(f"{name}={value}" for name, value in fields.items())])
