"""A station that holds a transaction open: what of it the reader sees, and for what it waits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from sandbox.sqlserver.tsql.execution import Execution
from tests.integration.real_server import Served
from vte_wats.config.settings import Settings
from vte_wats.domain.errors import RetriableError
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.vte.reader import VteSource
from vte_wats.vte.rows import RUNS, STEPS

NOON = datetime(2026, 3, 2, 12)
HOUR = LocalRange(NOON, NOON + timedelta(hours=1))
OPEN = UUID(int=7)
HEADER = f"INSERT INTO dbo.IndexData (Index_GUID, Timestamp, Result) VALUES ('{OPEN}', '2026-03-02T12:00:00', 1)"
STEP = "INSERT INTO dbo.TestDataNumeric (Index_GUID, TestStepNumber, TestName) VALUES ('{}', 1, 'Voltage')"
LOCKING = {"snapshot_isolation": False, "read_committed_snapshot": False}
VERSIONS = [
    pytest.param({"snapshot_isolation": True}, id="SNAPSHOT"),
    pytest.param({"snapshot_isolation": False, "read_committed_snapshot": True}, id="READ_COMMITTED_SNAPSHOT"),
]
PLAIN = pytest.param(LOCKING, id="READ COMMITTED")


@pytest.fixture
def served(emulated: Served) -> Served:
    return emulated


def site() -> Settings:
    return Settings.model_validate({"source_timezone": "Europe/Oslo", "process_map": {"*": 100}, "lock_timeout_ms": 0})


@pytest.fixture(params=[PLAIN])
def isolation(request: pytest.FixtureRequest, database: Any) -> dict[str, bool]:
    database.facts = replace(database.facts, **request.param)
    return request.param


@contextmanager
def station(database: Any, *changes: str) -> Iterator[Execution]:
    """Hold a transaction open that has made the changes."""
    with closing(Execution(database)) as execution:
        list(execution.run("; ".join(("BEGIN TRAN", *changes))))
        yield execution


@pytest.mark.parametrize("isolation", [PLAIN, *VERSIONS], indirect=True)
def test_a_run_that_is_not_committed_holds_up_no_other(hook, database, isolation, add_run):
    guid = add_run(NOON)
    with station(database, HEADER, STEP.format(OPEN)) as open_one, VteSource(site(), hook) as source:
        assert [run.index_guid for run in source.runs_between([HOUR])] == [guid]
        assert source.identity_and_run_counts([HOUR])[1].seconds == source.run_times([HOUR]).seconds == ((NOON, 1),)
        assert [minute.runs for minute in source.minute_contents([HOUR])] == [1]
        assert source.waiting_runs([HOUR]).runs == 1
        list(open_one.run("COMMIT"))
        assert {run.index_guid: len(run.steps) for run in source.runs_between([HOUR])} == {guid: 0, OPEN: 1}


def test_a_run_whose_steps_are_not_committed_is_never_read_without_them(hook, database, isolation, add_run):
    guid = add_run(NOON)
    with station(database, STEP.format(guid)) as open_one, VteSource(site(), hook) as source:
        with pytest.raises(RetriableError, match="VW202"):
            list(source.runs_between([HOUR]))
        list(open_one.run("COMMIT"))
        assert [len(run.steps) for run in source.runs_between([HOUR])] == [1]


@pytest.mark.parametrize("before", [RUNS, STEPS], ids=["headers", "steps"])
def test_a_run_whose_header_is_locked_while_it_is_read_is_never_read_without_its_steps(
    hook, database, isolation, add_run, monkeypatch, before
):
    first, second = add_run(NOON), add_run(NOON + timedelta(seconds=1))
    for guid in (first, second):
        with station(database, STEP.format(guid)) as committed:
            list(committed.run("COMMIT"))
    with ExitStack() as later, VteSource(site(), hook) as source:
        as_sent = source.rows

        def rows(select, binds, **conditions):
            if select is before:
                later.enter_context(
                    station(database, f"UPDATE dbo.IndexData SET Result = 0 WHERE Index_GUID = '{first}'")
                )
            return as_sent(select, binds, **conditions)

        monkeypatch.setattr(source, "rows", rows)
        with pytest.raises(RetriableError, match="VW202"):
            list(source.runs_between([HOUR]))
    with VteSource(site(), hook) as source:
        assert [len(run.steps) for run in source.runs_between([HOUR])] == [1, 1]


def test_a_run_whose_unit_is_locked_is_never_read_without_its_serial(hook, database, isolation, add_run):
    add_run(NOON, "SN-1")
    with station(database, "UPDATE dbo.UutData SET Serial = 'SN-2'"), VteSource(site(), hook) as source:
        assert source.run_times([HOUR]).seconds == ((NOON, 1),)
        with pytest.raises(RetriableError, match="VW202"):
            list(source.runs_between([HOUR]))


def test_a_named_run_that_is_locked_is_waited_for_and_never_taken_for_absent(hook, database, isolation, add_run):
    guid = add_run(NOON)
    change = f"UPDATE dbo.IndexData SET Result = 0 WHERE Index_GUID = '{guid}'"
    with station(database, change) as open_one, VteSource(site(), hook) as source:
        for question in (source.existing, lambda guids: list(source.runs_by_guid(guids))):
            with pytest.raises(RetriableError, match="VW202"):
                question([guid])
        list(open_one.run("ROLLBACK"))
        assert source.existing([guid]) == {guid}


def test_a_run_whose_header_is_locked_is_never_taken_for_one_that_its_steps_lack(hook, database, isolation, add_run):
    guid = add_run(NOON, numeric=[{"TestStepNumber": 1, "TestResult": 1.0}])
    change = f"UPDATE dbo.IndexData SET Result = 0 WHERE Index_GUID = '{guid}'"
    with station(database, change) as open_one, VteSource(site(), hook) as source:
        with pytest.raises(RetriableError, match="VW202"):
            list(source.step_keys(UUID(int=0)))
        list(open_one.run("ROLLBACK"))
        assert [found.has_run for found in source.step_keys(UUID(int=0))] == [True]


@pytest.mark.parametrize("isolation", VERSIONS, indirect=True)
def test_where_versions_are_read_no_statement_passes_over_locks(hook, database, vte, isolation, add_run):
    guid = add_run(NOON)
    change = f"UPDATE dbo.IndexData SET Result = 0 WHERE Index_GUID = '{guid}'"
    with station(database, change, STEP.format(guid)), VteSource(site(), hook) as source:
        (run,) = source.runs_between([HOUR])
        assert (run.result_code, run.steps) == (1, ())
        assert source.existing([guid]) == {guid}
    assert "READPAST" not in " ".join(entry.sql for entry in vte.log)
