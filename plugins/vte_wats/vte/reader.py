"""The VTE database over Airflow's MsSqlHook: read only, set-based, streamed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import Any, Self
from uuid import UUID

import pymssql
from airflow.providers.microsoft.mssql.hooks.mssql import MsSqlHook
from pydantic import TypeAdapter

from vte_wats.config.settings import Settings
from vte_wats.config.sites import Site
from vte_wats.domain.run import VteProduct, VteStepResult, VteTestplan, VteTestRun
from vte_wats.domain.source import RunTimes, SourceFacts, SourceIdentity, StationTime, WaitingRuns
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.vte.server_facts import read_facts
from vte_wats.vte.sql_errors import translated
from vte_wats.vte.statements import Binds, among_guids, in_ranges, statement

# Without these pymssql waits for ever for an answer, and a minute for a login. The connection's extra overrides them.
_CONNECT_DEFAULTS = {"timeout": 120, "login_timeout": 15, "charset": "UTF-8", "appname": "vte-wats"}
_ROWS_AT_ONCE = 1_000
_UNNAMED = Site()

_Row = tuple[Any, ...]

_STEPS = TypeAdapter(list[VteStepResult])  # a run's steps are validated in one call: half the cost of one each


class VteSource:
    """One connection to VTE for the length of a ``with`` block; implements :class:`vte_wats.domain.ports.RunSource`.

    Every failure of the driver leaves as RetriableError or FatalError.
    """

    def __init__(self, settings: Settings, hook: MsSqlHook | None = None, *, site: Site = _UNNAMED) -> None:
        self._settings = settings
        self._site = site
        self._hook = hook or MsSqlHook(mssql_conn_id=site.source_connection)
        self._connection: pymssql.Connection | None = None

    def __enter__(self) -> Self:
        """Connect, and tell the server that this reader gives way."""
        details = self._hook.connection
        details.extra = json.dumps(_CONNECT_DEFAULTS | details.extra_dejson)
        details.port = details.port or 1433
        with self._translation("connecting"):
            self._connection = self._hook.get_conn()
            self._connection.autocommit(True)  # noqa: FBT003 -- a transaction left open would keep its locks
            with self._connection.cursor() as cursor:
                options = statement("session_options", self._settings)
                cursor.execute(options, {"lock_timeout_ms": self._settings.lock_timeout_ms})
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection, whatever state it is in."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def identity(self) -> tuple[SourceIdentity, datetime]:
        """Tell which database this is, in one statement, with the server's own clock."""
        rows = list(self._rows("select_source_identity", {"schema_name": self._settings.source_schema}))
        return self._identity(rows), rows[0][5].replace(tzinfo=UTC)

    def identity_and_run_counts(self, ranges: Sequence[LocalRange]) -> tuple[SourceIdentity, RunTimes]:
        """Tell which database this is, and count the runs per second of the ranges, in one statement."""
        condition, binds = in_ranges(ranges)
        binds["schema_name"] = self._settings.source_schema
        seen, seconds = [], []
        for *column, second, runs, server, server_utc, created_local in self._rows(
            "select_identity_and_run_counts", binds, ranges=condition
        ):
            seen.append((*column, server, server_utc, created_local))
            if second is not None:
                seconds.append((datetime.fromisoformat(second), int(runs)))
        return self._identity(seen), RunTimes(server_now_at=seen[0][5].replace(tzinfo=UTC), seconds=tuple(seconds))

    def facts(self) -> SourceFacts:
        """Ask what the preflight looks at, in three statements."""
        encrypted = self._hook.connection.extra_dejson.get("encryption") == "require"
        return read_facts(self._rows, self._settings, encrypted=encrypted)

    def run_times(self, ranges: Sequence[LocalRange]) -> RunTimes:
        """Count the runs per second of the ranges, in one statement, with the server's own clock."""
        condition, binds = in_ranges(ranges)
        rows = list(self._rows("select_run_times", binds, ranges=condition))
        seconds = tuple((datetime.fromisoformat(second), int(runs)) for _, second, runs in rows if second is not None)
        return RunTimes(server_now_at=rows[0][0].replace(tzinfo=UTC), seconds=seconds)

    def waiting_runs(self, ranges: Sequence[LocalRange]) -> WaitingRuns:
        """Count the runs of the ranges, in one statement, with the server's own clock and version."""
        condition, binds = in_ranges(ranges)
        ((server_now_at, version, newest_local, runs),) = self._rows("select_waiting_runs", binds, ranges=condition)
        return WaitingRuns(server_now_at.replace(tzinfo=UTC), version, int(runs), newest_local)

    def day_counts(self, ranges: Sequence[LocalRange]) -> dict[tuple[str, int | None], int]:
        """Count the runs of the ranges by product name and result code, in one statement."""
        condition, binds = in_ranges(ranges)
        counts: Counter[tuple[str, int | None]] = Counter()
        for product_name, result_code, runs in self._rows("select_day_counts", binds, ranges=condition):
            counts[product_name or "", result_code] += int(runs)
        return dict(counts)

    def run_hours(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[datetime, int]]:
        """Count the runs per hour of the ranges, ascending, in one statement; hours without runs are absent."""
        condition, binds = in_ranges(ranges)
        rows = self._rows("select_run_hours", binds, ranges=condition)
        return ((datetime.fromisoformat(hour), int(runs)) for hour, runs in rows)

    def run_keys(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[UUID, datetime]]:
        """Stream GUID and Timestamp of the runs whose Timestamp lies in the ranges, in one statement."""
        condition, binds = in_ranges(ranges)
        return ((guid, local) for guid, local in self._rows("select_run_keys", binds, ranges=condition))

    def station_times(self, ranges: Sequence[LocalRange]) -> Iterator[StationTime]:
        """Stream when known stations were busy, in one statement."""
        condition, binds = in_ranges(ranges)
        return (StationTime(*row) for row in self._rows("select_station_times", binds, ranges=condition))

    def runs_between(self, ranges: Sequence[LocalRange]) -> Iterator[VteTestRun]:
        """Stream the runs whose Timestamp lies in the ranges, complete with steps: two statements in all."""
        return self._runs(*in_ranges(ranges))

    def runs_by_guid(self, guids: Sequence[UUID]) -> Iterator[VteTestRun]:
        """Stream the named runs, complete with steps: two statements in all. Absent GUIDs yield nothing."""
        return self._runs(*among_guids(guids))

    def _identity(self, rows: Sequence[_Row]) -> SourceIdentity:
        database, _, _, _, server, _, created_local, *_ = rows[0]
        read = {name.casefold(): name for name in self._settings.columns_read}  # SQL Server ignores the case of names
        found = {f"{table}.{column}".casefold(): data_type for _, table, column, data_type, *_ in rows}
        columns = {read[name]: data_type for name, data_type in found.items() if name in read}
        return SourceIdentity(server, database, datetime.fromisoformat(created_local), columns)

    def _runs(self, selection: str, binds: Binds) -> Iterator[VteTestRun]:
        """Hold the slice's headers and the steps of one run at a time; runs without steps come last."""
        headers = {row[0]: row for row in self._rows("select_runs", binds, selection=selection)}
        for guid, rows in groupby(self._rows("select_steps", binds, selection=selection), key=itemgetter(0)):
            header = headers.pop(guid, None)
            if header is not None:  # a run that was committed between the two statements is read the next time
                yield _run(header, rows)
        for header in headers.values():
            yield _run(header, ())

    def _rows(self, name: str, binds: Binds, **conditions: str) -> Iterator[_Row]:
        assert self._connection is not None, "a VteSource reads inside its with block"  # noqa: S101
        with self._translation(f"running {name}"), self._connection.cursor() as cursor:
            cursor.execute(statement(name, self._settings, **conditions), binds)
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                yield from rows

    @contextmanager
    def _translation(self, doing: str) -> Iterator[None]:
        try:
            yield
        except pymssql.Error as exc:
            raise translated(exc, doing, self._site) from exc


