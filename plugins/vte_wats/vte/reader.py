"""The VTE database over Airflow's MsSqlHook: read only, set-based, streamed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from itertools import groupby
from operator import attrgetter
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
from vte_wats.mapping.operators import Operators
from vte_wats.vte.connection import check_connection, driver_verifies_servers
from vte_wats.vte.rows import (
    DAY_COUNTS,
    IDENTITY_AND_RUN_COUNTS,
    RUN_HOURS,
    RUN_KEYS,
    RUN_TIMES,
    RUNS,
    SOURCE_IDENTITY,
    STATION_TIMES,
    STEPS,
    WAITING_RUNS,
    IdentityAndRunCountsRow,
    Row,
    RunRow,
    RunTimesRow,
    Select,
    SourceIdentityRow,
    StepRow,
)
from vte_wats.vte.server_facts import read_facts
from vte_wats.vte.sql_errors import translate_error
from vte_wats.vte.statements import Binds, among_guids, in_ranges, statement

_ROWS_AT_ONCE = 1_000
_UNNAMED = Site()

_STEPS = TypeAdapter(list[VteStepResult])  # a run's steps are validated in one call: half the cost of a call for each


class VteSource:
    """One connection to VTE for the length of a ``with`` block; implements :class:`vte_wats.domain.ports.RunSource`.

    Every failure of the driver leaves as RetriableError or FatalError.
    """

    def __init__(
        self,
        settings: Settings,
        hook: MsSqlHook | None = None,
        *,
        site: Site = _UNNAMED,
        operators: Operators | None = None,
    ) -> None:
        self._settings = settings
        self._operators = operators or Operators(settings)
        self._site = site
        self._hook = hook or MsSqlHook(mssql_conn_id=site.source_connection)
        self._connection: pymssql.Connection | None = None

    def __enter__(self) -> Self:
        """Connect, and set up the session so that this reader gives way."""
        check_connection(self._hook, self._site.source_connection)
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
        """Return which database this is, in one statement, with the server's own clock."""
        rows = list(self._rows(SOURCE_IDENTITY, {"schema_name": self._settings.source_schema}))
        return self._identity(rows), rows[0].server_utc.replace(tzinfo=UTC)

    def identity_and_run_counts(self, ranges: Sequence[LocalRange]) -> tuple[SourceIdentity, RunTimes]:
        """Return which database this is, and the runs per second of the ranges, in one statement."""
        condition, binds = in_ranges(ranges)
        binds["schema_name"] = self._settings.source_schema
        rows = list(self._rows(IDENTITY_AND_RUN_COUNTS, binds, ranges=condition))
        return self._identity(rows), _run_times(rows)

    def facts(self) -> SourceFacts:
        """Ask what the preflight looks at, in three statements."""
        encrypted = self._hook.connection.extra_dejson.get("encryption") == "require"
        return read_facts(
            self._rows, self._settings, encrypted=encrypted, verifies_server=driver_verifies_servers(os.environ)
        )

    def run_times(self, ranges: Sequence[LocalRange]) -> RunTimes:
        """Count the runs per second of the ranges, in one statement, with the server's own clock."""
        condition, binds = in_ranges(ranges)
        return _run_times(list(self._rows(RUN_TIMES, binds, ranges=condition)))

    def waiting_runs(self, ranges: Sequence[LocalRange]) -> WaitingRuns:
        """Count the runs of the ranges, in one statement, with the server's own clock and version."""
        condition, binds = in_ranges(ranges)
        (row,) = self._rows(WAITING_RUNS, binds, ranges=condition)
        return WaitingRuns(row.server_utc.replace(tzinfo=UTC), row.server_version, int(row.runs), row.newest_local)

    def day_counts(self, ranges: Sequence[LocalRange]) -> dict[tuple[str, int | None], int]:
        """Count the runs of the ranges by product name and result code, in one statement."""
        condition, binds = in_ranges(ranges)
        counts: Counter[tuple[str, int | None]] = Counter()
        for row in self._rows(DAY_COUNTS, binds, ranges=condition):
            counts[row.product_name or "", row.result_code] += int(row.runs)
        return dict(counts)

    def run_hours(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[datetime, int]]:
        """Count the runs per hour of the ranges, ascending, in one statement; hours without runs are absent."""
        condition, binds = in_ranges(ranges)
        rows = self._rows(RUN_HOURS, binds, ranges=condition)
        return ((datetime.fromisoformat(row.hour_local), int(row.runs)) for row in rows)

    def run_keys(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[UUID, datetime]]:
        """Stream GUID and Timestamp of the runs whose Timestamp lies in the ranges, in one statement."""
        condition, binds = in_ranges(ranges)
        return ((row.index_guid, row.timestamp_local) for row in self._rows(RUN_KEYS, binds, ranges=condition))

    def station_times(self, ranges: Sequence[LocalRange]) -> Iterator[StationTime]:
        """Stream when known stations were busy, in one statement."""
        condition, binds = in_ranges(ranges)
        return (StationTime(**row._asdict()) for row in self._rows(STATION_TIMES, binds, ranges=condition))

    def runs_between(self, ranges: Sequence[LocalRange]) -> Iterator[VteTestRun]:
        """Stream the runs whose Timestamp lies in the ranges, complete with steps: two statements in all."""
        return self._runs(*in_ranges(ranges))

    def runs_by_guid(self, guids: Sequence[UUID]) -> Iterator[VteTestRun]:
        """Stream the named runs, complete with steps: two statements in all. Absent GUIDs yield nothing."""
        return self._runs(*among_guids(guids))

    def _identity(self, rows: Sequence[SourceIdentityRow] | Sequence[IdentityAndRunCountsRow]) -> SourceIdentity:
        first = rows[0]
        read = {name.casefold(): name for name in self._settings.columns_read}  # SQL Server ignores the case of names
        found = {f"{row.table_name}.{row.column_name}".casefold(): str(row.data_type) for row in rows}
        columns = {read[name]: data_type for name, data_type in found.items() if name in read}
        return SourceIdentity(
            first.server_name, first.database_name, datetime.fromisoformat(first.created_local), columns
        )

    def _runs(self, selection: str, binds: Binds) -> Iterator[VteTestRun]:
        """Hold the slice's runs and the steps of one run at a time; runs without steps come last."""
        runs = {row.index_guid: row for row in self._rows(RUNS, binds, selection=selection)}
        steps = self._rows(STEPS, binds, selection=selection)
        for guid, rows in groupby(steps, key=attrgetter("index_guid")):
            run = runs.pop(guid, None)
            if run is not None:  # a run that was committed between the two statements is read the next time
                yield self._run(run, rows)
        for run in runs.values():
            yield self._run(run, ())

    def _run(self, row: RunRow, steps: Iterable[StepRow]) -> VteTestRun:
        """Return a run without what must not leave VTE: nothing behind this point sees more of an operator."""
        return _run(row._replace(operator=self._operators.kept(row.operator)), steps)

    def _rows(self, select: Select[Row], binds: Binds, **conditions: str) -> Iterator[Row]:
        assert self._connection is not None, "a VteSource reads inside its with block"  # noqa: S101
        with self._translation(f"running {select.name}"), self._connection.cursor() as cursor:
            cursor.execute(statement(select.name, self._settings, **conditions), binds)
            row_of = select.row_builder([column[0] for column in cursor.description or ()])
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                yield from map(row_of, rows)

    @contextmanager
    def _translation(self, doing: str) -> Iterator[None]:
        try:
            yield
        except pymssql.Error as exc:
            raise translate_error(exc, doing, self._site) from exc


