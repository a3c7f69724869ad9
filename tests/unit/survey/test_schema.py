"""The comparison of schemas: what is the same, what differs, and what follows from it."""

from __future__ import annotations

import re

import pytest

from tests.unit.builders import a_settings
from vte_wats.config.settings import KEY_COLUMNS, OPTIONAL_COLUMNS
from vte_wats.survey.schema import (
    Comparison,
    DeployedColumn,
    DeployedIndex,
    DeployedKey,
    DeployedTable,
    Likeness,
    compare_foreign_keys,
    compare_schema,
    documented_schema,
    possible_names,
    suggested_overrides,
)

_OTHER = ("TestDataOther", "TestResult")


def deployed(name: str, *, without: tuple[str, ...] = (), **other: str) -> DeployedTable:
    """Return a documented table as a site may have it; ``other`` adds columns or changes types."""
    documented = documented_schema()[name]
    types = {c: t or "varbinary" for c, t in documented.columns.items() if c not in without} | other
    key = (DeployedIndex(name="PK", columns=documented.key, primary=True, unique=True),) if documented.key else ()
    return DeployedTable(
        name=name, columns=tuple(DeployedColumn(name=c, data_type=t) for c, t in types.items()), indexes=key
    )


def site(*changed: DeployedTable, without: tuple[str, ...] = ()) -> list[DeployedTable]:
    by_name = {table.name: table for table in changed}
    kept = [by_name.pop(name, None) or deployed(name) for name in documented_schema() if name not in without]
    return [*kept, *by_name.values()]


def with_keys(table: DeployedTable, *keys: tuple[tuple[str, ...], str]) -> DeployedTable:
    found = (DeployedKey(name=f"FK{n}", columns=c, parent=p, parent_columns=c) for n, (c, p) in enumerate(keys))
    return table.model_copy(update={"foreign_keys": tuple(found)})


def line(lines: list[Comparison], table: str, column: str | None = None) -> Comparison:
    (found,) = [line for line in lines if (line.table, line.column) == (table, column)]
    return found


def test_what_is_documented_is_what_the_reference_schema_does_not_mark_as_reconstructed(repository):
    text = (repository / "sandbox/vte/reference_schema.sql").read_text()
    published = {}
    for table, body in re.findall(r"CREATE TABLE \[dbo\]\.\[(\w+)\] \((.*?)\n\);", text, re.DOTALL):
        rows = [row for row in body.splitlines() if "-- reconstructed" not in row]
        published[table] = {m[1]: m[2] for row in rows if (m := re.match(r"\s*\[(\w+)\] (\w+)", row))}
    published[_OTHER[0]][_OTHER[1]] = None
    documented = {name: table.columns for name, table in documented_schema().items()}
    assert len(documented) == 21
    assert documented == published


def test_relations_are_those_of_the_reference_schema(repository):
    text = (repository / "sandbox/vte/reference_schema.sql").read_text()
    pattern = r"ALTER TABLE \[dbo\]\.\[(\w+)\].*?FOREIGN KEY \(\[(\w+)\]\) REFERENCES \[dbo\]\.\[(\w+)\]"
    relations = {
        (table, column, parent)
        for table, column, parent in re.findall(pattern, text, re.DOTALL)
        if column in documented_schema()[table].columns
    }
    documented = {(n, c, p) for n, table in documented_schema().items() for c, p in table.references.items()}
    assert documented == relations


def test_everything_that_is_read_is_documented():
    read = {(table, column) for table in KEY_COLUMNS for column in KEY_COLUMNS[table] | OPTIONAL_COLUMNS[table]}
    assert {(table, column) for table, column in read if column not in documented_schema()[table].columns} == set()


def test_a_site_like_the_documentation_differs_in_nothing():
    lines = compare_schema(site(), a_settings())
    assert {line.likeness for line in lines} == {Likeness.SAME}
    assert not any(line.stops for line in lines)
    assert line(lines, "IndexData", "Result").is_read
    assert not line(lines, "Users", "Name").is_read


