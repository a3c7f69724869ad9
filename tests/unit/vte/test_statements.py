from __future__ import annotations

import re
from datetime import datetime, timedelta
from uuid import UUID

import pytest
import sqlglot
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp

from tests.unit.builders import a_settings, guid_of
from vte_wats.config.settings import KEY_COLUMNS, OPTIONAL_COLUMNS
from vte_wats.intervals.wall_clock import FIRST, LAST, LocalRange
from vte_wats.vte import rows
from vte_wats.vte.rows import RunRow, StepRow
from vte_wats.vte.statements import (
    SQL_FOLDER,
    among_guids,
    except_guids,
    in_ranges,
    names_runs,
    or_without_time,
    statement,
    statement_text,
    text_columns,
)

# Scripts, not statements: one prepares a connection, the other is run by an administrator with sqlcmd.
SCRIPTS = {"session_options", "grant_read_only"}
FILES = sorted(path.stem for path in SQL_FOLDER.glob("*.sql"))
READS = [name for name in FILES if name not in SCRIPTS]
SELECTS = {select.name: select for select in vars(rows).values() if isinstance(select, rows.Select)}
SYSTEM_SCHEMAS = {"sys", "INFORMATION_SCHEMA"}
DERIVED = {"Clock", "Seconds", "Runs", "Doubled", "Found", "Steps", "Sizes", "Contents"}
SYSTEM_ONLY = {
    "select_source_identity", "select_server_facts", "select_indexes", "select_schema_columns", "select_foreign_keys",
    "select_row_counts", "select_table_sizes", "select_schema_rights",
}  # fmt: skip
# What the survey fills in, for columns that no setting names.
NAMED = {
    "table": "[dbo].[UutData]",
    "column": "[Sampled].[c7]",
    "beside": "NULL",
    "value": "[Sampled].[c7]",
    "values": "%(value_0)s",
}
NOON = datetime(2026, 6, 1, 12)
AN_HOUR = LocalRange(NOON, NOON + timedelta(hours=1))

# Names of SQL Server 2014 and later that would be easy to reach for.
TOO_NEW = (
    "STRING_AGG", "STRING_SPLIT", "CONCAT_WS", "GENERATE_SERIES", "DATETRUNC", "TRIM(", "OPENJSON", "JSON_VALUE",
    "FOR JSON", "IF EXISTS", "OR ALTER", "AT TIME ZONE", "GREATEST", "LEAST", "APPROX_COUNT_DISTINCT", "DATE_BUCKET",
)  # fmt: skip


def conditions_of(name: str) -> dict[str, str]:
    ranges = in_ranges([AN_HOUR])[0]
    return {
        placeholder: NAMED.get(placeholder, ranges) for placeholder in re.findall(r"\{(\w+)\}", statement_text(name))
    }


def filled(name: str, **answers) -> str:
    return statement(name, a_settings(**answers), **conditions_of(name))


def parsed(name: str, **answers) -> exp.Expression:
    """Parse a statement as T-SQL, with its binds as the driver puts them in."""
    (tree,) = sqlglot.parse(re.sub(r"%\(\w+\)s", "'x'", filled(name, **answers)), dialect="tsql")
    return tree


