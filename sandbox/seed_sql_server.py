"""Make a real SQL Server the plant's: database, 21 tables, read-only login, and runs.

Run it as ``python -m sandbox.seed_sql_server --host …``. Safe to repeat: what is there stays, and a database that holds
runs already gets no second history. The administrator's password comes from MSSQL_SA_PASSWORD, the one of the read-only
login from VTE_ADAPTER_PASSWORD.
"""

import argparse
import itertools
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import pyarrow as pa
from more_itertools import chunked
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from sandbox.factory_data.factory import FactoryData
from sandbox.vte.vte_database import GRANT_READ_ONLY, NAME, SCHEMA, filled

ROWS_AT_ONCE = 1_000  # SQL Server takes no more in one VALUES
START_TIMEOUT_S = 120.0

_GO = re.compile(r"^\s*GO\s*$", re.IGNORECASE | re.MULTILINE)


class Connection(Protocol):
    """A connection of pymssql or python-tds, with autocommit on."""

    def cursor(self) -> Any: ...


class SqlServerStore:
    """A SQL Server database as the plant writes to it (``sandbox.factory_data.target_database.TargetDatabase``)."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def insert_arrow(self, table: str, rows: pa.Table) -> None:
        """Append rows to a table; columns go by name."""
        for start in range(0, rows.num_rows, ROWS_AT_ONCE):
            columns = rows.slice(start, ROWS_AT_ONCE).to_pydict()
            self._execute(insert(table, tuple(columns), zip(*columns.values(), strict=True)))

    def insert_rows(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        """Append rows to several tables in one transaction, in the order given."""
        statements = [
            insert(table, columns, (tuple(row[name] for name in columns) for row in batch))
            for table, of_table in rows.items()
            for batch in _batches(of_table, ROWS_AT_ONCE)
            for columns in [tuple(batch[0])]
        ]
        if statements:
            self._execute("SET XACT_ABORT ON;\nBEGIN TRANSACTION;\n" + "\n".join(statements) + "\nCOMMIT TRANSACTION;")

    def run_script(self, text: str, variables: Mapping[str, str] | None = None) -> None:
        """Run a script the way sqlcmd does: batches end at GO, ``$(NAME)`` stands for a variable."""
        for batch in batches(text, variables or {}):
            self._execute(batch)

    def scalar(self, query: str) -> Any:
        """Return the first column of the first row."""
        with self._lock, self._connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchone()[0]

    def _execute(self, statement: str) -> None:
        with self._lock, self._connection.cursor() as cursor:
            cursor.execute(statement)


def insert(table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Return one INSERT with literal values, at most ``ROWS_AT_ONCE`` rows."""
    names = ", ".join(f"[{name}]" for name in columns)
    values = ",\n".join(f"({', '.join(literal(value) for value in row)})" for row in rows)
    return f"INSERT INTO [dbo].[{table}] ({names}) VALUES\n{values};"


def literal(value: object) -> str:
    """Return a T-SQL literal that means the same in every language and keeps every digit.

    Numbers with a fraction are written with an exponent, which makes them ``float``: as ``decimal`` the rows of one
    INSERT would share one precision.
    """
    match value:
        case None:
            return "NULL"
        case bool():
            return str(int(value))
        case int():
            return str(value)
        case float():
            text = repr(value)
            return text if "e" in text else f"{text}e0"
        case bytes():
            return f"0x{value.hex()}" if value else "CAST('' AS varbinary(1))"
        case datetime():
            return f"'{value.isoformat(timespec='milliseconds')}'"
        case UUID():
            return f"'{value}'"
        case str():
            return "N'" + value.replace("'", "''") + "'"
        case _:
            raise TypeError(f"no T-SQL literal for {type(value).__name__}: {value!r}")


def batches(text: str, variables: Mapping[str, str]) -> Iterator[str]:
    """Yield the batches of a script. Raises KeyError for a variable that is not given."""
    for batch in _GO.split(filled(text, variables)):
        if batch.strip():
            yield batch.strip()


def prepare(server: SqlServerStore, database: str) -> None:
    """Create the database if it is not there; ``server`` is connected to ``master``."""
    if server.scalar(f"SELECT COUNT(*) FROM sys.databases WHERE name = {literal(database)}") == 0:
        server.run_script(f"CREATE DATABASE [{database}]")