def test_a_missing_table_stops_only_where_it_is_read():
    lines = compare_schema(site(without=("UutData", "UutHistory")), a_settings())
    assert (line(lines, "UutData").likeness, line(lines, "UutData").stops) == (Likeness.MISSING, True)
    assert (line(lines, "UutHistory").likeness, line(lines, "UutHistory").stops) == (Likeness.MISSING, False)


def test_a_missing_column_stops_and_says_what_to_set():
    lines = compare_schema(site(deployed("IndexData", without=("Info3", "Result", "User_GUID"))), a_settings())
    assert "or null" in line(lines, "IndexData", "Info3").consequence
    assert "or null" not in line(lines, "IndexData", "Result").consequence
    assert line(lines, "IndexData", "Result").stops
    assert not line(lines, "IndexData", "User_GUID").stops


def test_names_and_null_of_column_overrides_are_no_differences():
    overrides = {
        "UutData": {"table": "Units", "columns": {"Serial": "SerialNo"}},
        "IndexData": {"columns": {"Info3": None}},
    }
    units = deployed("UutData", without=("Serial",), SerialNo="nvarchar").model_copy(update={"name": "Units"})
    tables = site(deployed("IndexData", without=("Info3",)), units, without=("UutData",))
    lines = compare_schema(tables, a_settings(column_overrides=overrides))
    assert {line.likeness for line in lines} == {Likeness.SAME, Likeness.NAMED}
    assert line(lines, "UutData", "Serial").here == "SerialNo"
    assert not any(line.stops for line in lines)


def test_a_renamed_column_is_guessed_and_offered():
    lines = compare_schema(site(deployed("UutData", without=("Serial",), Serial_Number="nvarchar")), a_settings())
    found = line(lines, "UutData", "Serial")
    assert (found.likeness, found.here, found.stops) == (Likeness.RENAMED, "Serial_Number", True)
    assert suggested_overrides(lines) == {"UutData": {"columns": {"Serial": "Serial_Number"}}}
    a_settings(column_overrides=suggested_overrides(lines))


def test_a_renamed_table_is_guessed_by_its_columns():
    units = deployed("UutData").model_copy(update={"name": "Units"})
    lines = compare_schema(site(units, without=("UutData",)), a_settings())
    assert suggested_overrides(lines) == {"UutData": {"table": "Units"}}


@pytest.mark.parametrize(
    ("others", "possible"),
    [
        ({"SerialDate": "datetime"}, {}),
        ({"SerialA": "nvarchar", "SerialB": "varchar"}, {"UutData.Serial": ("SerialA", "SerialB")}),
        ({"Colour": "nvarchar"}, {"UutData.Serial": ("Colour",)}),
    ],
    ids=["another type", "two alike", "nothing alike"],
)
def test_no_guess_is_better_than_a_wrong_one(others, possible):
    lines = compare_schema(site(deployed("UutData", without=("Serial",), **others)), a_settings())
    assert line(lines, "UutData", "Serial").likeness is Likeness.MISSING
    assert suggested_overrides(lines) == {}
    assert possible_names(lines) == possible


def pointing(column: str, *others: str) -> DeployedTable:
    """Return IndexData with other columns in the place of one, of which each points to UutData."""
    keys = [((other,), "UutData") for other in others]
    return with_keys(deployed("IndexData", without=(column,), **dict.fromkeys(others, "uniqueidentifier")), *keys)


def test_a_column_of_another_name_is_guessed_by_the_table_that_it_points_to():
    renamed = pointing("Uut_GUID", "Board")
    lines = compare_schema(site(renamed), a_settings())
    assert (line(lines, "IndexData", "Uut_GUID").likeness, line(lines, "IndexData", "Uut_GUID").here) == (
        Likeness.RENAMED,
        "Board",
    )
    assert suggested_overrides(lines) == {"IndexData": {"columns": {"Uut_GUID": "Board"}}}
    assert possible_names(lines) == {}
    assert not [line for line in lines if line.likeness is Likeness.ADDITIONAL]
    other_parent = site(renamed, without=("UutData",))
    other_parent.append(deployed("UutData").model_copy(update={"name": "Units"}))
    named = a_settings(column_overrides={"UutData": {"table": "Units"}})
    assert line(compare_schema(other_parent, named), "IndexData", "Uut_GUID").likeness is Likeness.MISSING