@pytest.mark.parametrize("name", FILES)
def test_every_file_begins_with_what_it_gives_and_what_it_takes(name):
    lines = (SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    header = [line for line in lines if line.startswith("--")]
    assert lines[0].startswith("-- ")
    assert any(line.startswith("-- Binds: ") for line in header)
    if name in READS:
        assert any(line.startswith("-- Result: ") for line in header)


def test_every_statement_that_reads_has_its_row():
    assert sorted(SELECTS) == READS


@pytest.mark.parametrize("name", READS)
def test_a_row_has_the_columns_of_its_statement_and_the_header_of_the_file_names_them(name):
    fields = SELECTS[name].row_type._fields
    assert tuple(column.alias for column in parsed(name).selects) == fields
    lines = (SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8").splitlines()
    header = " ".join(line for line in lines if line.startswith("--"))
    result = header.partition("-- Result: ")[2].partition("-- Binds: ")[0]
    if "columns as below" not in result:
        assert [field for field in fields if not re.search(rf"\b{field}\b", result)] == []


def test_a_row_is_built_by_the_names_of_the_columns_in_whatever_order_they_come():
    select = rows.RUN_HOURS
    assert select.row_builder(["hour_local", "runs"])(("2026-06-01T12", 3)) == ("2026-06-01T12", 3)
    row = select.row_builder(["runs", "hour_local"])((3, "2026-06-01T12"))
    assert (row.hour_local, row.runs, type(row)) == ("2026-06-01T12", 3, rows.RunHourRow)


def test_a_row_whose_columns_are_not_all_there_is_an_error():
    with pytest.raises(ValueError, match="runs"):
        rows.RUN_HOURS.row_builder(["hour_local", "count"])


@pytest.mark.parametrize("name", READS)
def test_a_file_holds_one_statement_that_only_reads_in_a_stable_order(name):
    tree = parsed(name)
    assert isinstance(tree, exp.Select | exp.Union)
    assert tree.args.get("order") is not None
    assert not tree.find(exp.Star) or all(isinstance(s.parent, exp.Count) for s in tree.find_all(exp.Star))
    assert not list(tree.find_all(exp.Insert, exp.Update, exp.Delete, exp.Into, exp.Create, exp.Drop))


@pytest.mark.parametrize("name", FILES)
def test_no_file_reads_users_or_dirty_pages(name):
    text = statement_text(name).upper()
    for forbidden in ("[USERS]", "PASSWORD]", "NOLOCK", "READ UNCOMMITTED", "READUNCOMMITTED", "SELECT *", "OFFSET"):
        assert forbidden not in text


@pytest.mark.parametrize("name", FILES)
def test_no_file_needs_a_server_newer_than_2012(name):
    text = statement_text(name).upper()
    assert [word for word in TOO_NEW if word in text] == []


@pytest.mark.parametrize("name", READS)
def test_every_table_comes_from_the_sites_schema_and_every_column_names_its_table(name):
    tree = parsed(name, source_schema="plant")
    tables = [table for table in tree.find_all(exp.Table) if table.name]
    assert tables
    assert {table.db for table in tables} - SYSTEM_SCHEMAS == ({"plant"} if name not in SYSTEM_ONLY else set())
    known = {table.alias for table in tables} | DERIVED
    columns = [c for c in tree.find_all(exp.Column) if not c.find_ancestor(exp.Order)]
    assert all(column.table in known for column in columns)


@pytest.mark.parametrize("name", READS)
def test_timestamp_is_never_cast_in_a_condition(name):
    for where in parsed(name).find_all(exp.Where):
        assert [c for c in where.find_all(exp.Cast) if c.find(exp.Column)] == []


def test_session_gives_way_to_the_stations():
    text = statement_text("session_options")
    assert "SET DEADLOCK_PRIORITY LOW" in text
    assert "UNCOMMITTED" not in text
    assert "SET LOCK_TIMEOUT %(lock_timeout_ms)s" in text


@pytest.mark.parametrize("name", READS)
def test_past_locks_headers_alone_are_read_and_never_a_part_of_a_run(name):
    settings = a_settings(column_overrides={"IndexData": {"table": "Runs"}})
    text = statement(name, settings, past_locks=True, **conditions_of(name))
    assert text.count("[Runs] AS [IndexData] WITH (READPAST)") == text.count("READPAST") == text.count("[dbo].[Runs]")


def test_a_condition_names_runs_or_says_a_time():
    assert names_runs(among_guids([UUID(int=1)])[1])
    assert not names_runs(in_ranges([LocalRange(FIRST, LAST)])[1])
    assert not names_runs(in_ranges([])[1] | except_guids([UUID(int=1)])[1])


def test_a_site_as_documented_gets_the_statement_of_the_file():
    text = filled("select_runs")
    assert "FROM [dbo].[IndexData] AS [IndexData]" in text
    assert "CONVERT(nvarchar(4000), [UutData].[Serial])) AS [serial]" in text
    assert "{" not in text


def test_no_placeholder_is_left_open():
    assert [name for name in READS if re.search(r"\{\w+\}", filled(name))] == []


def test_another_table_name_is_used_and_its_columns_still_go_by_the_documented_one():
    text = filled("select_steps", column_overrides={"TestDataText": {"table": "TextResults"}})
    assert "INNER JOIN [dbo].[TextResults] AS [TestDataText]" in text
    assert "[dbo].[TestDataText]" not in text
    assert "[TestDataText].[TestName]" in text
    assert "[dbo].[TestDataNumeric]" in text


def test_another_schema_is_used_for_every_table():
    text = filled("select_steps", source_schema="vte owner")
    assert text.count("[vte owner].[") == 6
    assert "[dbo]" not in text


def test_another_column_name_is_used_everywhere_and_keeps_its_alias():
    overrides = {"IndexData": {"columns": {"Timestamp": "Time Stamp", "Info1": "Order"}}}
    text = filled("select_runs", column_overrides=overrides)
    assert "[IndexData].[Time Stamp] AS [timestamp_local]" in text
    assert "CONVERT(nvarchar(MAX), [IndexData].[Order])) AS [info1]" in text
    assert "[IndexData].[Time Stamp] >= CAST(%(from_0)s AS datetime)" in text
    assert "ORDER BY [IndexData].[Time Stamp], [IndexData].[Index_GUID]" in text
    assert "[IndexData].[Timestamp]" not in text


def test_a_column_of_one_table_is_not_renamed_in_another():
    text = filled("select_steps", column_overrides={"TestDataText": {"columns": {"TestName": "Name"}}})
    assert "[TestDataText].[Name]" in text
    assert "[TestDataNumeric].[TestName]" in text


def test_a_column_the_site_does_not_have_reads_as_null():
    missing = {"IndexData": {"columns": {"Info3": None}}, "TestDataText": {"columns": {"TestNumber": None}}}
    assert "CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), NULL)) AS [info3]" in filled(
        "select_runs", column_overrides=missing
    )
    text = filled("select_steps", column_overrides=missing)
    assert "[TestDataText].[TestNumber]" not in text
    assert parsed("select_steps", column_overrides=missing).selects


names = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FFF, exclude_characters="%"), min_size=1, max_size=30
).filter(str.strip)
attacks = st.sampled_from(
    [
        "]; DROP TABLE [IndexData]; --",
        "a]]b",
        "]",
        "' OR 1=1 --",
        "x] FROM [Users",
        "[dbo].[Users]",
        "{selection}",
        "\\1",
    ]
)