def furnish(store: SqlServerStore, database: str, adapter_password: str) -> bool:
    """Create the tables and the read-only login; return whether the database is still without runs."""
    if store.scalar("SELECT COUNT(*) FROM sys.tables WHERE name = 'IndexData'") == 0:
        store.run_script(SCHEMA.read_text(encoding="utf-8"))
    store.run_script(
        GRANT_READ_ONLY.read_text(encoding="utf-8"),
        {"VTE_DATABASE": database, "VTE_ADAPTER_PASSWORD": adapter_password.replace("'", "''")},
    )
    return bool(store.scalar("SELECT COUNT(*) FROM [dbo].[IndexData]") == 0)


def main(arguments: Sequence[str] | None = None, *, now_at: datetime | None = None) -> None:
    """Seed as the arguments say; ``now_at`` (aware) takes the place of the present."""
    options = _parser().parse_args(arguments)
    administrator_password, adapter_password = _secret("MSSQL_SA_PASSWORD"), _secret("VTE_ADAPTER_PASSWORD")

    def connected(database: str) -> SqlServerStore:
        return SqlServerStore(_connect(options.host, options.port, options.login, administrator_password, database))

    prepare(connected("master"), options.database)
    store = connected(options.database)
    is_empty = furnish(store, options.database, adapter_password)
    factory_data = FactoryData(options.seed, options.timezone)
    if is_empty:
        end = now_at or datetime.now(UTC)
        start = end - timedelta(hours=options.hours)
        summary = factory_data.load(store, start=start, end=end, runs=options.runs, oddities=options.oddities)
        print(f"{summary.runs} runs with {summary.steps} steps written to {options.database}", flush=True)
    else:
        print(f"{options.database} holds runs already; none written", flush=True)
    if options.ready_file:
        options.ready_file.touch()
    if options.live:
        # After a restart the masters get a seed of their own, and so new GUIDs.
        _work_until_stopped(
            store, factory_data if is_empty else FactoryData(int(time.time()), options.timezone), options.every_s
        )


def _work_until_stopped(store: SqlServerStore, factory_data: FactoryData, every_s: float) -> None:
    """Let a station test until a signal ends it."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    with factory_data.live(store, every_s=every_s):
        print(f"a station commits a run every {every_s:g} s", flush=True)
        stopped.wait()


def _connect(host: str, port: int, login: str, password: str, database: str) -> Connection:
    """Connect, patiently: a server that has just started refuses logins for a while."""
    import pymssql  # noqa: PLC0415 - the rest of this module works without a driver

    patiently = Retrying(
        retry=retry_if_exception_type(pymssql.OperationalError),
        stop=stop_after_delay(START_TIMEOUT_S),
        wait=wait_fixed(2),
        reraise=True,
    )
    connection: Connection = patiently(
        pymssql.connect,
        server=host,
        port=str(port),
        user=login,
        password=password,
        database=database,
        charset="UTF-8",
        login_timeout=10,
        autocommit=True,
    )
    return connection


def _batches(rows: Sequence[Mapping[str, Any]], size: int) -> Iterator[Sequence[Mapping[str, Any]]]:
    """Cut rows into batches of equal columns: a live station leaves out what a row does not have."""
    for _, of_one_shape in itertools.groupby(rows, key=tuple):
        yield from chunked(of_one_shape, size)


def _secret(name: str) -> str:
    if not os.environ.get(name):
        sys.exit(f"{name} is not set")
    return os.environ[name]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m sandbox.seed_sql_server", description=__doc__)
    parser.add_argument("--host", required=True)
    parser.add_argument("--port", type=int, default=1433)
    parser.add_argument("--login", default="sa", help="a login that may create databases and logins")
    parser.add_argument("--database", default=NAME)
    parser.add_argument("--runs", type=int, default=600)
    parser.add_argument("--hours", type=float, default=2.0, help="the runs end within the last so many hours")
    parser.add_argument("--timezone", default="Europe/Oslo", help="the wall clock of the stations")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--oddities", action="store_true", help="add every oddity that the adapter must survive")
    parser.add_argument("--live", action="store_true", help="let a station go on testing until a signal")
    parser.add_argument("--every-s", type=float, default=5.0, help="seconds between the runs of that station")
    parser.add_argument("--ready-file", type=Path, help="created once the history is written")
    return parser


if __name__ == "__main__":
    main()
