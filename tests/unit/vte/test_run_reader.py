"""What is wrong with one run costs that one: the narrowing, with a server that fails on the content of rows."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any
from uuid import UUID

import pymssql
import pytest

from tests.unit.builders import NOON_LOCAL, a_settings, guid_of
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, RetriableError, VteWatsError
from vte_wats.domain.run import DeadLetterKind
from vte_wats.mapping.identity import Operators
from vte_wats.messages import VW299
from vte_wats.vte.rows import RUN_SIZES, RUNS, RunRow, RunSizeRow
from vte_wats.vte.run_reader import read_runs
from vte_wats.vte.sql_errors import SQL_ERRORS, VW207, VW214, translate_error

VW202 = next(row.message for row in SQL_ERRORS if row.message.code == "VW202")


class FailingServer:
    """Holds so many runs; a statement that reads one of ``bad`` fails, after the runs before it."""

    takes_locks = False

    def __init__(self, runs: int, bad: set[int], error: Exception, times: int | None = None) -> None:
        self.guids = [guid_of(n) for n in range(runs)]
        self.bad = {guid_of(n) for n in bad}
        self.error = error
        self.times = times
        self.at: datetime | None = NOON_LOCAL
        self.steps, self.size_bytes = 0, 100
        self.groups: list[int] = []  # runs that each statement of steps was asked for
        self.reads = 0
        self.connects = 0

    def reconnect(self) -> None:
        self.connects += 1

    def rows(self, select: Any, binds: dict[str, Any], **_: str) -> Iterator[Any]:
        named = [UUID(value) for name, value in binds.items() if name.startswith("guid_")]
        excluded_runs = {UUID(value) for name, value in binds.items() if name.startswith("without_")}
        guids = [guid for guid in named or self.guids if guid not in excluded_runs]
        if select is RUN_SIZES:
            yield from (RunSizeRow(guid, self.at, self.steps, self.size_bytes) for guid in guids)
        elif select is RUNS:
            self.reads += 1
            fields = dict.fromkeys(RunRow._fields) | {"timestamp_local": self.at}
            yield from (RunRow(**fields | {"index_guid": guid}) for guid in guids)
        else:
            self.groups.append(len(guids))
            if self.bad & set(guids) and self.times != 0:
                self.times = None if self.times is None else self.times - 1
                raise self.error


def read(server: FailingServer, **answers: Any) -> dict[UUID, str | None]:
    runs = list(read_runs(server, "1 = 1", {}, settings := a_settings(**answers), Operators(settings)))
    assert len({run.index_guid for run in runs}) == len(runs)
    return {run.index_guid: run.defect and run.defect.reason for run in runs}


@pytest.mark.parametrize(
    "error", [FatalError(VW214, "no number"), RetriableError(VW207, "lost"), RetriableError(VW299, "odd")]
)
@pytest.mark.parametrize("bad", [{0}, {199}, {57}, {3, 4, 111}])
def test_a_failure_is_narrowed_down_to_the_runs_that_cause_it(error, bad):
    server = FailingServer(200, bad, error)
    found = read(server)
    assert found.keys() == {guid_of(n) for n in range(200)}
    assert {guid for guid, why in found.items() if why} == {guid_of(n) for n in bad}
    assert all(why.startswith("VW232 ") and error.detail in why for why in found.values() if why)
    assert server.reads < 20 * (len(bad) + 1)


@pytest.mark.parametrize(
    ("runs", "steps", "size_bytes", "groups"),
    [
        pytest.param(1_000, 50, 10_000, [1_000], id="an ordinary slice"),
        pytest.param(200, 10_000, 1_000, [10] * 20, id="many steps"),
        pytest.param(25, 5, 2_000_000, [10, 10, 5], id="attachments"),
        pytest.param(3, 5, 19_000_000, [1, 1, 1], id="as large as a run may be"),
        pytest.param(2_500, 1, 100, [1_000, 1_000, 500], id="more runs than a condition names"),
    ],
)
def test_runs_are_read_in_groups_whose_steps_and_bytes_are_bounded(runs, steps, size_bytes, groups):
    server = FailingServer(runs, set(), RuntimeError())
    server.steps, server.size_bytes = steps, size_bytes
    assert read(server) == dict.fromkeys(server.guids)
    assert server.groups == groups


def test_a_failure_in_one_group_is_narrowed_down_within_it():
    server = FailingServer(30, {14}, FatalError(VW214, "no number"))
    server.size_bytes = 2_000_000
    assert [guid for guid, why in read(server).items() if why] == [guid_of(14)]
    assert max(server.groups) == 10


def test_one_bad_run_in_a_group_of_its_own_is_known_by_the_runs_of_other_groups():
    server = FailingServer(3, {0}, RetriableError(VW207, "lost"))
    server.size_bytes = 19_000_000
    assert [guid for guid, why in read(server).items() if why] == [guid_of(0)]


def test_a_failure_that_passes_makes_no_dead_letter():
    assert set(read(FailingServer(50, {7}, RetriableError(VW207, "lost"), times=1)).values()) == {None}


def test_a_failure_that_has_nothing_to_do_with_rows_is_not_narrowed_down():
    server = FailingServer(50, {7}, RetriableError(VW202, "a lock"))
    with pytest.raises(RetriableError):
        read(server)
    assert (server.reads, server.connects) == (1, 0)


@pytest.mark.parametrize("runs", [1, 2, 200])
def test_a_server_that_always_fails_makes_no_dead_letters(runs):
    server = FailingServer(runs, set(range(runs)), RetriableError(VW207, "lost"))
    with pytest.raises(RetriableError):
        read(server)
    assert server.reads < 25


def test_too_many_runs_that_cannot_be_read_stop_the_slice():
    server = FailingServer(200, set(range(40)), FatalError(VW214, "no number"))
    with pytest.raises(FatalError):
        read(server, rejection_limit=5)


def test_a_single_run_whose_value_cannot_be_converted_is_a_dead_letter_also_in_a_slice_of_its_own():
    assert read(FailingServer(1, {0}, FatalError(VW214, "no number")))[guid_of(0)].startswith("VW232 ")


def translated(cause: Exception) -> VteWatsError:
    """Return the product's error for one that the driver or Python raises while rows arrive."""
    error = translate_error(cause, "running select_steps", Site())
    error.__cause__ = cause
    return error