def _run(header: _Row, rows: Sequence[_Row] | Iterator[_Row]) -> VteTestRun:
    """Build a run from a row of select_runs and its rows of select_steps."""
    (
        index_guid, timestamp_local, result_code, exit_code, test_time_s, serial,
        product_guid, product_name, product_master_name,
        testplan_guid, revision_guid, testplan_name, testplan_master_name, variant, revision,
        testsystem_guid, testsystem_name, hostname, site, operator, info1, info2, info3,
    ) = header  # fmt: skip
    return VteTestRun(
        index_guid=index_guid,
        timestamp_local=timestamp_local,
        result_code=result_code,
        exit_code=exit_code,
        test_time_s=test_time_s,
        serial=serial,
        product=VteProduct(product_guid=product_guid, name=product_name, master_name=product_master_name),
        testplan=VteTestplan(
            testplan_guid=testplan_guid,
            revision_guid=revision_guid,
            name=testplan_name,
            master_name=testplan_master_name,
            variant=variant,
            revision=revision,
        ),
        testsystem_guid=testsystem_guid,
        testsystem_name=testsystem_name,
        hostname=hostname,
        site_name=site,
        operator=operator,
        info1=info1,
        info2=info2,
        info3=info3,
        steps=_in_order(_STEPS.validate_python([_step(row) for row in rows])),
    )


def _step(row: _Row) -> dict[str, Any]:
    (
        _, kind, step_number, test_name, test_description, test_number, units,
        other_value, text_value, numeric_value, low_limit, high_limit, result_code,
    ) = row  # fmt: skip
    return {
        "kind": kind,
        "step_number": step_number,
        "test_name": test_name,
        "test_description": test_description,
        "test_number": test_number,
        "units": units,
        "numeric_value": numeric_value,
        "text_value": text_value if other_value is None or isinstance(other_value, bytes) else _as_text(other_value),
        "bytes_value": other_value if isinstance(other_value, bytes) else None,
        "low_limit": low_limit,
        "high_limit": high_limit,
        "result_code": result_code,
    }


def _as_text(value: Any) -> str:
    """Write a value of TestDataOther, whatever type the column has at a site, so that nothing of it is lost."""
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return str(int(value)) if isinstance(value, bool) else str(value)


def _in_order(steps: Sequence[VteStepResult]) -> tuple[VteStepResult, ...]:
    """Order steps by their content alone: the tables have no key, and equal content must give an equal report."""
    numbers = {step.step_number for step in steps}
    if len(numbers) == len(steps) and None not in numbers:  # the usual run; the whole content costs ten times as much
        return tuple(sorted(steps, key=attrgetter("step_number")))
    return tuple(sorted(steps, key=_step_order))


def _step_order(step: VteStepResult) -> tuple[tuple[bool, Any], ...]:
    fields = (
        step.step_number, step.kind, step.test_number, step.test_name, step.test_description, step.units,
        step.numeric_value, step.text_value, step.bytes_value, step.low_limit, step.high_limit, step.result_code,
    )  # fmt: skip
    return tuple((field is None, field if field is not None else 0) for field in fields)
