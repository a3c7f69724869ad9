"""Which columns are looked at, what follows in the next round, and what stops the look."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pytest

from tests.unit.builders import a_settings
from tests.unit.survey.test_schema import deployed, site
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.messages import VW660
from vte_wats.survey.column_rules import Pair
from vte_wats.survey.content import look_at_content
from vte_wats.survey.schema import DeployedColumn, DeployedTable, compare_schema, possible_names, suggested_overrides

UNITS = [UUID(int=n) for n in range(60)]
PRODUCTS = [UUID(int=1_000 + n) for n in range(4)]


class Content:
    """Columns of a site in memory, which notes what was looked at. A column that holds an error raises it."""

    def __init__(self, **columns: Sequence[Any] | Exception) -> None:
        self._columns = {name.replace("__", "."): values for name, values in columns.items()}
        self.asked: list[str] = []
        self.read: list[str] = []

    def column_values(self, table: str, column: DeployedColumn, beside: DeployedColumn | None) -> Sequence[Pair]:
        self.read.append(f"{table}.{column.name}")
        self.asked += [f"{table}.{shown.name}" for shown in (column, beside) if shown]
        others = self._of(table, beside.name) if beside else None
        return [(others[n] if others else None, value) for n, value in enumerate(self._of(table, column.name))]

    def values_in(self, table: str, column: DeployedColumn, values: Sequence[Any]) -> int:
        assert len(values) <= 50
        self.asked.append(f"{table}.{column.name}")
        return len(set(values) & set(self._of(table, column.name)))

    def _of(self, table: str, column: str) -> Sequence[Any]:
        found = self._columns.get(f"{table}.{column}", [])
        if isinstance(found, Exception):
            raise found
        return found


def found(content: Content, *changed: DeployedTable, **settings: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the names that are guessed, and those that are asked."""
    tables, given = site(*changed), a_settings(**settings)
    lines = compare_schema(tables, given, look_at_content(content, tables, given))
    return suggested_overrides(lines), possible_names(lines)


def runs(*without: str, **other: str) -> DeployedTable:
    return deployed("IndexData", without=without, **other)


def test_a_site_like_the_documentation_is_not_looked_at():
    content = Content()
    assert found(content) == ({}, {})
    assert content.asked == []


def test_a_key_of_another_table_is_found_there():
    content = Content(
        IndexData__a=PRODUCTS * 10, IndexData__b=UNITS, UutData__Uut_GUID=UNITS, Products__Product_GUID=PRODUCTS
    )
    other = runs("Uut_GUID", "Product_GUID", a="uniqueidentifier", b="uniqueidentifier")
    assert found(content, other)[0] == {"IndexData": {"columns": {"Uut_GUID": "b", "Product_GUID": "a"}}}
    assert content.read == ["IndexData.a", "IndexData.b"]  # once each, for both rules


def test_what_one_round_finds_is_used_in_the_next():
    measured = [n / 7 for n in range(40)]
    content = Content(TestDataNumeric__x=measured, TestDataNumeric__y=[9.0] * 40, TestDataNumeric__z=[0.0] * 40)
    other = deployed("TestDataNumeric", without=("TestResult", "LowLimit", "HighLimit"), x="float", y="real", z="float")
    assert found(content, other) == (
        {"TestDataNumeric": {"columns": {"TestResult": "x", "LowLimit": "z", "HighLimit": "y"}}},
        {},
    )


def test_two_columns_that_fit_are_asked_with_what_they_hold():
    codes = [1, 0, 1, 1] * 10
    content = Content(IndexData__c7=codes, IndexData__c8=codes, IndexData__c9=range(40))
    guessed, asked = found(content, runs("Result", c7="int", c8="int", c9="int"))
    assert guessed == {}
    seen = "40 rows read, 0 of them NULL or empty, 2 different values, 100 % fit: a few codes, those of result_codes"
    assert asked == {"IndexData.Result": (f"c7: {seen}", f"c8: {seen}")}


def test_a_column_that_may_be_either_of_two_missing_ones_is_asked():
    hosts = ["PC-1", "PC-2"] * 20
    content = Content(IndexData__x=hosts, IndexData__y=hosts, IndexData__Testsystem_GUID=hosts)
    guessed, asked = found(content, runs("Hostname", "Site", x="nvarchar", y="nvarchar"))
    assert guessed == {}
    assert asked.keys() == {"IndexData.Hostname", "IndexData.Site"}
    assert found(content, runs("Hostname", "Site", x="nvarchar"))[0] == {}
    assert found(content, runs("Hostname", x="nvarchar"))[0] == {"IndexData": {"columns": {"Hostname": "x"}}}


