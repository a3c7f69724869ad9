"""Rows that a transaction has changed and not committed: who waits for them, who passes over them, who sees none."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from uuid import UUID

import pymssql
import pytest

from sandbox.sqlserver.server import SqlServer
from tests.sandbox.sqlserver.clients import WRITER, connect, error_number, new_database, rows, served

A, B, C = (UUID(int=n) for n in (1, 2, 3))
LOCK_TIMEOUT, READPAST_REFUSED = 1222, 650
CHANGES = {
    "insert": f"INSERT INTO dbo.Runs (Run_GUID, Timestamp, Result) VALUES ('{C}', '2026-03-02T12:02:00', 1)",
    "update": f"UPDATE dbo.Runs SET Result = 0 WHERE Run_GUID = '{B}'",
    "update out of the range": f"UPDATE dbo.Runs SET Timestamp = '2026-03-01T12:00:00' WHERE Run_GUID = '{B}'",
    "delete": f"DELETE FROM dbo.Steps WHERE Run_GUID = '{B}'; DELETE FROM dbo.Runs WHERE Run_GUID = '{B}'",
}
RANGE = "FROM dbo.Runs{hint} WHERE Timestamp >= '2026-03-02T12:00:00' AND Timestamp < '2026-03-02T13:00:00'"
COUNT = f"SELECT count(*) {RANGE.format(hint='')}"
COUNT_PAST = f"SELECT count(*) {RANGE.format(hint=' WITH (READPAST)')}"


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[SqlServer]:
    database = new_database(**getattr(request, "param", {}))
    for table, column in {"Runs": "Run_GUID", "Steps": "Run_GUID"}.items():
        database.run_script(f"CREATE INDEX IX_{table}_{column} ON dbo.{table} ({column})")
    runs = [{"Run_GUID": guid, "Timestamp": datetime(2026, 3, 2, 12, n), "Result": 1} for n, guid in enumerate((A, B))]
    database.insert_rows({"Runs": runs, "Steps": [{"Run_GUID": guid, "StepNumber": 1} for guid in (A, B)]})
    with served(database) as opened:
        yield opened


@contextmanager
def station(server: SqlServer, *changes: str) -> Iterator[pymssql.Connection]:
    """Open a transaction that has made the changes."""
    with closing(connect(server, WRITER)) as connection:
        connection.cursor().execute("; ".join(("BEGIN TRAN", *changes)))
        yield connection


def read(server: SqlServer, sql: str, isolation: str = "READ COMMITTED") -> list[tuple[object, ...]]:
    """Read without patience."""
    return rows(server, f"SET LOCK_TIMEOUT 0; SET TRANSACTION ISOLATION LEVEL {isolation}; {sql}")


@pytest.mark.parametrize("end", ["COMMIT", "ROLLBACK", "the connection ends"])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_reader_meets_what_is_not_committed_until_the_transaction_ends(server, change, end):
    with station(server, change) as connection:
        assert error_number(lambda: read(server, COUNT)) == LOCK_TIMEOUT
        if end in {"COMMIT", "ROLLBACK"}:
            connection.cursor().execute(end)
            assert len(read(server, COUNT)) == 1
    while server.database.locks.of_others(None):
        time.sleep(0.01)
    assert len(read(server, COUNT)) == 1


def test_a_reader_without_a_lock_timeout_goes_on_once_the_transaction_commits(server):
    with station(server, CHANGES["insert"]) as connection:
        commit = threading.Timer(0.1, lambda: connection.cursor().execute("COMMIT"))
        commit.start()
        assert rows(server, COUNT) == [(3,)]
        commit.join()


def test_a_client_that_waits_no_longer_ends_the_wait_of_the_server(server):
    with (
        station(server, CHANGES["insert"]),
        closing(connect(server, timeout=1)) as connection,
        pytest.raises(pymssql.Error),
    ):
        connection.cursor().execute(COUNT)
    assert read(server, COUNT, "SNAPSHOT") == [(2,)]


@pytest.mark.parametrize(("change", "count"), [("insert", 2), ("update", 1), ("delete", 1)])
def test_with_readpast_the_locked_rows_are_not_there(server, change, count):
    with station(server, CHANGES[change]):
        assert read(server, COUNT_PAST) == [(count,)]


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_snapshot_shows_what_was_committed(server, change):
    with station(server, change):
        assert read(server, COUNT, "SNAPSHOT") == [(2,)]


@pytest.mark.parametrize("server", [{"read_committed_snapshot": True}], indirect=True)
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_read_committed_shows_it_too_where_the_database_keeps_versions_for_it(server, change):
    with station(server, change):
        assert read(server, COUNT) == [(2,)]


@pytest.mark.parametrize(
    ("server", "isolation"),
    [({}, "SNAPSHOT"), ({}, "SERIALIZABLE"), ({"read_committed_snapshot": True}, "READ COMMITTED")],
    indirect=["server"],
)
def test_readpast_is_refused_where_no_row_locks_are_taken(server, isolation):
    assert error_number(lambda: read(server, COUNT_PAST, isolation)) == READPAST_REFUSED


@pytest.mark.parametrize(
    ("sql", "meets"),
    [
        (f"SELECT count(*) FROM dbo.Runs WHERE Run_GUID = '{A}'", False),
        (f"SELECT count(*) FROM dbo.Runs WHERE Run_GUID = '{C}'", True),
        ("SELECT count(*) FROM dbo.Runs WHERE Timestamp < '2026-03-02T12:01:00'", False),
        ("SELECT count(*) FROM dbo.Runs WHERE Result = 2", True),
        ("SELECT count(*) FROM dbo.Runs WITH (READPAST) WHERE Result = 2", False),
        ("SELECT count(*) FROM dbo.Runs r WITH (READPAST) JOIN dbo.Steps s ON r.Run_GUID = s.Run_GUID", False),
        ("SELECT count(*) FROM dbo.Runs r WITH (READPAST) JOIN dbo.Steps s ON s.StepNumber = 1", True),
    ],
)
def test_a_reader_meets_the_locks_of_the_rows_it_seeks_and_without_an_index_those_of_the_table(server, sql, meets):
    with station(server, CHANGES["insert"], f"INSERT INTO dbo.Steps (Run_GUID, StepNumber) VALUES ('{C}', 1)"):
        if meets:
            assert error_number(lambda: read(server, sql)) == LOCK_TIMEOUT
        else:
            assert len(read(server, sql)) == 1


def test_locks_of_very_many_rows_become_one_of_the_table_which_nobody_passes_over(server):
    many = ", ".join(f"('{A}', {n})" for n in range(1_000))
    with station(server, *[f"INSERT INTO dbo.Steps (Run_GUID, StepNumber) VALUES {many}"] * 5):
        sql = f"SELECT count(*) FROM dbo.Steps WITH (READPAST) WHERE Run_GUID = '{B}'"
        assert error_number(lambda: read(server, sql)) == LOCK_TIMEOUT


def test_a_transaction_reads_what_it_has_locked_itself(server):
    with station(server, CHANGES["insert"]) as connection, connection.cursor() as cursor:
        cursor.execute(COUNT)
        assert cursor.fetchall() == [(3,)]
