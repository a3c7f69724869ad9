"""The source when the wire, the login or the server fails, and what it sends: seen from the emulated server's side."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from sandbox.sqlserver.faults import Fault
from tests.integration.conftest import hook_to
from vte_wats.config.settings import Settings
from vte_wats.domain.errors import FatalError, RetriableError, VteWatsError
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.vte.reader import VteSource

NOON = datetime(2026, 3, 2, 12)
HOUR = LocalRange(NOON, NOON + timedelta(hours=1))


def site(**settings: Any) -> Settings:
    return Settings.model_validate({"source_timezone": "Europe/Oslo", "process_map": {"*": 100}} | settings)


@pytest.fixture
def served(emulated):
    """Only an emulated server fails on request, and shows what it was sent."""
    return emulated


def test_run_times_counts_per_second_and_brings_the_server_clock(hook, vte, add_run):
    for milliseconds in (0, 3, 997, 1000, 2500):
        add_run(NOON + timedelta(milliseconds=milliseconds))
    add_run(HOUR.to_local)
    with VteSource(site(), hook) as source:
        times = source.run_times([HOUR])
    assert times.seconds == (
        (NOON, 3),
        (NOON + timedelta(seconds=1), 1),
        (NOON + timedelta(seconds=2), 1),
    )
    assert abs((times.server_now_at - vte.clock()).total_seconds()) < 60


def test_an_empty_range_still_brings_the_server_clock_in_one_statement(hook, vte):
    with VteSource(site(), hook) as source:
        before = len(selects(vte))
        times = source.run_times([HOUR])
        assert times.seconds == ()
        assert times.server_now_at.tzinfo is not None
    assert len(selects(vte)) - before == 1


def test_three_statements_read_a_slice_whatever_it_holds(hook, vte, add_run):
    for n in range(40):
        add_run(NOON + timedelta(seconds=n), numeric=[{"TestStepNumber": 1, "TestResult": float(n)}])
    with VteSource(site(), hook) as source:
        before = len(selects(vte))
        assert len(list(source.runs_between([HOUR]))) == 40
    assert len(selects(vte)) - before == 4  # the types of the columns are asked for once


def test_a_server_that_is_away_is_worth_another_try(connection, vte):
    hook = hook_to(connection)
    vte.stop()
    with pytest.raises(RetriableError), VteSource(site(), hook):
        pass


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="error", number=1205, match="TestDataNumeric"),
        Fault(kind="error", number=1222, match="TestDataNumeric"),
        Fault(kind="drop", match="TestDataNumeric"),
        Fault(kind="drop", match="TestDataNumeric", after_rows=5),
    ],
    ids=lambda fault: f"{fault.kind}-{getattr(fault, 'number', None)}-{fault.after_rows}",
)
def test_a_passing_failure_is_worth_another_try_and_never_a_short_answer(hook, vte, add_run, fault):
    for n in range(20):
        add_run(NOON + timedelta(seconds=n), numeric=[{"TestStepNumber": 1, "TestResult": float(n)}])
    vte.faults.add(fault)
    with VteSource(site(), hook) as source, pytest.raises(RetriableError):
        list(source.runs_between([HOUR]))
    with VteSource(site(), hook) as source:
        assert len(list(source.runs_between([HOUR]))) == 20


def test_each_failed_connection_gives_its_own_reason_whatever_failed_before_it_in_the_process(connection, vte):
    """pymssql repeats the number of an earlier failed login; the reasons below alternate to show it."""
    away = connection | {"port": 1}
    wrong = connection | {"password": "not-the-password"}
    elsewhere = connection | {"schema": "NoSuchDatabase"}
    for fields, kind, expected in [
        (away, RetriableError, "was lost"),
        (wrong, FatalError, "login was refused"),
        (away, RetriableError, "was lost"),
        (elsewhere, RetriableError, "cannot be opened"),
        (wrong, FatalError, "login was refused"),
    ]:
        with pytest.raises(kind, match=expected), VteSource(site(), hook_to(fields)):
            pass


@pytest.mark.report("P7")
@pytest.mark.parametrize("fault", [Fault(kind="login_failed", number=4060), None], ids=["recovers", "elsewhere"])
def test_a_database_that_is_not_open_is_tried_again_and_both_causes_are_named(connection, vte, fault):
    """The server says 4060 and 18456; the driver passes on 18456, which alone would be a wrong password."""
    if fault is not None:
        vte.faults.add(fault)
    fields = connection if fault is not None else connection | {"schema": "NoSuchDatabase"}
    with (
        pytest.raises(RetriableError, match=r"VW208 .*SQL error 4060.*SQL error 18456"),
        VteSource(site(), hook_to(fields)),
    ):
        pass
    with VteSource(site(), hook_to(connection)) as source:
        assert list(source.runs_between([HOUR])) == []


RECOVERS = Fault(kind="login_failed", number=4060)


@pytest.mark.report("P7")
@pytest.mark.parametrize("name", ["NoSuch]Db", "it's", "Prüfung", "x" * 128, "{schema} %s"])
def test_a_database_that_is_not_open_is_named_whatever_its_name(connection, vte, name):
    with pytest.raises(RetriableError) as caught, VteSource(site(), hook_to(connection | {"schema": name})):
        pass
    assert f"database {name} is not open" in caught.value.detail


@pytest.mark.report("P7")
@pytest.mark.parametrize("number", [17187, 17142, 10928], ids=str)
def test_a_server_that_starts_again_meanwhile_is_tried_again_and_no_wrong_password(connection, vte, number):
    """A look into master tells a database that is not open from a wrong password; that look can fail, too."""
    for fault in (RECOVERS, Fault(kind="login_failed", number=number)):
        vte.faults.add(fault)
    error, detail = first_login(connection)
    assert (error, f"SQL error {number}" in detail) == ("RetriableError", True), detail
    assert first_login(connection) == ("", "")


def test_a_wrong_password_stops_although_the_database_is_not_open(connection, vte):
    vte.faults.add(RECOVERS)
    error, detail = first_login(connection | {"password": "not-the-password"})
    assert (error, detail[:5]) == ("FatalError", "VW209")
    assert RECOVERS in vte.faults.armed  # a server asks for the password first


def first_login(fields: dict[str, Any]) -> tuple[str, str]:
    """Return the error of a login and its words; the driver passes on 18456 in the first of a process alone."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(logged_in, fields).result()