@given(names | attacks, names | attacks, names | attacks)
def test_a_name_is_never_more_than_a_name(schema, table, column):
    text = statement(
        "select_runs",
        a_settings(
            source_schema=schema, column_overrides={"IndexData": {"table": table, "columns": {"Result": column}}}
        ),
        selection="1 = 1",
    )
    quoted = {name: "[" + name.replace("]", "]]") + "]" for name in (schema, table, column)}
    assert f"FROM {quoted[schema]}.{quoted[table]} AS [IndexData]" in text
    assert f"[IndexData].{quoted[column]} AS [result_code]" in text


@pytest.mark.parametrize("attack", ["]; DROP TABLE [IndexData]; --", "a]]b", "x] FROM [Users", "' OR 1=1 --"])
def test_an_attack_in_a_name_parses_as_that_name(attack):
    tree = parsed("select_runs", column_overrides={"IndexData": {"table": attack, "columns": {"Result": attack}}})
    assert attack in {table.name for table in tree.find_all(exp.Table)}
    assert attack in {column.name for column in tree.find_all(exp.Column)}
    assert "Users" not in {table.name for table in tree.find_all(exp.Table)}


def test_ranges_are_half_open_and_bound_as_iso_text_with_t():
    condition, binds = in_ranges([AN_HOUR, LocalRange(NOON + timedelta(days=1), NOON + timedelta(days=1, seconds=1))])
    column = "[IndexData].[Timestamp]"
    assert condition == (
        f"(({column} >= CAST(%(from_0)s AS datetime) AND {column} < CAST(%(to_0)s AS datetime)) OR "
        f"({column} >= CAST(%(from_1)s AS datetime) AND {column} < CAST(%(to_1)s AS datetime)))"
    )
    assert binds == {
        "from_0": "2026-06-01T12:00:00",
        "to_0": "2026-06-01T13:00:00",
        "from_1": "2026-06-02T12:00:00",
        "to_1": "2026-06-02T12:00:01",
    }