@pytest.mark.parametrize(
    "table",
    [
        pointing("Uut_GUID", "Board", "Tray"),
        with_keys(deployed("IndexData", without=("Uut_GUID",), Board="uniqueidentifier"), (("Board",), "Products")),
        with_keys(deployed("IndexData", without=("Uut_GUID",), Board="int"), (("Board",), "UutData")),
    ],
    ids=["two that point there", "one that points elsewhere", "another type"],
)
def test_keys_that_say_nothing_are_no_guess(table):
    assert line(compare_schema(site(table), a_settings()), "IndexData", "Uut_GUID").likeness is Likeness.MISSING


def test_a_primary_key_of_another_name_is_guessed_and_goes_before_a_name_that_is_alike():
    key = (DeployedIndex(name="PK", columns=("Id",), primary=True, unique=True),)
    units = deployed("UutData", without=("Uut_GUID",), Id="uniqueidentifier", UutGUID2="uniqueidentifier")
    lines = compare_schema(site(units.model_copy(update={"indexes": key})), a_settings())
    assert line(lines, "UutData", "Uut_GUID").here == "Id"
    assert line(lines, "UutData", "UutGUID2").likeness is Likeness.ADDITIONAL
    assert possible_names(lines) == {}


@pytest.mark.parametrize(
    ("table", "column", "found", "stops"),
    [
        ("IndexData", "Result", "nvarchar", False),
        ("IndexData", "Timestamp", "nvarchar", True),
        ("IndexData", "TestTime", "float", False),
        ("Users", "Name", "int", False),
    ],
)
def test_another_type_says_what_becomes_of_the_runs(table, column, found, stops):
    difference = line(compare_schema(site(deployed(table, **{column: found})), a_settings()), table, column)
    assert (difference.likeness, difference.stops) == (Likeness.OTHER_TYPE, stops)
    assert difference.consequence


def test_another_key_and_additional_tables_and_columns_are_listed():
    keyless = deployed("UutData", Batch="nvarchar").model_copy(update={"indexes": ()})
    lines = compare_schema(site(keyless, DeployedTable(name="Audit", columns=())), a_settings())
    assert line(lines, "UutData").likeness is Likeness.OTHER_KEY
    assert line(lines, "UutData", "Batch").likeness is Likeness.ADDITIONAL
    assert line(lines, "Audit").likeness is Likeness.ADDITIONAL


def test_foreign_keys_are_compared_by_what_points_where():
    measured = with_keys(
        deployed("TestDataText"), (("index_guid",), "INDEXDATA"), (("TestName", "TestUnits"), "NamesOfTests")
    )
    lines = [line for line in compare_foreign_keys(site(measured), a_settings()) if line.table == "TestDataText"]
    assert [(line.columns, line.parent, line.likeness) for line in lines] == [
        (("Index_GUID",), "IndexData", Likeness.SAME),
        (("TestName", "TestUnits"), "NamesOfTests", Likeness.ADDITIONAL),
    ]


def test_a_documented_foreign_key_that_is_not_there_says_what_follows():
    lines = compare_foreign_keys([deployed("TestDataText")], a_settings())
    assert [(line.table, line.parent, line.likeness) for line in lines] == [
        ("TestDataText", "IndexData", Likeness.MISSING)
    ]
    assert "Rows may point to nothing" in lines[0].consequence


def test_foreign_keys_go_by_the_names_of_column_overrides():
    overrides = {
        "IndexData": {"table": "Runs", "columns": {"Index_GUID": "Run_GUID"}},
        "TestDataText": {"columns": {"Index_GUID": "Run"}},
    }
    measured = with_keys(deployed("TestDataText"), (("Run",), "runs"))
    (line,) = compare_foreign_keys([measured], a_settings(column_overrides=overrides))
    assert (line.columns, line.parent, line.likeness) == (("Index_GUID",), "IndexData", Likeness.SAME)
