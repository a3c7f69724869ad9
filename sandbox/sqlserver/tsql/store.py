"""What statements run against: one database kept in DuckDB, and its catalog.

Everyone works on a cursor of their own, and sees the snapshot of their statement (or transaction). Whether a reader
waits for what others have not committed is decided by `locks`.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from sandbox.sqlserver.tsql.catalog import Catalog, DatabaseFacts
from sandbox.sqlserver.tsql.conversions import MACROS
from sandbox.sqlserver.tsql.locks import Locks
from sandbox.sqlserver.tsql.permissions import Granted, Rights

_CATALOG_TABLE = "main.emulator_catalog"


class Store:
    """A DuckDB database in memory, or in the file of that path, where it is found again when opened again."""

    def __init__(self, path: Path | None, facts: DatabaseFacts) -> None:
        self.facts = facts
        self.catalog = Catalog()
        self.principals: set[tuple[str, str]] = set()  # ("login" or "user", name in lower case)
        self.granted: dict[str, Granted] = {}  # by the user's name in lower case
        self.defining = threading.RLock()
        self.locks = Locks()
        self._in_file = path is not None
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

    @property
    def name(self) -> str:
        return self.facts.name

    def close(self) -> None:
        self._connection.close()

    def cursor(self) -> duckdb.DuckDBPyConnection:
        cursor = self._connection.cursor()
        cursor.execute("SET search_path = 'dbo,main'")
        return cursor

    def next_transaction(self) -> int:
        return next(self._transactions)

    def rights_of(self, login: str, sees_whole_tables: bool) -> Rights:  # noqa: FBT001
        """Return what a login may select that does not read everything."""
        return Rights(self.granted.get(login.lower(), Granted()), sees_whole_tables)

    def save_catalog(self) -> None:
        """Write the catalog into the database file, if there is one, so that it knows its types again."""
        if not self._in_file:
            return
        cursor = self._connection.cursor()
        with transaction(cursor):
            cursor.execute(f"DELETE FROM {_CATALOG_TABLE}")
            cursor.execute(f"INSERT INTO {_CATALOG_TABLE} VALUES (?)", [self.catalog.dump()])
        cursor.close()


@contextmanager
def transaction(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit what happens inside, or roll it back when an error comes out."""
    cursor.execute("BEGIN TRANSACTION")
    try:
        yield
    except BaseException:
        cursor.execute("ROLLBACK")
        raise
    cursor.execute("COMMIT")