@pytest.mark.parametrize(
    ("part", "selected"),
    [
        (LocalRange(FIRST, NOON), "(([IndexData].[Timestamp] < CAST(%(to_0)s AS datetime)))"),
        (LocalRange(NOON, LAST), "(([IndexData].[Timestamp] >= CAST(%(from_0)s AS datetime)))"),
        (LocalRange(FIRST, LAST), "(([IndexData].[Timestamp] IS NOT NULL))"),
    ],
    ids=["no beginning", "no end", "all"],
)
def test_a_range_without_beginning_or_end_has_no_edge_there(part, selected):
    condition, binds = in_ranges([part])
    assert condition == selected
    assert set(binds) == set(re.findall(r"%\((\w+)\)s", condition))
    assert or_without_time(condition) == f"({selected} OR [IndexData].[Timestamp] IS NULL)"


def test_no_ranges_select_no_runs():
    condition, binds = in_ranges([])
    assert (condition, binds) == ("1 = 0", {})
    assert sqlglot.parse_one(statement("select_run_times", a_settings(), ranges=condition), dialect="tsql")


def test_a_text_is_sent_as_its_units_and_anything_else_as_it_is():
    assert text_columns("select_runs")["serial"] == {"UutData.Serial"}
    assert text_columns("select_steps")["test_name"] == {
        f"TestData{kind}.TestName" for kind in ("Numeric", "Text", "Other")
    }
    text = statement("select_steps", a_settings(), as_they_are=["other_value"], selection="1 = 1")
    assert "    [Steps].[other_value] AS [other_value]," in text
    assert "CONVERT(varbinary(MAX), CONVERT(nvarchar(MAX), [Steps].[units])) AS [units]" in text


def test_every_text_of_a_row_is_sent_as_its_units():
    """A text that FreeTDS converts may be cut, altered or end the connection."""
    texts = {"select_runs": RunRow, "select_steps": StepRow, "select_day_counts": rows.DayCountRow}
    for name, row in texts.items():
        declared = {field for field, kind in row.__annotations__.items() if kind == "str | None"}
        assert declared - text_columns(name).keys() == set()


def test_half_a_surrogate_pair_becomes_the_replacement_character():
    build = rows.DAY_COUNTS.row_builder(["product_name", "result_code", "runs"], {"product_name"})
    assert build(("PSU \ud83d".encode("utf-16-le", "surrogatepass"), 1, 3)) == ("PSU \ufffd", 1, 3)
    assert build((None, 1, 3)) == (None, 1, 3)


def test_runs_are_left_out_by_their_guids():
    assert except_guids([]) == ("", {})
    condition, binds = except_guids([guid_of(1)])
    assert condition == " AND [IndexData].[Index_GUID] NOT IN (%(without_0)s)"
    assert binds == {"without_0": "00000000-0000-0000-0000-000000000001"}


def test_guids_are_bound_one_by_one():
    condition, binds = among_guids([guid_of(1), UUID("5C0A9A3E-3B1F-4B7B-9B64-0D0F3A0C2E11")])
    assert condition == "[IndexData].[Index_GUID] IN (%(guid_0)s, %(guid_1)s)"
    assert binds == {
        "guid_0": "00000000-0000-0000-0000-000000000001",
        "guid_1": "5c0a9a3e-3b1f-4b7b-9b64-0d0f3a0c2e11",
    }


def test_the_columns_a_site_may_override_are_exactly_those_the_statements_read():
    pairs = {
        pair
        for name in READS
        if name not in SYSTEM_ONLY
        for pair in re.findall(r"\[(\w+)\]\.\[(\w+)\]", statement_text(name))
        if pair[0] not in {"dbo", "Databases", "Columns", "sys", "INFORMATION_SCHEMA"} | DERIVED
    }
    overridable = {(table, column) for table in KEY_COLUMNS for column in KEY_COLUMNS[table] | OPTIONAL_COLUMNS[table]}
    assert pairs == overridable