def test_a_column_that_no_candidate_fits_is_missing():
    content = Content(IndexData__c9=range(40))
    assert found(content, runs("Result", c9="int")) == ({}, {})


def test_an_empty_column_may_be_what_runs_may_lack_and_is_never_what_they_need():
    content = Content(
        UutData__x=[f"SN{n}" for n in range(40)],
        UutData__y=[None] * 40,
        IndexData__x=["PC-1", "PC-2"] * 20,
        IndexData__y=[None] * 40,
        IndexData__Testsystem_GUID=[1, 2] * 20,
    )
    units = deployed("UutData", without=("Serial",), x="nvarchar", y="nvarchar")
    guessed, asked = found(content, units, runs("Hostname", x="nvarchar", y="nvarchar"))
    assert guessed == {"UutData": {"columns": {"Serial": "x"}}}
    assert [name.split(":")[0] for name in asked["IndexData.Hostname"]] == ["x", "y"]


def test_a_name_that_is_alike_is_no_guess_where_the_content_is_another():
    content = Content(UutData__Serial_Number=["same"] * 40)
    assert found(content, deployed("UutData", without=("Serial",), Serial_Number="nvarchar")) == ({}, {})


def test_a_name_decides_nothing_where_two_columns_fit():
    stations = ["ST1", "ST2", "ST3"]
    content = Content(TestSystems__Hostname=stations, TestSystems__w3=stations)
    guessed, asked = found(content, deployed("TestSystems", without=("Name",), Hostname="nvarchar", w3="nvarchar"))
    assert guessed == {}
    assert [name.split(":")[0] for name in asked["TestSystems.Name"]] == ["Hostname", "w3"]


def test_a_table_of_another_name_is_looked_at_by_that_name():
    content = Content(Units__x=[f"SN{n}" for n in range(40)])
    units = deployed("UutData", without=("Serial",), x="nvarchar").model_copy(update={"name": "Units"})
    tables = [table for table in site(units) if table.name != "UutData"]
    given = a_settings(column_overrides={"UutData": {"table": "Units"}})
    lines = compare_schema(tables, given, look_at_content(content, tables, given))
    assert suggested_overrides(lines) == {"UutData": {"columns": {"Serial": "x"}}}


@pytest.mark.parametrize("name", ["Password", "100%", "a\nb"])
def test_a_column_that_no_setting_can_name_is_left_alone_and_so_is_a_password(name):
    content = Content()
    found(content, deployed("UutData", without=("Serial",), **{name: "nvarchar"}))
    assert content.asked == []


def test_nothing_of_users_is_looked_at_even_where_settings_take_it_for_another_table():
    content = Content()
    users = deployed("Users", x="uniqueidentifier", y="nvarchar")
    tables = [table for table in site(users) if table.name != "Products"]
    given = a_settings(column_overrides={"Products": {"table": "Users", "columns": {"Name": "Called"}}})
    look_at_content(content, tables, given)
    assert content.asked == []


def test_content_that_may_not_be_read_decides_nothing_and_the_rest_is_looked_at(caplog):
    refused = FatalError(VW660, "denied")
    content = Content(IndexData__x=refused, IndexData__y=UNITS, UutData__Uut_GUID=UNITS)
    other = runs("Uut_GUID", "Result", x="int", y="uniqueidentifier")
    guessed, asked = found(content, other)
    assert guessed == {"IndexData": {"columns": {"Uut_GUID": "y"}}}
    assert asked == {"IndexData.Result": ("x: it cannot be read",)}
    assert "what IndexData.x holds stays unknown" in caplog.text


def test_a_server_that_does_not_answer_ends_the_look_and_not_the_survey(caplog):
    content = Content(IndexData__x=RetriableError(VW660, "gone"), IndexData__y=[1, 0] * 20)
    guessed, asked = found(content, runs("Result", x="int", y="int"))
    assert (guessed, asked) == ({}, {"IndexData.Result": ("x", "y")})
    assert content.asked == ["IndexData.x"]
    assert "what the other columns hold stays unknown" in caplog.text


def test_no_more_than_forty_columns_of_a_table_are_read():
    many = {f"n{n}": "int" for n in range(60)}
    content = Content()
    found(content, runs("Result", **many))
    assert content.asked == [f"IndexData.n{n}" for n in range(40)]
