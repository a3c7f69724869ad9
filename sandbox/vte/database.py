"""The store: one SQL Server database kept in DuckDB, in memory or in a file.

Everyone works on a cursor of their own. Readers see the snapshot of their statement (or transaction) and never wait;
writers are let in one at a time.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from sandbox.vte.batches import split_script
from sandbox.vte.catalog import Catalog, Column, DatabaseFacts, Table, quoted
from sandbox.vte.conversions import MACROS
from sandbox.vte.errors import SqlServerError, from_duckdb
from sandbox.vte.execution import Execution, Rows
from sandbox.vte.rows import arrow_type
from sandbox.vte.tsql_types import BINARY, MAX

_CATALOG_TABLE = "main.vte_catalog"


class VteDatabase:
    """A database named `name`. With a path it lives in that DuckDB file and is there again when opened again."""

    def __init__(
        self,
        path: Path | None = None,
        name: str = "VTE9_3",
        *,
        snapshot_isolation: bool = True,
        read_committed_snapshot: bool = False,
        compatibility_level: int = 110,
    ) -> None:
        self.name = name
        self.facts = DatabaseFacts(
            name,
            datetime.fromisoformat("2024-01-15T08:00"),
            compatibility_level,
            snapshot_isolation,
            read_committed_snapshot,
        )
        self.catalog = Catalog()
        self.principals: set[tuple[str, str]] = set()  # ("login" or "user", name in lower case)
        self.defining = threading.RLock()
        self._writing = threading.Lock()
        self._transactions = itertools.count(1)
        self._connection = duckdb.connect(str(path) if path is not None else ":memory:")
        self._connection.execute("SET default_collation = 'nocase'")
        self._connection.execute("SET arrow_lossless_conversion = true")
        self._connection.execute("SET TimeZone = 'UTC'")
        self._connection.execute("CREATE SCHEMA IF NOT EXISTS dbo")
        self._connection.execute(f"CREATE TABLE IF NOT EXISTS {_CATALOG_TABLE} (text VARCHAR)")
        for macro in MACROS:
            self._connection.execute(macro.replace("MACRO ", "MACRO main."))
        for (text,) in self._connection.execute(f"SELECT text FROM {_CATALOG_TABLE}").fetchall():
            self.catalog.load(text)

    def close(self) -> None:
        self._connection.close()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        cursor.execute("SET search_path = 'dbo,main'")
        return cursor

    def next_transaction(self) -> int:
        return next(self._transactions)

    def keep_catalog(self) -> None:
        """Write the catalog into the database, so that a file knows its types again."""
        cursor = self._connection.cursor()
        cursor.execute("BEGIN TRANSACTION")
        cursor.execute(f"DELETE FROM {_CATALOG_TABLE}")
        cursor.execute(f"INSERT INTO {_CATALOG_TABLE} VALUES (?)", [self.catalog.dump()])
        cursor.execute("COMMIT")
        cursor.close()

    # -- writing -------------------------------------------------------------------------------------------------------

    def run_script(self, text: str) -> None:
        """Run a T-SQL script whose batches are separated by GO lines, with every right.

        CREATE LOGIN, CREATE USER, ALTER USER, GRANT and DENY are accepted without effect (logins belong to the server).
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
        """Append the rows, all or none, and return how many; SqlServerError tells why not.

        Columns go by name; what is left out is NULL. Values are converted as SQL Server would on storing: GUIDs may
        come as text, datetime is rounded to 1/300 s.
        """
        return self._append([(table, rows)])

    def insert_rows(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> int:
        """Append rows to several tables in one transaction and return how many were appended in all."""
        return self._append([(name, self._arrow(name, each)) for name, each in rows.items() if each])

    def _append(self, tables: Sequence[tuple[str, pa.Table]]) -> int:
        cursor = self.cursor()
        try:
            with self._writing:
                cursor.execute("BEGIN TRANSACTION")
                try:
                    total = sum(self._append_one(cursor, name, rows) for name, rows in tables)
                except duckdb.Error as exc:
                    cursor.execute("ROLLBACK")
                    raise from_duckdb(exc) from exc
                except BaseException:
                    cursor.execute("ROLLBACK")
                    raise
                cursor.execute("COMMIT")
        finally:
            cursor.close()
        return total

    def _append_one(self, cursor: duckdb.DuckDBPyConnection, name: str, rows: pa.Table) -> int:
        table = self.catalog.table(name)
        columns = [self._column(table, column) for column in rows.column_names]
        items = ", ".join(
            _stored(f"r.{quoted(given)}", column, rows.schema.field(given).type)
            for given, column in zip(rows.column_names, columns, strict=True)
        )
        names = ", ".join(quoted(column.name) for column in columns)
        cursor.register("vte_appended", rows)
        cursor.execute(f"INSERT INTO {table.reference} ({names}) SELECT {items} FROM vte_appended AS r").fetchall()
        cursor.unregister("vte_appended")
        return int(rows.num_rows)

    @staticmethod
    def _column(table: Table, name: str) -> Column:
        column = table.column(name)
        if column is None:
            raise SqlServerError(207, f"Invalid column name '{name}'.")
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
        """Run DuckDB SQL (not T-SQL) and return all rows; for checks beside the wire."""
        cursor = self.cursor()
        try:
            return list(
                cursor.execute(sql, params).fetchall() if params is not None else cursor.execute(sql).fetchall()
            )
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
    return pa.array(values, arrow_type(kind))


def _stored(sql: str, column: Column, given: pa.DataType) -> str:
    """Return the expression that turns what was given into what the column keeps."""
    kind = column.kind
    if kind.name == "uniqueidentifier":
        if pa.types.is_fixed_size_binary(given):
            return f"CAST(CAST(hex({sql}) AS VARCHAR) AS UUID)"
        return f"CAST({sql} AS UUID)"
    if kind.name == "datetime":
        return f"vte_datetime(CAST({sql} AS TIMESTAMP))"
    if kind.name == "datetime2" and kind.scale < 6:
        return f"vte_scale(CAST({sql} AS TIMESTAMP), {10 ** (6 - kind.scale)})"
    if kind.is_text and kind.length != MAX:
        return (
            f"CASE WHEN length(rtrim({sql}, ' ')) > {kind.length} "
            f"THEN error('tsql-8152:String or binary data would be truncated.') ELSE {sql} END"
        )
    if kind.is_text or kind.name in BINARY:
        return sql
    return f"CAST({sql} AS {kind.storage})"
