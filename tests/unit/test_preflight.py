"""What the preflight makes of what it finds."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime

import pytest

from tests.unit.builders import GOOD_FACTS, a_settings, column_types
from vte_wats.config.settings import KEY_COLUMNS
from vte_wats.domain.errors import FatalError
from vte_wats.domain.source import Index, SourceIdentity
from vte_wats.preflight import Level, examine, examine_processes, report

log = logging.getLogger(__name__)


def found(facts=GOOD_FACTS, skew_s=0.2, gone=(), kinds=None, **answers):
    settings = a_settings(**answers)
    seen = {name: kind for name, kind in (column_types(settings) | (kinds or {})).items() if name not in gone}
    identity = SourceIdentity("PLANT-1", "VTE9_3", datetime(2020, 1, 1), seen)
    return [finding for finding in examine(identity, facts, skew_s, settings) if finding.level is not Level.GOOD]


def test_a_database_as_it_should_be_gives_good_news_alone():
    assert found() == []


@pytest.mark.parametrize(
    ("facts", "level", "text"),
    [
        ({"version": "10.50.6000.34"}, Level.WRONG, "SQL Server 2012"),
        ({"null_times": 3}, Level.ADVICE, "3 runs have no Timestamp"),
        ({"null_keys": 2}, Level.WRONG, "2 rows of IndexData have no Index_GUID"),
        (
            {"duplicate_units": 4, "doubled_unit": "6F9619FF-8B86-D011-B42D-00C04FC964FF"},
            Level.WRONG,
            "4 values of UutData.Uut_GUID, such as 6F9619FF-8B86-D011-B42D-00C04FC964FF, have several serials: each run",
        ),
        ({"may_write": True}, Level.ADVICE, "the login may write"),
        ({"encrypted": False}, Level.ADVICE, '"encryption": "require"'),
        ({"verifies_server": False}, Level.ADVICE, "any certificate is accepted"),
        ({"reads_snapshot": False}, Level.ADVICE, "short shared locks"),
    ],
)
def test_what_is_odd_about_the_server_is_reported(facts, level, text):
    (finding,) = found(replace(GOOD_FACTS, **facts))
    assert finding.level is level
    assert text in finding.text


def test_committed_row_versions_are_as_gentle_as_snapshots():
    assert found(replace(GOOD_FACTS, reads_snapshot=False, read_committed_snapshot=True)) == []


def test_a_missing_index_comes_with_the_statement_that_makes_it_under_the_names_of_the_site():
    override = {"IndexData": {"table": "Runs", "columns": {"Timestamp": "At"}}}
    keys = Index("Runs", "PK", ("index_guid",))  # SQL Server ignores the case of names
    facts = replace(GOOD_FACTS, indexes=(keys, *GOOD_FACTS.indexes[2:]))
    (finding,) = found(facts, kinds={"Runs.At": "datetime"}, column_overrides=override, source_schema="plant")
    assert finding.sql == "CREATE NONCLUSTERED INDEX [IX_Runs_At] ON [plant].[Runs] ([At], [Index_GUID]);"


def test_an_index_that_has_the_column_further_behind_does_not_help():
    facts = replace(
        GOOD_FACTS,
        indexes=(Index("IndexData", "IX", ("Result", "Timestamp")), GOOD_FACTS.indexes[0], *GOOD_FACTS.indexes[2:]),
    )
    (finding,) = found(facts)
    assert "IndexData starts with Timestamp" in finding.text


def test_snapshots_come_with_the_statement_that_allows_them():
    (finding,) = found(replace(GOOD_FACTS, reads_snapshot=False))
    assert finding.sql == "ALTER DATABASE [VTE9_3] SET ALLOW_SNAPSHOT_ISOLATION ON;"


@pytest.mark.parametrize("table", KEY_COLUMNS)
def test_a_column_that_is_gone_is_named_with_the_setting(table):
    column = f"{table}.{min(KEY_COLUMNS[table])}"
    (finding,) = found(gone={column})
    assert finding.level is Level.WRONG
    assert column in finding.text
    assert "column_overrides" in finding.text
    assert "null" not in finding.text


def test_a_column_that_can_be_done_without_may_be_null():
    (finding,) = found(gone={"IndexData.Info3"})
    assert "or null where there is none" in finding.text


@pytest.mark.parametrize(
    ("column", "kind", "level"),
    [
        ("IndexData.Timestamp", "datetimeoffset", Level.WRONG),
        ("IndexData.Timestamp", "nvarchar", Level.WRONG),
        ("IndexData.Timestamp", "datetime2", None),
        ("IndexData.TestplanRevision_GUID", "nvarchar", Level.ADVICE),
        ("IndexData.Index_GUID", "varbinary", Level.WRONG),
        ("IndexData.ExitCode", "nvarchar", Level.ADVICE),
        ("IndexData.Result", "datetime", Level.WRONG),
        ("IndexData.Result", "bit", Level.ADVICE),
        ("TestDataNumeric.TestResult", "decimal", None),
        ("TestDataNumeric.TestResult", "nvarchar", Level.ADVICE),
        ("TestDataNumeric.LowLimit", "uniqueidentifier", Level.WRONG),
        ("TestDataText.TestName", "varbinary", Level.WRONG),
        ("TestDataText.TestNumber", "int", None),
        ("TestDataOther.TestResult", "varbinary", None),
    ],
)
def test_a_column_of_another_type_is_reported_by_what_becomes_of_its_runs(column, kind, level):
    findings = found(kinds={column: kind})
    assert [finding.level for finding in findings] == ([] if level is None else [level])
    assert all(f"column {column} is {kind}; documented is " in finding.text for finding in findings)


@pytest.mark.parametrize("column", ["IndexData.Index_GUID", "TestDataText.Index_GUID", "TestSystems.Testsystem_GUID"])
def test_a_key_that_is_text_in_one_table_and_a_guid_in_another_is_wrong(column):
    (finding,) = found(kinds={column: "nvarchar"})
    assert finding.level is Level.WRONG
    assert finding.text.startswith(f"{column} hold text, ")
    assert "one value that is no GUID stops all that reads it" in finding.text


def test_a_key_that_is_text_wherever_it_stands_is_read():
    tables = ("IndexData", "TestDataNumeric", "TestDataText", "TestDataOther")
    findings = found(kinds={f"{table}.Index_GUID": "nvarchar" for table in tables})
    assert {finding.level for finding in findings} == {Level.ADVICE}
    assert len(findings) == len(tables)


def test_clocks_apart_are_wrong():
    (finding,) = found(skew_s=-61)
    assert finding.level is Level.WRONG
    assert "-61.0 s" in finding.text


def test_a_process_that_wats_does_not_have_is_named_with_its_test_plans():
    settings = a_settings(process_map={"Gain": 100, "RF *": 110, "RF 2": 110})
    good, wrong = examine_processes({100, 120}, settings)
    assert "knows 2 test operations" in good.text
    assert "code 110 for RF *, RF 2" in wrong.text


def test_the_report_is_a_line_per_finding_and_fails_only_for_what_is_wrong(caplog):
    caplog.set_level(logging.INFO)
    advice = found(replace(GOOD_FACTS, reads_snapshot=False))
    assert report(advice, log)["findings"][0]["sql"].startswith("ALTER DATABASE")
    assert "ADVICE reads under READ COMMITTED" in caplog.text
    with pytest.raises(FatalError, match=r"1 thing\(s\) are wrong:\n- SQL Server's clock"):
        report(found(skew_s=900), log)
