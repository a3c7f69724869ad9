"""The VTE database over Airflow's MsSqlHook: read only, set-based, streamed."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID

import pymssql
from airflow.providers.microsoft.mssql.hooks.mssql import MsSqlHook

from vte_wats.config.settings import Settings
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, RetriableError, VteWatsError
from vte_wats.domain.run import VteTestRun
from vte_wats.domain.source import (
    TEXT_TYPES,
    MinuteContent,
    RunGroup,
    RunSteps,
    RunTimes,
    SourceFacts,
    SourceIdentity,
    StationTime,
    StepKey,
    TimeBounds,
    WaitingRuns,
)
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.mapping.identity import Operators
from vte_wats.survey.plans import LARGEST_PLAN
from vte_wats.survey.schema import DeployedColumn, DeployedTable
from vte_wats.vte.rows import (
    CHANGES,
    DAY_COUNTS,
    IDENTITY_AND_RUN_COUNTS,
    RUN_GROUPS,
    RUN_HOURS,
    RUN_KEYS,
    RUN_SIZES,
    RUN_TIMES,
    SCHEMA_RIGHTS,
    SOURCE_IDENTITY,
    STATION_TIMES,
    STEP_KEYS,
    TESTSYSTEMS,
    TIME_BOUNDS,
    WAITING_RUNS,
    IdentityAndRunCountsRow,
    Row,
    RunTimesRow,
    Select,
    SourceIdentityRow,
    guid_of,
)
from vte_wats.vte.run_reader import read_runs
from vte_wats.vte.run_rows import is_placeholder, no_key, with_keys
from vte_wats.vte.schema_reader import (
    count_values_in,
    plan_text,
    read_column_values,
    read_facts,
    read_schema,
    statements_of_a_sync,
)
from vte_wats.vte.sql_errors import VW208, VW209, translate_error
from vte_wats.vte.statements import (
    EVERY_RUN,
    WITHOUT_GUID,
    Binds,
    among_guids,
    in_ranges,
    names_runs,
    or_without_time,
    statement,
    text_columns,
)
from vte_wats.vte.vte_connection import check_connection, driver_verifies_servers

_ROWS_AT_ONCE = 1_000
_LARGEST_TEXT = f"SET TEXTSIZE {2 * (LARGEST_PLAN + 1)}"  # bytes; what is longer comes cut, and is no plan then
_UNNAMED = Site()


class VteSource:
    """One connection to VTE for the length of a ``with`` block; implements :class:`vte_wats.domain.ports.RunSource`.

    Every failure leaves as RetriableError or FatalError; who ends the process (KeyboardInterrupt) is no failure.
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
        self._types: Mapping[str, str] | None = None
        self.takes_locks = False

    def __enter__(self) -> Self:
        """Connect, and set up the session so that this reader gives way."""
        check_connection(self._hook, self._site.source_connection)
        self._connect()
        return self

    def _connect(self) -> None:
        try:
            with self._translation("connecting"):
                self._connection = self._hook.get_conn()
        except (FatalError, RetriableError) as error:
            if error.message is VW208 or (error.message is VW209 and self._is_known_to_the_server()):
                raise self._database_not_open(error) from error
            raise
        with self._translation("connecting"):
            self._set_up(self._connection)

    def _set_up(self, connection: pymssql.Connection) -> None:
        connection.autocommit(True)  # noqa: FBT003 -- a transaction left open would keep its locks
        with connection.cursor(as_dict=True) as cursor:
            options = statement("session_options", self._settings)
            cursor.execute(options, {"lock_timeout_ms": self._settings.lock_timeout_ms})
            self.takes_locks = any(row["takes_locks"] == 1 for row in cursor.fetchall())

    def _is_known_to_the_server(self) -> bool:
        """Return whether the login may enter the server, though not this database.

        A contained user may enter its own database alone, and such a refusal says the same as a wrong password.

        :raises VteWatsError: the server is away by now, or refuses for another reason than the login
        """
        details = self._hook.connection
        database, details.schema = details.schema, "master"  # every login may enter it
        try:
            with self._translation("connecting"):
                self._hook.get_conn().close()
        except FatalError as error:
            if error.message is not VW209:
                raise
            return False
        finally:
            details.schema = database
        return True

    def _database_not_open(self, refused: VteWatsError) -> RetriableError:
        """Return the error for a database that recovers, has a single user or fails over.

        The server then says 4060 (not open) and 18456 (login failed), of which the driver passes on one.
        """
        details = self._hook.connection
        advice = VW208.advice.format(connection=self._site.source_connection)
        return RetriableError(
            VW208,
            f"VTE: {VW208.meaning} while connecting (SQL error 4060, with SQL error 18456: the server is there, but "
            f"database {details.schema} is not open to login {details.login}; the driver says: {refused.detail}); "
            f"{advice}, and that the login may use it",
        )

    def reconnect(self) -> None:
        """Open the connection again, after a failure that may have ended it."""
        self._close()
        self._connect()

    def __exit__(self, *_: object) -> None:
        """Close the connection, whatever state it is in."""
        self._close()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # nothing more is asked of it, and an error would hide the one before
                connection.close()

    def identity(self) -> tuple[SourceIdentity, datetime]:
        """Return which database this is, in one statement, with the server's own clock."""
        rows = list(self.rows(SOURCE_IDENTITY, {"schema_name": self._settings.source_schema}))
        identity = self._identity(rows)
        self._types = identity.columns
        return identity, rows[0].server_utc.replace(tzinfo=UTC)

    def identity_and_run_counts(self, ranges: Sequence[LocalRange]) -> tuple[SourceIdentity, RunTimes]:
        """Return which database this is, and the runs per second of the ranges, in one statement."""
        condition, binds = in_ranges(ranges)
        binds["schema_name"] = self._settings.source_schema
        rows = list(self.rows(IDENTITY_AND_RUN_COUNTS, binds, ranges=condition))
        return self._identity(rows), _run_times(rows)

    def facts(self) -> SourceFacts:
        """Ask what the preflight looks at, in three statements; in four where units may share a key."""
        encrypted = self._hook.connection.extra_dejson.get("encryption") == "require"
        return read_facts(
            self.rows,
            self._settings,
            self._column_types(),
            encrypted=encrypted,
            verifies_server=driver_verifies_servers(os.environ),
        )

    def schema(self) -> list[DeployedTable]:
        """Return the tables that the login can see, in five statements that read none of them."""
        return read_schema(self.rows, self._settings)

    def column_values(
        self, table: str, column: DeployedColumn, beside: DeployedColumn | None
    ) -> Sequence[tuple[Any, Any]]:
        """Return values of a column with those of another one in the same rows, in one statement."""
        return read_column_values(self.rows, self._settings, table, column, beside)

    def values_in(self, table: str, column: DeployedColumn, values: Sequence[Any]) -> int:
        """Return how many of the values a column has, in one statement."""
        return count_values_in(self.rows, self._settings, table, column, values)

    def sees_every_name(self) -> bool:
        """Return whether the login sees all names of the schema, or those of what it may select alone."""
        (row,) = self.rows(SCHEMA_RIGHTS, {"schema_name": self._settings.source_schema})
        return row.sees_every_name == 1

    def time_bounds(self) -> TimeBounds:
        """Return between which Timestamps the runs lie, with the server's clocks, in one statement."""
        (row,) = self.rows(TIME_BOUNDS, {})
        return TimeBounds(
            server_now_at=row.server_utc.replace(tzinfo=UTC),
            server_local=datetime.fromisoformat(row.server_local),
            oldest_local=None if row.oldest_local is None else datetime.fromisoformat(row.oldest_local),
            newest_local=None if row.newest_local is None else datetime.fromisoformat(row.newest_local),
        )

    def run_groups(self, ranges: Sequence[LocalRange]) -> Iterator[RunGroup]:
        """Count the runs of the ranges by product, test plan, station and result, in one statement."""
        condition, binds = in_ranges(ranges)
        for row in self.rows(RUN_GROUPS, binds, ranges=condition):
            yield RunGroup(
                product_name=row.product_name,
                testplan_name=row.testplan_name,
                station_name=row.station_name,
                result_code=row.result_code if isinstance(row.result_code, int) else None,
                runs=int(row.runs),
                first_runs=int(row.first_runs),
                newest_local=datetime.fromisoformat(row.newest_local),
            )

    def run_times(self, ranges: Sequence[LocalRange]) -> RunTimes:
        """Count the runs per second of the ranges, in one statement, with the server's own clock."""
        condition, binds = in_ranges(ranges)
        return _run_times(list(self.rows(RUN_TIMES, binds, ranges=condition)))

    def waiting_runs(self, ranges: Sequence[LocalRange]) -> WaitingRuns:
        """Count the runs of the ranges, in one statement, with the server's own clock and version."""
        condition, binds = in_ranges(ranges)
        (row,) = self.rows(WAITING_RUNS, binds, ranges=condition)
        return WaitingRuns(row.server_utc.replace(tzinfo=UTC), row.server_version, int(row.runs), row.newest_local)

    def day_counts(self, ranges: Sequence[LocalRange]) -> dict[tuple[str, int | None], int]:
        """Count the runs of the ranges by product name and result code, in one statement."""
        condition, binds = in_ranges(ranges)
        counts: Counter[tuple[str, int | None]] = Counter()
        for row in self.rows(DAY_COUNTS, binds, ranges=condition):
            counts[row.product_name or "", row.result_code if isinstance(row.result_code, int) else None] += int(
                row.runs
            )
        return dict(counts)

    def run_hours(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[datetime, int]]:
        """Count the runs per hour of the ranges, ascending, in one statement; hours without runs are absent."""
        condition, binds = in_ranges(ranges)
        rows = self.rows(RUN_HOURS, binds, ranges=condition)
        return ((datetime.fromisoformat(row.hour_local), int(row.runs)) for row in rows)

    def run_steps(self, ranges: Sequence[LocalRange]) -> Iterator[RunSteps]:
        """Yield how many steps each run of the ranges has by now, in one statement."""
        condition, binds = in_ranges(ranges)
        for row in self.rows(RUN_SIZES, binds, selection=condition):
            yield RunSteps(str(row.index_guid), row.timestamp_local, int(row.steps))

    def step_keys(self, after: UUID) -> Iterator[StepKey]:
        """Yield which runs the next thousand steps of each table name, in the order of their keys, in one statement."""
        for row in self.rows(STEP_KEYS, {"guid_after": str(after)}):
            yield StepKey(row.kind, str(row.index_guid), int(row.steps), has_run=bool(row.has_run))

    def run_keys(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[UUID, datetime | None]]:
        """Stream GUID and Timestamp of the runs whose Timestamp lies in the ranges, or is missing, in one statement.

        A run without a GUID comes under the placeholder GUID that its dead letter has.
        """
        condition, binds = in_ranges(ranges)
        rows = self.rows(RUN_KEYS, binds, ranges=or_without_time(condition))
        return ((guid, row.timestamp_local) for guid, row in with_keys(rows))

    def existing(self, guids: Sequence[UUID]) -> frozenset[UUID]:
        """Return which of these runs there are, in one statement; at most 1,000 are asked for."""
        condition, binds = among_guids(guids)
        found = (guid_of(row.index_guid) for row in self.rows(RUN_KEYS, binds, ranges=condition))
        return frozenset(guid for guid in found if guid is not None)

    def testsystems(self) -> frozenset[UUID]:
        """Return the test systems of this database, in one statement."""
        found = (guid_of(row.testsystem_guid) for row in self.rows(TESTSYSTEMS, {}))
        return frozenset(guid for guid in found if guid is not None)

    def minute_contents(self, ranges: Sequence[LocalRange]) -> Sequence[MinuteContent]:
        """Return what each minute of the ranges holds, ascending, in one statement; minutes without runs are absent."""
        condition, binds = in_ranges(ranges)
        return [
            MinuteContent(
                datetime.fromisoformat(row.minute_local), int(row.runs), f"{row.runs}.{row.steps}.{row.content:x}"
            )
            for row in self.rows(CHANGES, binds, ranges=condition)
        ]

    def station_times(self, ranges: Sequence[LocalRange]) -> Iterator[StationTime]:
        """Stream when known stations were busy, in one statement."""
        condition, binds = in_ranges(ranges)
        for row in self.rows(STATION_TIMES, binds, ranges=condition):
            guid, station = guid_of(row.index_guid), guid_of(row.testsystem_guid)
            if guid is not None and station is not None:
                test_time_s = row.test_time_s if isinstance(row.test_time_s, float) else None
                yield StationTime(guid, station, row.timestamp_local, test_time_s)

    def runs_between(self, ranges: Sequence[LocalRange]) -> Iterator[VteTestRun]:
        """Stream the runs whose Timestamp lies in the ranges, complete with steps or with a defect."""
        return read_runs(self, *in_ranges(ranges), self._settings, self._operators)

    def runs_by_guid(self, guids: Sequence[UUID]) -> Iterator[VteTestRun]:
        """Stream the named runs, complete with steps or with a defect. Absent GUIDs yield nothing.

        Runs without a GUID are found under their placeholder GUIDs, in a further statement.
        """
        yield from read_runs(self, *among_guids(guids), self._settings, self._operators)
        if stand_ins := {guid for guid in guids if is_placeholder(guid)}:
            key = self._settings.name_here("IndexData", "Index_GUID")
            holds_guids = self._column_types().get(key or "") == "uniqueidentifier"
            for guid, row in with_keys(self.rows(RUN_KEYS, {}, ranges=WITHOUT_GUID if holds_guids else EVERY_RUN)):
                if guid in stand_ins and guid_of(row.index_guid) is None:
                    yield no_key(guid, row)

    def estimated_plans(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[str, str]]:
        """Yield the name of each statement that a sync sends for such ranges, and the server's plan as XML.

        None of them runs. They go over a connection of its own, which answers with plans alone until it is closed.
        """
        with self._translation("asking for estimated plans"), closing(self._hook.get_conn()) as connection:
            self._set_up(connection)
            with connection.cursor() as cursor:
                cursor.execute(_LARGEST_TEXT)
                cursor.execute("SET SHOWPLAN_XML ON")  # alone in its batch, as the server demands
                for planned in statements_of_a_sync(ranges, self._settings):
                    cursor.execute(self._text(planned.select, planned.binds, planned.conditions), planned.binds)
                    yield planned.title, plan_text(cursor.fetchall())

    def _identity(self, rows: Sequence[SourceIdentityRow] | Sequence[IdentityAndRunCountsRow]) -> SourceIdentity:
        first = rows[0]
        read = {name.casefold(): name for name in self._settings.columns_read}  # SQL Server ignores the case of names
        found = {f"{row.table_name}.{row.column_name}".casefold(): str(row.data_type) for row in rows}
        columns = {read[name]: data_type for name, data_type in found.items() if name in read}
        return SourceIdentity(
            first.server_name, first.database_name, datetime.fromisoformat(first.created_local), columns
        )

    def rows(self, select: Select[Row], binds: Binds, **conditions: str) -> Iterator[Row]:
        """Run a statement of ``include/sql/`` and yield its rows as the server sends them."""
        assert self._connection is not None, "a VteSource reads inside its with block"  # noqa: S101
        texts = text_columns(select.name)
        as_they_are = self._as_they_are(select)
        with self._translation(f"running {select.name}"), self._connection.cursor() as cursor:
            cursor.execute(self._text(select, binds, conditions), binds)
            columns = [column[0] for column in cursor.description or ()]
            row_of = select.row_builder(columns, texts.keys() - as_they_are)
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                yield from map(row_of, rows)

    def _text(self, select: Select[Any], binds: Binds, conditions: Mapping[str, str]) -> str:
        """Return the statement; what it asks by time it asks past locked headers, where the reader takes locks."""
        return statement(
            select.name,
            self._settings,
            as_they_are=self._as_they_are(select),
            past_locks=self.takes_locks and not names_runs(binds),
            **conditions,
        )

    def _as_they_are(self, select: Select[Any]) -> list[str]:
        """Return the columns of text that hold something else at this site, which is not converted."""
        return [alias for alias, columns in text_columns(select.name).items() if not self._hold_text(columns)]

    def _hold_text(self, columns: Iterable[str]) -> bool:
        """Return whether documented columns hold text at this site; one that is not seen is taken to."""
        types = self._column_types()
        here = (self._settings.name_here(*column.split(".", 1)) for column in columns)
        return all(types.get(name, "nvarchar") in TEXT_TYPES for name in here if name is not None)

    def _column_types(self) -> Mapping[str, str]:
        """Return the type of each column that is read, asked once per connection."""
        if self._types is None:
            self.identity()
        return self._types or {}

    @contextmanager
    def _translation(self, doing: str) -> Iterator[None]:
        try:
            yield
        except VteWatsError:
            raise
        except pymssql.Error as exc:
            raise translate_error(exc, doing, self._site) from exc
        except Exception as exc:  # of a value that Python cannot hold; MemoryError too, for smaller parts need less
            named = Exception(f"{type(exc).__name__}: {exc}")
            raise translate_error(named, doing, self._site) from exc


def _run_times(rows: Sequence[RunTimesRow] | Sequence[IdentityAndRunCountsRow]) -> RunTimes:
    seconds = tuple(
        (datetime.fromisoformat(row.second_local), int(row.runs or 0)) for row in rows if row.second_local is not None
    )
    return RunTimes(server_now_at=rows[0].server_utc.replace(tzinfo=UTC), seconds=seconds)
