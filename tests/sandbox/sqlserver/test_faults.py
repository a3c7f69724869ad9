"""Faults of the emulated SQL Server: armed as data, seen by real clients."""

import threading

import pymssql
import pytds
import pytest

from sandbox.sqlserver.faults import Fault, Faults
from tests.sandbox.sqlserver.clients import (
    READER,
    connect,
    connect_pytds,
    error_number,
    new_database,
    refusal,
    rows,
    served,
)
from tests.sandbox.sqlserver.test_streaming import write_steps

STEPS = "SELECT StepNumber FROM Steps ORDER BY StepNumber"
LOST = {20002, 20003, 20004, 20006, 20017, 20020, 20047}


@pytest.fixture(scope="module")
def running():
    db = new_database()
    write_steps(db, 20_000)
    with served(db) as server:
        yield server


@pytest.fixture
def server(running):
    yield running
    running.faults.clear()


def read_until_it_breaks(server, sql=STEPS, **given) -> tuple[int, int]:
    """Return how many rows came and the number of the error that ended them."""
    count = 0
    with connect(server, **given) as connection:
        cursor = connection.cursor()
        try:
            cursor.execute(sql)
            for _ in cursor:
                count += 1
        except pymssql.Error as error:
            return count, error.args[0][0] if isinstance(error.args[0], tuple) else error.args[0]
    raise AssertionError(f"all {count} rows came")


@pytest.mark.parametrize(("number", "severity"), [(1205, 13), (1222, 16), (40197, 17), (3960, 16)])
def test_an_error_comes_with_the_number_and_class_it_has(server, number, severity):
    server.faults.add(Fault(kind="error", number=number, match="Steps"))
    with connect_pytds(server) as connection, connection.cursor() as cursor:
        with pytest.raises(pytds.Error) as caught:
            cursor.execute(STEPS)
        assert (caught.value.number, caught.value.severity) == (number, severity)
    assert len(rows(server, STEPS)) == 20_000


@pytest.mark.parametrize(("kind", "number"), [("deadlock", 1205), ("lock_timeout", 1222)])
def test_the_common_errors_have_kinds_of_their_own(server, kind, number):
    server.faults.add(Fault(kind=kind, match="Steps"))
    assert error_number(lambda: rows(server, STEPS)) == number


@pytest.mark.parametrize("after_rows", [1, 4095, 4096, 4097, 19_999])
def test_an_error_can_come_after_exactly_so_many_rows(server, after_rows):
    server.faults.add(Fault(kind="deadlock", match="Steps", after_rows=after_rows))
    assert read_until_it_breaks(server) == (after_rows, 1205)
    assert server.log[-1].rows == after_rows
    assert server.log[-1].error == 1205


def test_a_result_with_fewer_rows_leaves_the_fault_armed(server):
    fault = server.faults.add(Fault(kind="deadlock", match="Steps", after_rows=10))
    assert rows(server, "SELECT COUNT(*) FROM Steps") == [(20_000,)]
    assert server.faults.armed == (fault,)


@pytest.mark.parametrize("after_rows", [0, 5000])
def test_a_dropped_connection_is_an_error_and_never_a_short_result(server, after_rows):
    server.faults.add(Fault(kind="drop", match="Steps", after_rows=after_rows))
    count, number = read_until_it_breaks(server)
    assert count <= after_rows
    assert number in LOST
    assert len(rows(server, STEPS)) == 20_000


def test_a_connection_dropped_after_the_result_fails_the_next_statement_at_the_latest(server):
    server.faults.add(Fault(kind="drop", match="Steps", after_rows=None))
    with connect(server) as connection, connection.cursor() as cursor:

        def read_and_ask_again():
            cursor.execute("SELECT COUNT(*) FROM Steps")
            assert cursor.fetchall() == [(20_000,)]
            cursor.execute("SELECT 1")

        assert error_number(read_and_ask_again) in LOST  # a reset drops what the client has not read yet


@pytest.mark.parametrize("after_rows", [0, 5000])
def test_a_stall_outlasts_the_clients_timeout(server, after_rows):
    server.faults.add(Fault(kind="stall", seconds=300, match="Steps", after_rows=after_rows))
    count, number = read_until_it_breaks(server, timeout=1)
    assert number in LOST
    assert count <= after_rows


def test_a_stall_within_the_timeout_only_takes_time(server):
    stall = server.faults.add(Fault(kind="stall", seconds=0.1, match="Steps", after_rows=100))
    assert len(rows(server, STEPS)) == 20_000
    assert server.faults.struck[-1] is stall
    assert server.log[-1].duration_s >= stall.seconds


def test_a_refused_connection_is_closed_at_once(server):
    server.faults.add(Fault(kind="refuse", times=None))
    number, _ = refusal(server, READER)
    assert number in LOST | {20009}
    server.faults.clear()
    assert rows(server, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("number", [None, 18401])
def test_a_login_can_fail_with_any_number(server, number):
    server.faults.add(Fault(kind="login_failed", number=number, times=None))
    assert refusal(server, READER)[0] == (number or 18456)


def test_a_fault_strikes_as_often_as_it_says(server):
    server.faults.add(Fault(kind="deadlock", match="Steps", times=2))
    with connect(server) as connection, connection.cursor() as cursor:
        numbers = [error_number(lambda: cursor.execute(STEPS)) for _ in range(2)]
        cursor.execute("SELECT COUNT(*) FROM Steps")
        assert cursor.fetchall() == [(20_000,)]
    assert numbers == [1205, 1205]
    assert [fault.kind for fault in server.faults.struck[-2:]] == ["deadlock", "deadlock"]


def test_a_fault_without_end_goes_on_until_it_is_removed(server):
    fault = server.faults.add(Fault(kind="deadlock", match="steps .*order", times=None))
    with connect(server) as connection, connection.cursor() as cursor:
        for _ in range(5):
            assert error_number(lambda: cursor.execute(STEPS)) == 1205
        cursor.execute("SELECT 1")
        assert cursor.fetchall() == [(1,)]
        server.faults.remove(fault)
        cursor.execute(STEPS)
        assert len(cursor.fetchall()) == 20_000


def test_a_deadlock_rolls_the_transaction_back(server):
    with connect(server, autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchall()
        server.faults.add(Fault(kind="deadlock", match="Steps"))
        assert error_number(lambda: cursor.execute(STEPS)) == 1205
        cursor.execute("SELECT @@TRANCOUNT")
        assert cursor.fetchall() == [(0,)]


def test_a_fault_must_say_which_error():
    with pytest.raises(ValueError, match="needs number="):
        Faults().add(Fault(kind="error"))


def test_faults_are_used_up_once_however_many_threads_meet_them():
    faults, together, struck = Faults(), threading.Barrier(8), []
    fault = faults.add(Fault(kind="drop", times=3))

    def meet():
        together.wait(10)
        struck.append(faults.strike(fault))

    threads = [threading.Thread(target=meet) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sum(struck) == 3
    assert faults.armed == ()
