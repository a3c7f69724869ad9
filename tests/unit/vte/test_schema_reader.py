"""Statements about columns that no setting names: quoted names, and no more of a value than its beginning."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest
import sqlglot
from sqlglot import exp

from tests.unit.builders import a_settings
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.survey.schema import DeployedColumn
from vte_wats.vte.rows import ColumnValueRow, ValuesInRow
from vte_wats.vte.schema_reader import count_values_in, plan_text, read_column_values, statements_of_a_sync
from vte_wats.vte.statements import statement

HOSTILE = [
    "]; DROP TABLE [IndexData]; --",
    "x] FROM [Users",
    "{table}",
    "{value}",
    "{column}",
    "{values}",
    "[dbo].[Users]",
    "IndexData].[Result",
]


class Server:
    """Notes the statements, and answers with these rows."""

    def __init__(self, *rows: tuple) -> None:
        self.texts: list[str] = []
        self.binds: dict = {}
        self._rows = rows

    def rows(self, select, binds, **conditions):
        self.texts.append(statement(select.name, self.settings, **conditions))
        self.binds = binds
        return iter(self._rows)

    settings = a_settings(source_schema="plant", column_overrides={"IndexData": {"columns": {"Result": "Code"}}})


def column(name: str, data_type: str = "int") -> DeployedColumn:
    return DeployedColumn(name=name, data_type=data_type)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_never_more_than_a_name(name):
    server = Server()
    read_column_values(server.rows, server.settings, name, column(name, "nvarchar"), column(name))
    server._rows = (ValuesInRow(0),)
    count_values_in(server.rows, server.settings, name, column(name), [])
    for text in server.texts:
        (tree,) = sqlglot.parse(text.replace("IN ()", "IN (1)"), dialect="tsql")
        assert {(table.db, table.name) for table in tree.find_all(exp.Table) if table.name} == {("plant", name)}
        named = {column.name for column in tree.find_all(exp.Column) if column.table == "Sampled"}
        assert named == {name}


def test_a_name_is_the_one_of_the_site_even_where_the_settings_rename_it():
    server = Server()
    read_column_values(server.rows, server.settings, "IndexData", column("Result"), None)
    assert "[Sampled].[Result] AS [value]" in server.texts[0]
    assert "NULL AS [beside]" in server.texts[0]


def test_of_long_values_the_beginning_is_read_and_texts_come_as_they_are():
    server = Server(ColumnValueRow(UUID(int=1), "Ø🛰".encode("utf-16-le")), ColumnValueRow(None, None))
    found = read_column_values(
        server.rows, server.settings, "UutData", column("x", "ntext"), column("y", "uniqueidentifier")
    )
    assert found == [(UUID(int=1), "Ø🛰"), (None, None)]
    assert "CONVERT(varbinary(MAX), CONVERT(nvarchar(100), [Sampled].[x])) AS [value]" in server.texts[0]
    read_column_values(server.rows, server.settings, "TestDataOther", column("b", "image"), None)
    assert "CONVERT(varbinary(16), [Sampled].[b]) AS [value]" in server.texts[1]
    assert all("TOP (5000)" in text for text in server.texts)


def test_values_to_look_for_are_bound():
    server = Server(ValuesInRow(2))
    values = [UUID(int=1), "it's"]
    assert count_values_in(server.rows, server.settings, "Products", column("Name", "nvarchar"), values) == 2
    assert server.binds == {"value_0": str(UUID(int=1)), "value_1": "it's"}
    assert "IN (%(value_0)s, %(value_1)s)" in server.texts[0]


RANGES = [LocalRange(datetime(2026, 3, 2, 6), datetime(2026, 3, 2, 6, 5))]


@pytest.mark.parametrize("planned", list(statements_of_a_sync(RANGES, a_settings())), ids=lambda planned: planned.title)
def test_every_planned_statement_is_complete_and_has_its_values(planned):
    text = statement(planned.select.name, a_settings(), **planned.conditions)
    assert "{" not in text
    complete = text % {name: repr(value) for name, value in planned.binds.items()}
    assert ("T06:05:00" in complete) is not planned.title.endswith("by GUID")
    assert (str(UUID(int=100)) in complete) is planned.title.endswith("by GUID")


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        pytest.param([("<a ü='1'/>",)], "<a ü='1'/>", id="text"),
        pytest.param([("<a ü='1'/>".encode(),)], "<a ü='1'/>", id="utf-8"),
        pytest.param([("<a ü='1'/>".encode("utf-16-le"),)], "<a ü='1'/>", id="utf-16"),
        pytest.param([], "", id="no-row"),
        pytest.param([(None,)], "", id="null"),
        pytest.param([("<a/>",), ("<b/>",)], "", id="two-rows"),
    ],
)
def test_a_plan_is_the_one_value_of_the_answer(rows, text):
    assert plan_text(rows) == text
