"""Large results leave the emulated SQL Server as a stream, while others write, and stop when nobody wants them."""

import datetime as dt
import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from sandbox.sqlserver.database import Database
from sandbox.sqlserver.tsql.execution import ROWS_PER_BATCH
from tests.sandbox.sqlserver.clients import (
    READER,
    READERS,
    WRITER,
    RawClient,
    connect,
    connect_pytds,
    new_database,
    rows,
    served,
)

STEPS = 40_000
ALL = "SELECT Run_GUID, StepNumber, StepName, Reading FROM Steps"


def write_steps(db: Database, count: int) -> None:
    """Write so many steps, fifty a run, and the runs before them."""
    runs = [str(uuid.UUID(int=number // 50 + 1)) for number in range(count)]
    db.insert_arrow("Runs", pa.table({"Run_GUID": runs[::50]}))
    steps = pa.table(
        {
            "Run_GUID": runs,
            "StepNumber": pa.array(range(count), pa.int32()),
            "StepName": [f"Step {number}" if number % 5 else None for number in range(count)],
            "Reading": [number / 8 for number in range(count)],
        }
    )
    db.insert_arrow("Steps", steps)


@pytest.fixture(scope="module")
def server():
    db = new_database()
    write_steps(db, STEPS)
    with served(db) as running:
        yield running


@pytest.mark.parametrize("client", READERS)
def test_forty_thousand_rows_arrive_complete_and_equal(server, client):
    found = READERS[client](server, f"{ALL} ORDER BY StepNumber", READER)
    assert len(found) == STEPS
    assert found[0] == (uuid.UUID(int=1), 0, None, 0.0)
    assert found[-1] == (uuid.UUID(int=STEPS // 50), STEPS - 1, f"Step {STEPS - 1}", (STEPS - 1) / 8)
    assert sum(row[3] for row in found) == sum(range(STEPS)) / 8


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_the_server_keeps_no_result_in_memory_whatever_its_size():
    db = new_database()
    wide = "REPLICATE(CAST(N'x' AS nvarchar(max)), 2000)"
    write_steps(db, STEPS)
    with served(db) as server, connect(server) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {wide} AS w FROM Steps")
        for _ in range(3 * ROWS_PER_BATCH):
            cursor.fetchone()
        before, peak = resident_bytes(), 0
        for number, _ in enumerate(cursor):
            if number % 5000 == 0:
                peak = max(peak, resident_bytes())
        assert number == STEPS - 3 * ROWS_PER_BATCH - 1
    assert peak - before < 60 * 2**20  # the result is 160 MB on the wire


def test_a_slow_client_holds_the_server_back():
    db = new_database()
    write_steps(db, STEPS)
    with served(db) as server, connect_pytds(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT REPLICATE(CAST(N'x' AS nvarchar(max)), 1000) FROM Steps")
        cursor.fetchone()
        entry = server.log[-1]
        assert entry.rows < STEPS / 2
        assert rows(server, "SELECT 1") == [(1,)]  # nobody else waits for it
        assert sum(1 for _ in cursor) == STEPS - 1
    assert entry.rows == STEPS


def test_an_abandoned_result_is_stopped_by_attention(server):
    start = len(server.log)
    with connect(server) as connection:
        for _ in range(3):
            cursor = connection.cursor()
            cursor.execute(f"{ALL} CROSS JOIN (VALUES (1), (2), (3), (4), (5), (6), (7), (8)) AS v(n)")
            assert len(cursor.fetchmany(10)) == 10
            cursor.close()
            with connection.cursor() as other:
                other.execute("SELECT 42")
                assert other.fetchall() == [(42,)]
    abandoned = [entry for entry in server.log[start:] if "CROSS JOIN" in entry.sql]
    assert len(abandoned) == 3
    assert all(entry.rows < 8 * STEPS for entry in abandoned)


def test_pytds_may_abandon_a_result_too(server):
    with connect_pytds(server) as connection, connection.cursor() as cursor:
        cursor.execute(ALL)
        cursor.fetchone()
        cursor.cancel()
        cursor.execute("SELECT 42")
        assert cursor.fetchall() == [(42,)]


def test_a_client_that_vanishes_leaves_nothing_behind():
    db = new_database()
    write_steps(db, STEPS)
    with served(db) as server:
        with RawClient(server) as client:
            client.send_batch(ALL)
            assert client.sock.recv(100)
            (session,) = server._threads
        session.join(10)
        assert server.connections == 0
        assert rows(server, "SELECT 1") == [(1,)]


def test_a_reader_sees_one_moment_while_a_station_commits():
    db = new_database()
    write_steps(db, STEPS)
    with served(db) as server, connect(server) as connection, connection.cursor() as cursor:
        cursor.execute(f"{ALL} CROSS JOIN (VALUES (1), (2), (3)) AS v(n)")
        seen = len(cursor.fetchmany(100))
        for number in range(20):
            guid = uuid.uuid4()
            db.insert_rows(
                {
                    "Runs": [{"Run_GUID": guid, "Timestamp": dt.datetime(2026, 2, 3), "Result": 1}],
                    "Steps": [{"Run_GUID": guid, "StepNumber": number}],
                }
            )
        rows(server, "DELETE FROM Steps WHERE StepNumber < 50; SELECT 1", login=WRITER)
        assert seen + len(cursor.fetchall()) == 3 * STEPS
        cursor.execute("SELECT COUNT(*) FROM Runs WHERE Result = 1")
        assert cursor.fetchall() == [(20,)]


def test_many_readers_and_a_writer_get_on_with_each_other():
    db = new_database()
    write_steps(db, 5000)
    finished = threading.Event()

    def keep_writing() -> int:
        runs = 0
        while not finished.is_set():
            guid = uuid.uuid4()
            db.insert_rows({"Runs": [{"Run_GUID": guid, "Result": 1}], "Steps": [{"Run_GUID": guid}] * 3})
            runs += 1
        return runs

    def keep_reading() -> list[tuple[int, int]]:
        found = []
        for _ in range(5):
            found += rows(
                server,
                "SELECT (SELECT COUNT(*) FROM Runs WHERE Result = 1), (SELECT COUNT(*) FROM Steps WHERE StepNumber IS NULL)",
            )
            assert len(rows(server, ALL)) >= 5000
        return found

    with served(db) as server, ThreadPoolExecutor(5) as pool:
        writer = pool.submit(keep_writing)
        try:
            counts = [pair for reader in [pool.submit(keep_reading) for _ in range(4)] for pair in reader.result(60)]
        finally:
            finished.set()
        written = writer.result(10)
    assert [steps for _, steps in counts] == [3 * runs for runs, _ in counts]
    assert written == db.query('SELECT count(*) FROM "Runs" WHERE "Result" = 1')[0][0] > 0
