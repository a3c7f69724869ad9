"""SET SHOWPLAN_XML: who sees plans, what they are made from, and that nothing runs meanwhile."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from sandbox.sqlserver.server import Login, SqlServer
from tests.sandbox.sqlserver.clients import READER, WRITER, connect, error_number, new_database

PLANNER = Login("planner", "pl4n", may_showplan=True)
PLAN = "{http://schemas.microsoft.com/sqlserver/2004/07/showplan}"


@pytest.fixture(scope="module")
def server() -> Iterator[SqlServer]:
    db = new_database()
    db.run_script("CREATE TABLE [dbo].[Heap] ([Run_GUID] uniqueidentifier NULL, [Value] int NULL, [Other] int NULL)")
    with SqlServer(db, logins=[WRITER, READER, PLANNER]) as running:
        yield running


def answers(server: SqlServer, *batches: str, login: Login = PLANNER) -> Any:
    """Return the rows of the last batch, all of them over one connection."""
    with closing(connect(server, login)) as connection:
        connection.autocommit(True)
        cursor = connection.cursor()
        for batch in batches:
            cursor.execute(batch)
        return cursor.fetchall()


def plan(server: SqlServer, sql: str) -> ET.Element:
    ((text,),) = answers(server, "SET SHOWPLAN_XML ON", sql)
    return ET.fromstring(text)  # noqa: S314 -- of this very server


def operators(root: ET.Element) -> list[str]:
    return [element.get("PhysicalOp", "") for element in root.iter(f"{PLAN}RelOp")]


def test_a_query_answers_with_its_plan_until_the_option_is_off(server):
    ((text,),) = answers(server, "SET SHOWPLAN_XML ON", "SELECT Result FROM Runs")
    assert text.startswith(f'<ShowPlanXML xmlns="{PLAN[1:-1]}"')
    assert answers(server, "SET SHOWPLAN_XML ON", "SET SHOWPLAN_XML OFF", "SELECT 1 AS n") == [(1,)]


@pytest.mark.parametrize("login", [PLANNER, WRITER], ids=lambda login: login.name)
def test_who_may_see_plans_does(server, login):
    assert len(answers(server, "SET SHOWPLAN_XML ON", "SELECT Result FROM Runs", login=login)) == 1


def test_who_may_not_gets_262_for_the_query_and_not_for_the_option(server):
    assert error_number(lambda: answers(server, "SET SHOWPLAN_XML ON", "SELECT 1 AS n", login=READER)) == 262
    assert answers(server, "SET SHOWPLAN_XML ON", "SET SHOWPLAN_XML OFF", "SELECT 1 AS n", login=READER) == [(1,)]


def test_the_option_must_be_alone_in_its_batch(server):
    assert error_number(lambda: answers(server, "SET SHOWPLAN_XML ON; SELECT 1 AS n")) == 1067
    assert answers(server, "SELECT 1 AS n") == [(1,)]


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        pytest.param("SELECT x FROM Absent", 208, id="no-table"),
        pytest.param("SELECT Absent FROM Runs", 207, id="no-column"),
        pytest.param("DELETE FROM Runs", 40517, id="a-change"),
        pytest.param("IF 1 = 1 SELECT 1 AS n", 40517, id="a-condition"),
        pytest.param("SET NOCOUNT ON", 40517, id="another-option"),
    ],
)
def test_what_cannot_be_planned_is_an_error(server, sql, number):
    assert error_number(lambda: answers(server, "SET SHOWPLAN_XML ON", sql, login=WRITER)) == number


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        pytest.param(
            "SELECT Result FROM Runs WHERE Run_GUID = '00000000-0000-0000-0000-000000000001'",
            ["Clustered Index Seek"],
            id="key",
        ),
        pytest.param("SELECT Result FROM Runs WHERE Result = 1", ["Clustered Index Scan"], id="no-index"),
        pytest.param("SELECT Value FROM Heap WHERE Value = 1", ["Table Scan"], id="heap"),
        pytest.param(
            "SELECT Result FROM Runs WHERE CONVERT(varchar(36), Run_GUID) = '1'",
            ["Clustered Index Scan"],
            id="a-converted-column",
        ),
        pytest.param(
            "SELECT Result FROM Runs WHERE Run_GUID = '00000000-0000-0000-0000-000000000001' OR Result = 1",
            ["Clustered Index Scan"],
            id="or-of-another-column",
        ),
        pytest.param(
            "SELECT h.Value FROM Heap AS h INNER JOIN Runs AS r ON h.Run_GUID = r.Run_GUID",
            ["Nested Loops", "Table Scan", "Clustered Index Seek"],
            id="join-to-a-key",
        ),
        pytest.param(
            "SELECT h.Value FROM Runs AS r INNER JOIN Heap AS h ON h.Run_GUID = r.Run_GUID ORDER BY h.Value",
            ["Sort", "Hash Match", "Clustered Index Scan", "Table Scan"],
            id="join-without-index",
        ),
    ],
)
def test_the_plan_follows_from_the_indexes(server, sql, expected):
    assert operators(plan(server, sql)) == expected


def test_compared_columns_without_an_index_are_the_index_that_is_missing(server):
    root = plan(server, "SELECT Value FROM Heap WHERE Value = 1 AND Other > 2")
    usages = {group.get("Usage"): [column.get("Name") for column in group] for group in root.iter(f"{PLAN}ColumnGroup")}
    assert usages == {"EQUALITY": ["[Value]"], "INEQUALITY": ["[Other]"]}


def test_an_index_changes_the_plan_and_nothing_is_missing_then():
    db = new_database()
    with SqlServer(db, logins=[WRITER, PLANNER]) as server:
        sql = "SELECT Result FROM Runs WHERE [Result] >= 1 AND [Result] < 2"
        assert operators(plan(server, sql)) == ["Clustered Index Scan"]
        db.run_script("CREATE INDEX [IX_Result] ON [dbo].[Runs] ([Result])")
        root = plan(server, sql)
        assert operators(root) == ["Index Seek"]
        assert not list(root.iter(f"{PLAN}MissingIndex"))