@pytest.mark.parametrize("runs", [1, 2])
@pytest.mark.parametrize("cause", [ValueError("year 0 is out of range"), OverflowError("too large"), ArithmeticError()])
def test_runs_whose_values_python_cannot_hold_are_dead_letters_also_when_they_are_the_whole_slice(cause, runs):
    server = FailingServer(runs, set(range(runs)), translated(cause))
    assert [why[:10] for why in read(server).values()] == ["VW232 the "] * runs
    assert server.groups.count(1) == 3 * runs  # each alone, as often as any


@pytest.mark.parametrize(
    "cause", [pymssql.InterfaceError("odd"), pymssql.OperationalError(50_000, b"odd"), pymssql.OperationalError(20004)]
)
def test_a_single_run_makes_no_dead_letter_where_the_server_or_the_network_may_be_the_cause(cause):
    with pytest.raises(RetriableError):
        read(FailingServer(1, {0}, translated(cause)))


def test_a_defect_stays_with_its_neighbours_whole():
    server = FailingServer(3, set(), RuntimeError())
    assert read(server, max_run_bytes=100_000) == dict.fromkeys(server.guids)


def test_a_named_run_without_a_timestamp_is_held_and_says_so():
    server = FailingServer(2, set(), RuntimeError())
    server.at = None
    found = read(server)
    assert found.keys() == set(server.guids)
    assert all(why.startswith("VW550 IndexData.Timestamp ") and "given NULL" in why for why in found.values())
    runs = read_runs(server, "selection", {}, a_settings(), Operators(a_settings()))
    assert {run.defect.kind for run in runs if run.defect} == {DeadLetterKind.HELD}
