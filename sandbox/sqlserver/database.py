"""One database of the emulated server, as those beside the wire see it: scripts, bulk loads and queries."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from sandbox.sqlserver.arrow_types import arrow_type
from sandbox.sqlserver.errors import unknown_column
from sandbox.sqlserver.sql_types import BINARY, MAX
from sandbox.sqlserver.tsql.batches import split_script
from sandbox.sqlserver.tsql.catalog import Column, DatabaseFacts, Table, quoted
from sandbox.sqlserver.tsql.changes import Change
from sandbox.sqlserver.tsql.duckdb_errors import from_duckdb
from sandbox.sqlserver.tsql.execution import Execution
from sandbox.sqlserver.tsql.foreign_keys import ForeignKeyChecks
from sandbox.sqlserver.tsql.outcomes import Rows
from sandbox.sqlserver.tsql.store import Store, transaction
from sandbox.sqlserver.utf16 import to_store

_CHANGES = frozenset({duckdb.StatementType.INSERT, duckdb.StatementType.UPDATE, duckdb.StatementType.DELETE})


class Database(Store):
    """A database named `name`. With a path it lives in that DuckDB file and is there again when opened again.

    Writers beside the wire are let in one at a time.
    """

    def __init__(
        self,
        path: Path | None = None,
        name: str = "sandbox",
        *,
        snapshot_isolation: bool = True,
        read_committed_snapshot: bool = False,
        compatibility_level: int = 110,
    ) -> None:
        created_local = datetime.fromisoformat("2024-01-15T08:00")
        facts = DatabaseFacts(name, created_local, compatibility_level, snapshot_isolation, read_committed_snapshot)
        super().__init__(path, facts)
        self._writing = threading.Lock()

    # -- writing -------------------------------------------------------------------------------------------------------

    def run_script(self, text: str) -> None:
        """Run a T-SQL script whose batches are separated by GO lines, with every right.

        GRANT and REVOKE of SELECT on a table decide what logins may read that do not read all. CREATE LOGIN,
        CREATE USER, ALTER USER, DENY and other rights are accepted without effect (logins belong to the server).
        Raises SqlServerError at the first statement that fails or is not emulated.
        """
        execution = Execution(self)
        try:
            for batch in split_script(text):
                for outcome in execution.run(batch):
                    if isinstance(outcome, Rows):
                        execution.finish_rows()
        finally:
            execution.close()

    def insert_arrow(self, table: str, rows: pa.Table) -> int:
        """Append the rows, all or none, and return how many; the SqlServerError says why not.

        Columns go by name; what is left out is NULL. Values are converted as SQL Server would on storing: GUIDs may
        come as text, datetime is rounded to 1/300 s. Each foreign key is checked once for all rows.
        """
        return self._append([(table, rows)])

    def insert_rows(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> int:
        """Append rows to several tables in one transaction, parents first, and return how many in all."""
        return self._append([(name, self._arrow(name, table_rows)) for name, table_rows in rows.items() if table_rows])

    def _append(self, tables: Sequence[tuple[str, pa.Table]]) -> int:
        cursor = self.cursor()
        try:
            with self._writing, transaction(cursor):
                return sum(self._append_table(cursor, name, rows) for name, rows in tables)
        except duckdb.Error as exc:
            raise from_duckdb(exc) from exc
        finally:
            cursor.close()

    def _append_table(self, cursor: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> int:
        table = self.catalog.table(name)
        columns = [self._column(table, column) for column in rows.column_names]
        items = ", ".join(
            _stored(f"r.{quoted(given)}", column, rows.schema.field(given).type)
            for given, column in zip(rows.column_names, columns, strict=True)
        )
        names = ", ".join(quoted(column.name) for column in columns)
        cursor.register("appended_rows", rows)
        sql = f"INSERT INTO {table.reference} ({names}) SELECT {items} FROM appended_rows AS r"
        count = ForeignKeyChecks(cursor, self.catalog, self.name).run(Change(sql, "INSERT", table))
        cursor.unregister("appended_rows")
        return count

    @staticmethod
    def _column(table: Table, name: str) -> Column:
        column = table.column(name)
        if column is None:
            raise unknown_column(name)
        return column

    def _arrow(self, name: str, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        table = self.catalog.table(name)
        given: dict[str, Column] = {}
        for row in rows:
            for key in row:
                if key not in given:
                    given[key] = self._column(table, key)
        arrays = {key: _array([row.get(key) for row in rows], column) for key, column in given.items()}
        return pa.table(arrays)

    # -- reading -------------------------------------------------------------------------------------------------------

    def query(self, sql: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]:
        """Run one statement of DuckDB SQL (not T-SQL) and return all rows; for checks and changes beside the wire.

        After a change all foreign keys of the database are checked; error 547 undoes it.
        """
        cursor = self.cursor()
        try:
            if not _CHANGES.isdisjoint(statement.type for statement in duckdb.extract_statements(sql)):
                with self._writing, transaction(cursor):
                    rows = cursor.execute(sql, params).fetchall()
                    ForeignKeyChecks(cursor, self.catalog, self.name).verify_all(sql.split(maxsplit=1)[0].upper())
                return list(rows)
            return list(cursor.execute(sql, params).fetchall())
        finally:
            cursor.close()


def _array(values: list[Any], column: Column) -> pa.Array:
    kind = column.kind
    if kind.name == "uniqueidentifier":
        return pa.array([None if value is None else str(value) for value in values], pa.string())
    if kind.name in BINARY:
        return pa.array(values, pa.binary())
    if kind.name == "datetimeoffset":
        return pa.array(values, pa.timestamp("us", "UTC"))
    if kind.name == "bit":
        return pa.array([None if value is None else bool(value) for value in values], pa.bool_())
    if kind.is_text:
        return pa.array([to_store(value) if isinstance(value, str) else value for value in values], pa.string())
    return pa.array(values, arrow_type(kind))


def _stored(sql: str, column: Column, given: pa.DataType) -> str:
    """Return the expression that turns what was given into what the column keeps."""
    kind = column.kind
    if kind.name == "uniqueidentifier":
        if pa.types.is_fixed_size_binary(given):
            return f"CAST(CAST(hex({sql}) AS VARCHAR) AS UUID)"
        return f"CAST({sql} AS UUID)"
    if kind.name == "datetime":
        return f"tsql_datetime(CAST({sql} AS TIMESTAMP))"
    if kind.name == "datetime2" and kind.scale < 6:
        return f"tsql_scale(CAST({sql} AS TIMESTAMP), {10 ** (6 - kind.scale)})"
    if kind.is_text and kind.length != MAX:
        return (
            f"CASE WHEN length(rtrim({sql}, ' ')) > {kind.length} "
            f"THEN error('tsql-8152:String or binary data would be truncated.') ELSE {sql} END"
        )
    if kind.is_text or kind.name in BINARY:
        return sql
    return f"CAST({sql} AS {kind.storage})"
