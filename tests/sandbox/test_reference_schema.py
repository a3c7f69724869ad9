"""The reference schema is what is documented of VTE 9.31.1, and says where it is not."""

import re

import pytest
import sqlglot
from sqlglot import exp

from tests.sandbox.in_memory_vte import SCHEMA, InMemoryVte, schema_tables

TEXT = SCHEMA.read_text(encoding="utf-8")

TABLES = {
    "Products", "Testplans", "TestplanRevisions", "TestSystems", "TestsystemComponents", "Users", "UserRegistrations",
    "ProductRegistrations", "RepairActionCodes", "RepairFailureCodes", "IndexData", "UutData", "UutHistory",
    "AssemblyData", "TestDataText", "TestDataNumeric", "TestDataOther", "RepairData", "RepairActions",
    "RepairSyndromes", "RepairSyndromeCauses",
}  # fmt: skip

_GUID, _TEXT = "uniqueidentifier", "nvarchar"
_MASTER_GUIDS = {
    "Product_GUID": _GUID, "Testplan_GUID": _GUID, "TestplanRevision_GUID": _GUID, "Testsystem_GUID": _GUID,
    "User_GUID": _GUID,
}  # fmt: skip
_STEP = {
    "Index_GUID": _GUID, "TestStepNumber": "int", "TestName": _TEXT, "TestDescription": _TEXT, "TestNumber": _TEXT,
    "TestUnits": _TEXT,
}  # fmt: skip
DOCUMENTED = {
    "IndexData": {
        "Index_GUID": _GUID, "Uut_GUID": _GUID, **_MASTER_GUIDS,
        "Timestamp": "datetime", "ExitCode": "int", "Result": "int", "TestTime": "real",
        "Hostname": _TEXT, "Site": _TEXT, "UserName": _TEXT, "ProductName": _TEXT, "TestplanName": _TEXT,
        "TestplanVariant": _TEXT, "TestplanRevision": _TEXT, "Info1": _TEXT, "Info2": _TEXT, "Info3": _TEXT,
    },
    "UutData": {"Uut_GUID": _GUID, "Serial": _TEXT, **_MASTER_GUIDS},
    "TestDataNumeric": {
        **_STEP, "TestResult": "float", "LowLimit": "float", "HighLimit": "float", "TestResultType": "int",
    },
    "TestDataText": {**_STEP, "TestResult": _TEXT, "TestResultType": "int"},
    "TestDataOther": {**_STEP, "TestResult": "varbinary", "TestResultType": "int"},
}  # fmt: skip
MASTERS = {
    "Products": ("Product_GUID", "Name"),
    "Testplans": ("Testplan_GUID", "Name"),
    "TestplanRevisions": ("TestplanRevision_GUID", "Revision"),
    "TestSystems": ("Testsystem_GUID", "Name"),
    "Users": ("User_GUID", "Name", "Password"),
}


def _bodies():
    return dict(
        re.findall(r"((?:-- \w+: [^\n]*\n)?CREATE TABLE \[dbo\]\.\[\w+\] \(.*?\n\);)()", TEXT, re.DOTALL)
    ).keys()


def _statements():
    for batch in re.split(r"^GO\s*$", TEXT, flags=re.MULTILINE):
        yield from (statement for statement in sqlglot.parse(batch, dialect="tsql") if statement is not None)


def test_the_schema_has_exactly_the_21_schema_tables():
    assert set(schema_tables(TEXT)) == TABLES


@pytest.mark.parametrize("table", DOCUMENTED)
def test_the_documented_columns_are_exact(table):
    columns = schema_tables(TEXT)[table]
    assert {name: kind.split("(")[0] for name, kind in columns.items()} == DOCUMENTED[table]


@pytest.mark.parametrize("table", MASTERS)
def test_master_tables_transfer_their_guid_and_their_name(table):
    assert schema_tables(TEXT)[table].keys() >= set(MASTERS[table])


def test_what_is_not_documented_is_labelled_as_reconstructed():
    assert len(_bodies()) == len(TABLES)
    for body in _bodies():
        table = re.search(r"CREATE TABLE \[dbo\]\.\[(\w+)\]", body)[1]
        for line in re.findall(r"^    \[.*$", body, re.MULTILINE):
            column = re.match(r"    \[(\w+)\]", line)[1]
            documented = column in DOCUMENTED.get(table, {}) or column in MASTERS.get(table, ())
            relation = " NOT NULL" not in line and column.endswith("_GUID")
            assert documented or relation or column == "Name" or line.endswith("-- reconstructed"), f"{table}.{column}"


def test_the_master_guids_have_the_names_that_runs_refer_to_them_by():
    keys = dict(
        re.findall(r"CREATE TABLE \[dbo\]\.\[(\w+)\] \(\n    \[(\w+)\] uniqueidentifier NOT NULL CONSTRAINT", TEXT)
    )
    assert {keys[table] for table in MASTERS} == set(_MASTER_GUIDS)


@pytest.mark.parametrize("table", ["TestDataNumeric", "TestDataText", "TestDataOther"])
def test_test_data_has_no_key_that_an_extraction_could_lean_on(table):
    body = re.search(rf"CREATE TABLE \[dbo\]\.\[{table}\] \((.*?)\n\);", TEXT, re.DOTALL)[1]
    assert not re.search(r"\b(PRIMARY|UNIQUE|IDENTITY|ROWVERSION)\b", body, re.IGNORECASE)
    store = InMemoryVte()
    row = {"Index_GUID": "0b80becc-cc50-4a06-b859-378ab9025f5c", "TestStepNumber": 1}
    store.insert_rows({table: [row, row]})
    assert store.value(f'SELECT count(*) FROM "{table}"') == 2


def test_every_statement_is_plain_ddl_inside_the_database_it_runs_in():
    kinds = [(type(statement), statement.args.get("kind")) for statement in _statements()]
    assert {kind for kind in kinds if kind[0] is exp.Create} == {(exp.Create, "TABLE"), (exp.Create, "INDEX")}
    assert {kind[0] for kind in kinds} == {exp.Create, exp.Alter}
    assert not re.search(r"^\s*(USE|DROP|CREATE (DATABASE|LOGIN|USER|SCHEMA))\b", TEXT, re.MULTILINE | re.IGNORECASE)


def test_foreign_keys_refer_to_the_keys_of_tables_in_the_schema():
    keys = re.findall(
        r"ALTER TABLE \[dbo\]\.\[(\w+)\] ADD CONSTRAINT \[(\w+)\]\s+"
        r"FOREIGN KEY \(\[(\w+)\]\) REFERENCES \[dbo\]\.\[(\w+)\] \(\[(\w+)\]\)",
        TEXT,
    )
    columns = schema_tables(TEXT)
    assert len({name for _, name, *_ in keys}) == len(keys) == TEXT.count("ALTER TABLE")
    for child, _, column, parent, key in keys:
        assert column in columns[child]
        assert f"[{key}] uniqueidentifier NOT NULL CONSTRAINT [PK_{parent}] PRIMARY KEY" in TEXT
    related = {(child, parent) for child, _, _, parent, _ in keys}
    assert {(child, "IndexData") for child in ("TestDataNumeric", "TestDataText", "TestDataOther")} <= related


def test_runs_are_indexed_by_their_timestamp():
    assert "ON [dbo].[IndexData] ([Timestamp]);" in TEXT