def _run_times(rows: Sequence[RunTimesRow] | Sequence[IdentityAndRunCountsRow]) -> RunTimes:
    seconds = tuple(
        (datetime.fromisoformat(row.second_local), int(row.runs or 0)) for row in rows if row.second_local is not None
    )
    return RunTimes(server_now_at=rows[0].server_utc.replace(tzinfo=UTC), seconds=seconds)


def _run(run: RunRow, steps: Iterable[StepRow]) -> VteTestRun:
    return VteTestRun(
        index_guid=run.index_guid,
        timestamp_local=run.timestamp_local,
        result_code=run.result_code,
        exit_code=run.exit_code,
        test_time_s=run.test_time_s,
        serial=run.serial,
        product=VteProduct(
            product_guid=run.product_guid,
            name=run.product_name,
            master_name=run.product_master_name,
        ),
        testplan=VteTestplan(
            testplan_guid=run.testplan_guid,
            revision_guid=run.testplan_revision_guid,
            name=run.testplan_name,
            master_name=run.testplan_master_name,
            variant=run.testplan_variant,
            revision=run.testplan_revision,
        ),
        testsystem_guid=run.testsystem_guid,
        testsystem_name=run.testsystem_name,
        hostname=run.hostname,
        site_name=run.site,
        operator=run.operator,
        info1=run.info1,
        info2=run.info2,
        info3=run.info3,
        steps=_in_order(_STEPS.validate_python([_step(step) for step in steps])),
    )


def _step(row: StepRow) -> dict[str, Any]:
    step: dict[str, Any] = {
        "kind": row.kind,
        "step_number": row.step_number,
        "test_name": row.test_name,
        "test_description": row.test_description,
        "test_number": row.test_number,
        "units": row.units,
        "numeric_value": row.numeric_value,
        "text_value": row.text_value,
        "low_limit": row.low_limit,
        "high_limit": row.high_limit,
        "result_code": row.result_code,
    }
    other = row.other_value
    if isinstance(other, bytes):
        step["bytes_value"] = other
    elif other is not None:
        step["text_value"] = _as_text(other)
    return step


def _as_text(value: Any) -> str:
    """Return a value of TestDataOther as text, whatever type the column has at a site; nothing is lost."""
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