def logged_in(fields: dict[str, Any]) -> tuple[str, str]:
    try:
        with VteSource(site(), hook_to(fields)):
            return "", ""
    except VteWatsError as error:
        return type(error).__name__, str(error)


def test_the_reader_gives_way_to_test_stations(hook, vte):
    with VteSource(site(lock_timeout_ms=1234), hook):
        pass
    sent = " ".join(entry.sql for entry in vte.log)
    assert "SET DEADLOCK_PRIORITY LOW" in sent
    assert "SET LOCK_TIMEOUT 1234" in sent
    assert "NOLOCK" not in sent.upper()


LEVEL = "SELECT transaction_isolation_level FROM sys.dm_exec_sessions WHERE session_id = @@SPID"


@pytest.mark.parametrize(("allowed", "level"), [(True, 5), (False, 2)], ids=["SNAPSHOT", "READ COMMITTED"])
def test_a_snapshot_is_read_where_the_database_allows_it_and_committed_rows_elsewhere(
    hook, database, vte, add_run, allowed, level
):
    database.facts = replace(database.facts, snapshot_isolation=allowed)
    guid = add_run(NOON)
    with VteSource(site(), hook) as source:
        assert [run.index_guid for run in source.runs_between([HOUR])] == [guid]
        with source._connection.cursor() as cursor:
            cursor.execute(LEVEL)
            assert cursor.fetchall() == [(level,)]


def test_snapshots_that_are_forbidden_meanwhile_are_worth_another_try(hook, database, vte, add_run):
    add_run(NOON)
    with VteSource(site(), hook) as source:
        database.facts = replace(database.facts, snapshot_isolation=False)
        with pytest.raises(RetriableError, match="no longer allows snapshots"):
            list(source.runs_between([HOUR]))


def test_nothing_is_read_inside_a_transaction(hook, vte, add_run):
    """pymssql opens a transaction as it connects; a reader that stayed in it would keep its locks."""
    add_run(NOON)
    with VteSource(site(), hook) as source:
        list(source.runs_between([HOUR]))
    sent = [entry.sql.upper() for entry in vte.log]
    first_read = sent.index(selects(vte)[0].upper())
    assert sum("BEGIN TRAN" in sql for sql in sent) == sum("ROLLBACK TRAN" in sql for sql in sent[:first_read])


def selects(vte) -> list[str]:
    return [entry.sql for entry in vte.log if "SELECT" in entry.sql.upper() and "SET " not in entry.sql.upper()]
