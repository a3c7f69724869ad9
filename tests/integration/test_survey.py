"""The survey on the emulated server: what it sees of a schema and of a factory, and what it proposes."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.variable import Variable
from airflow.providers.microsoft.mssql.hooks.mssql import MsSqlHook
from upath import UPath

from sandbox.environment import SandboxEnvironment
from sandbox.factory_data.factory import FactoryData
from sandbox.factory_data.products import PROCESS_MAP
from sandbox.factory_data.runs import ERROR, FAILED, PASSED, TERMINATED
from sandbox.sqlserver.database import Database
from sandbox.sqlserver.faults import Fault
from sandbox.sqlserver.server import Login, SqlServer
from sandbox.vte.vte_database import NAME, SCHEMA, open_database
from sandbox.wats.report_store import DEFAULT_PROCESSES
from tests.integration.conftest import hook_to
from tests.integration.renamed_plant import Names, RenamedPlant
from tests.unit.builders import a_settings
from vte_wats.config.settings import Settings, parse_settings
from vte_wats.domain.report import Refusal, Report
from vte_wats.domain.run import DeadLetterKind, VteTestRun
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.storage.staging import Staging
from vte_wats.survey.results import Survey, SurveyContext, SurveyRequest, odd_times, take_survey
from vte_wats.survey.schema import Likeness, compare_schema, documented_schema
from vte_wats.survey.settling import StepDelayProbe
from vte_wats.survey.survey_documents import render
from vte_wats.sync.extract import extract
from vte_wats.sync.map_runs import map_runs, report_or_refusal
from vte_wats.sync.plan import plan
from vte_wats.sync.staged_reports import staged_mappings
from vte_wats.vte.reader import VteSource

# A login of a real server sees the tables alone that it may read.
emulated_alone = pytest.mark.parametrize("served", ["emulated"], indirect=True)


@emulated_alone
def test_the_reference_schema_is_read_with_keys_relations_indexes_and_row_counts(hook, served, add_run):
    settings = a_settings()
    add_run(datetime(2026, 3, 2, 12), numeric=[{"TestStepNumber": 1, "TestResult": 1.0}] * 3)
    with VteSource(settings, hook) as source:
        tables = {table.name: table for table in source.schema()}
    assert set(tables) == set(documented_schema())
    assert (tables["IndexData"].rows, tables["TestDataNumeric"].rows, tables["Users"].rows) == (1, 3, 0)
    assert tables["IndexData"].key == ("Index_GUID",)
    relations = {key.columns: key.parent for key in tables["IndexData"].foreign_keys}
    assert relations[("Uut_GUID",)] == "UutData"
    for name, documented in documented_schema().items():
        found = {key.columns[0]: key.parent for key in tables[name].foreign_keys}
        assert documented.references.items() <= found.items()
    differences = [line for line in compare_schema(list(tables.values()), settings) if line.is_read]
    assert {line.likeness for line in differences} == {Likeness.SAME}


@emulated_alone
def test_sizes_are_the_pages_of_rows_and_of_other_indexes(hook, served, add_run):
    with VteSource(a_settings(), hook) as source:
        before = {table.name: table for table in source.schema()}
        for n in range(40):
            steps = [{"TestStepNumber": step, "TestResult": 1.0} for step in range(50)]
            add_run(datetime(2026, 3, 2, 12, n), numeric=steps)
        after = {table.name: table for table in source.schema()}
    assert (before["TestDataNumeric"].data_bytes, before["TestDataNumeric"].size_bytes) == (0, 0)
    assert after["TestDataNumeric"].data_bytes > 40 * 50 * 16
    assert after["TestDataNumeric"].data_bytes % 8_192 == 0
    assert 0 < after["TestDataNumeric"].index_bytes < after["TestDataNumeric"].data_bytes
    assert after["Users"].data_bytes == 0


# A factory with every oddity, all of it sampled


REQUEST = SurveyRequest(days=30, sample_runs=5_000, kept_runs=100)


@pytest.fixture(scope="module")
def plant():
    plant = SandboxEnvironment()
    now = datetime.now(UTC)
    plant.factory_data.load(plant.db, start=now - timedelta(days=10), end=now, runs=1_200, oddities=True)
    plant.factory_data.load(plant.db, start=now - timedelta(hours=1), end=now, runs=120)
    with plant:
        yield plant


def survey_context(plant: SandboxEnvironment, **settings: object) -> SurveyContext:
    """Return what is known beside VTE: every process of the emulated WATS, and these settings, if any."""
    return SurveyContext(
        variable="vte_wats",
        settings_text=json.dumps(settings) if settings else None,
        measured_at=datetime.now(UTC),
        package_version="0",
        processes={process.code: process.name for process in DEFAULT_PROCESSES if process.is_test},
    )


def surveyed(plant: SandboxEnvironment, **settings: object) -> tuple[Survey, list[VteTestRun]]:
    known = survey_context(plant, **settings)
    with VteSource(known.settings(), hook_to(plant.connections["vte_default"])) as source:
        return take_survey(source, REQUEST, known)


@pytest.fixture(scope="module")
def first_day(plant):
    """The survey without any setting, as on the first day at a site."""
    return surveyed(plant)


def values(survey: Survey) -> dict[str, object]:
    return {answer.setting: answer.value for answer in survey.proposal.answers}


def test_every_run_is_counted_once_and_each_kind_of_code_is_in_the_sample(plant, first_day):
    survey, _ = first_day
    in_range = plant.db.query(
        'SELECT count(*), count(DISTINCT "Result") FROM "IndexData" WHERE "Timestamp" >= '
        f"TIMESTAMP '{survey.counted_from_local}' AND \"Timestamp\" <= TIMESTAMP '{survey.newest_local}'"
    )
    by_month = next(distribution for distribution in survey.distributions if distribution.of == "month").runs
    assert survey.counted_runs == sum(sum(codes.values()) for codes in by_month.values())
    documented = sum(len(table.references) for table in documented_schema().values())
    assert [key.likeness for key in survey.foreign_keys].count(Likeness.SAME) == documented
    assert Likeness.MISSING not in {key.likeness for key in survey.foreign_keys}
    assert survey.counted_runs <= in_range[0][0]
    assert {month.month: month.runs for month in survey.growth} == {
        m: sum(runs.values()) for m, runs in by_month.items()
    }
    assert all(month.rows > month.runs and month.size_bytes > 8_192 for month in survey.growth)
    assert survey.counted_runs > 1_300
    assert {code.code for code in survey.findings.run_codes} >= {0, 1, 2, 3, 7, None}


def test_the_yield_is_of_all_runs_whose_code_is_known(plant, first_day):
    survey, _ = first_day
    by_station = next(distribution for distribution in survey.distributions if distribution.of == "station")
    assert len(by_station.yields) > 1
    for station, share in by_station.yields.items():
        ((passed, known),) = plant.db.query(
            'SELECT count(*) FILTER (WHERE "Result" = 1), count(*) FILTER (WHERE "Result" IN (0, 1)) FROM "IndexData" '
            'JOIN "TestSystems" USING ("Testsystem_GUID") WHERE "Name" = ? AND "Timestamp" >= ? AND "Timestamp" <= ?',
            [station, survey.counted_from_local, survey.newest_local],
        )
        assert share == passed / known


def test_the_first_pass_yield_is_of_the_first_run_of_each_unit_under_a_test_plan_within_a_month(plant, first_day):
    survey, _ = first_day
    by_testplan = next(distribution for distribution in survey.distributions if distribution.of == "test plan")
    first = plant.db.query(
        'WITH "First" AS (SELECT *, row_number() OVER (PARTITION BY "Uut_GUID", "Testplan_GUID", '
        'date_trunc(\'month\', "Timestamp") ORDER BY "Timestamp", "Index_GUID") AS attempt FROM "IndexData" '
        'WHERE "Timestamp" >= ? AND "Timestamp" <= ?) '
        'SELECT "TestplanName", count(*) FILTER (WHERE "Result" = 1), count(*) FILTER (WHERE "Result" IN (0, 1)), '
        'count(*) FROM "First" WHERE attempt = 1 AND "Uut_GUID" IS NOT NULL GROUP BY ALL',
        [survey.counted_from_local, survey.newest_local],
    )
    for testplan, passed, known, runs in first:
        if testplan in by_testplan.first_pass_yields:
            assert sum(by_testplan.first_runs[testplan].values()) == runs
            assert by_testplan.first_pass_yields[testplan] == passed / known
    assert by_testplan.first_pass_yields.keys() >= {"PSU Burn In"}
    assert by_testplan.first_pass_yields != by_testplan.yields
    rows = list(csv.DictReader(render(survey, []).yields_csv.splitlines()))
    assert {row["by"] for row in rows} == {"month", "product", "test plan", "station"}


# The truth is what the factory was made with, never a default of the product.
CODES = {str(PASSED): "Passed", str(FAILED): "Failed"}
ASKED_CODES = {str(ERROR): "Error", str(TERMINATED): "Terminated"}


def markers_in(db: Database) -> set[float]:
    sides = " UNION ".join(f'SELECT "{side}" AS edge FROM "TestDataNumeric"' for side in ("LowLimit", "HighLimit"))
    return {edge for (edge,) in db.query(f"SELECT edge FROM ({sides}) WHERE abs(edge) > 1e30")}


def test_the_proposal_is_the_truth_as_far_as_data_shows_it(plant, first_day):
    survey, _ = first_day
    found = values(survey)
    assert any(plant.factory_data.timezone in family for family in survey.clocks.zones)
    assert found["source_timezone"] is None
    assert found["result_codes"] == found["step_result_codes"] == CODES
    assert found["process_map"] == {
        "PSU Burn In": PROCESS_MAP["PSU Burn In"],
        "RF Module Calibration": PROCESS_MAP["*Calibration"],
    }
    assert markers_in(plant.db) == set(found["no_limit_values"])
    asked = {question.setting for question in survey.proposal.questions}
    assert {"source_timezone", "process_map", "result_codes", "timestamp_marks"} <= asked


def test_with_the_questions_answered_the_proposal_syncs_as_the_true_settings_do(plant, tmp_path):
    answers = {
        "source_timezone": plant.factory_data.timezone,
        "process_map": PROCESS_MAP,
        "result_codes": ASKED_CODES,
        "timestamp_marks": "end",
    }
    survey, runs = surveyed(plant, **answers)
    assert survey.proposal.mistakes == ""
    assert survey.clocks.impossible == {}
    true = a_settings(**answers | {"result_codes": CODES | ASKED_CODES, "step_result_codes": CODES})
    proposed = parse_settings(json.dumps(survey.proposal.settings))
    for run in runs:
        assert report_or_refusal(run, proposed, None) == report_or_refusal(run, true, None)
    assert {line.outcome for line in survey.trial.lines} == {"report", "dead", "held"}
    now = datetime.now(UTC).replace(microsecond=0)
    everything = Interval(now - timedelta(days=11), now - timedelta(minutes=5))
    by_proposed, by_true = (list(mapped(plant, settings, everything, tmp_path)) for settings in (proposed, true))
    assert by_proposed == by_true
    assert Counter(type(found).__name__ for found in by_true)["Report"] > 1_000
    assert {found.kind for found in by_true if isinstance(found, Refusal)} == set(DeadLetterKind)


def mapped(
    plant: SandboxEnvironment, settings: Settings, everything: Interval, folder: Path
) -> Iterator[Report | Refusal]:
    """Yield the report or the dead letter of every run of the plant, as plan, extract and map_runs of a sync make it."""
    with VteSource(settings, hook_to(plant.connections["vte_default"])) as source:
        for part in plan(source, settings, everything).slices:
            staging = Staging(UPath(folder) / part.name)
            extract(source, staging, part, settings)
            map_runs(staging, settings)
            yield from staged_mappings(staging)


def test_a_factory_that_differs_from_every_default_gets_what_is_true_there():
    other, now = SandboxEnvironment(), datetime.now(UTC)
    other.factory_data.load(other.db, start=now - timedelta(days=2), end=now, runs=3_000)
    other.db.run_script("UPDATE [dbo].[IndexData] SET [Result] = 1 - [Result] WHERE [Result] IN (0, 1)")
    for kind in ("Numeric", "Text", "Other"):
        table = f"[dbo].[TestData{kind}]"
        other.db.run_script(f"UPDATE {table} SET [TestResultType] = 8 - [TestResultType] WHERE [TestResultType] < 2")
    other.db.run_script("UPDATE [dbo].[TestDataNumeric] SET [HighLimit] = 3.4e38 WHERE [TestStepNumber] % 5 = 0")
    with other:
        found = values(surveyed(other)[0])
    assert found["result_codes"] == {str(1 - PASSED): "Passed", str(1 - FAILED): "Failed"}
    assert found["step_result_codes"] == {str(8 - PASSED): "Passed", str(8 - FAILED): "Failed"}
    assert markers_in(other.db) == {3.4e38} <= set(found["no_limit_values"])


def test_a_zone_that_is_set_wrongly_is_asked_about(plant):
    survey, _ = surveyed(plant, **plant.settings(source_timezone="America/New_York"))
    (question,) = [question for question in survey.proposal.questions if question.setting == "source_timezone"]
    assert "America/New_York is set, but its clocks differ" in question.question


def test_odd_runs_are_among_those_kept_and_each_issue_says_what_happens(first_day):
    survey, runs = first_day
    assert len(runs) == 100
    issues = {issue.what: issue for issue in survey.findings.issues}
    assert "same serial, product, test plan and time as another run" in issues
    assert "a LowLimit above its HighLimit" in issues
    assert all(issue.consequence and issue.examples for issue in survey.issues)
    assert set(survey.findings.contents) >= {"image/png", "text", "empty", "NULL", "application/octet-stream"}
    serial = next(column for column in survey.findings.columns if column.column == "UutData.Serial")
    assert (serial.nulls, serial.blanks) == (1, 2)


def test_what_mapping_refuses_or_holds_is_counted_over_every_run_that_was_read(plant, first_day):
    survey, _ = first_day
    issues = {issue.what: issue for issue in survey.trial.issues}
    every = dict(
        plant.db.query(
            'SELECT coalesce("TestplanName", "Name"), count(*) FROM "IndexData" LEFT JOIN "Testplans" USING '
            '("Testplan_GUID") WHERE "Timestamp" >= ? AND "Timestamp" <= ? GROUP BY ALL',
            [survey.counted_from_local, survey.newest_local],
        )
    )
    assert issues["unmapped test plan 'PSU Board Test'"].seen == every["PSU Board Test"]
    assert "unmapped test plan 'PSU Burn In'" not in issues  # a process of it is proposed
    assert (issues["serial is blank"].seen, issues["serial is longer than 100 characters"].seen) == (3, 1)
    assert issues["unlisted result code 7"].consequence == "Held until a setting says more."
    assert len(issues["unmapped test plan 'PSU Board Test'"].examples) == 5


def test_runs_of_wrong_clocks_are_counted_wherever_they_lie(plant, first_day):
    survey, _ = first_day
    issues = {issue.what: issue for issue in survey.trial.issues}
    reset = issues["dated before 2002: a clock that was reset"]
    assert (reset.seen, reset.examples) == (2, ("1970-01-01 00:00 (1)", "2000-01-01 00:00 (1)"))
    assert reset.consequence == "The daily comparison uploads them as they are dated (odd_timestamps)."
    ahead = issues["dated more than a day ahead of the server's clock"]
    assert (ahead.seen, len(ahead.examples)) == (1, 1)
    held = a_settings(odd_timestamps="hold")
    with VteSource(held, hook_to(plant.connections["vte_default"])) as source:
        follows = [issue.consequence for issue in odd_times(source, source.time_bounds(), held)]
    assert follows == ["They wait as held runs (odd_timestamps).", ahead.consequence]


def test_the_documents_need_nothing_else_and_hold_no_password(first_day, plant):
    survey, runs = first_day
    documents = render(survey, runs)
    loaded = re.findall(r'(?:src|href)="(?!#)[^"]*"|url\((?!#)[^)]*\)|<script', documents.html)
    assert loaded == []
    assert documents.html.count("<svg") == 8
    assert Survey.model_validate_json(documents.json) == survey
    assert len(list(csv.reader(documents.runs_csv.splitlines()))) == 101
    assert "never-to-be-read" not in "".join(documents.files().values())
    assert documents.diagram.startswith("erDiagram")
    assert "UutData ||--o{ IndexData : Uut_GUID" in documents.diagram


def test_a_schema_that_cannot_be_read_is_surveyed_and_says_what_stops_it(served, hook):
    served.store.run_script("ALTER TABLE [dbo].[UutData] DROP COLUMN [Serial]")
    served.store.run_script("ALTER TABLE [dbo].[UutData] ADD [Serial_No] nvarchar(100) NULL")
    known = SurveyContext(
        variable="vte_wats", settings_text=None, measured_at=datetime.now(UTC), package_version="0", processes=None
    )
    with VteSource(known.settings(), hook) as source:
        survey, runs = take_survey(source, REQUEST, known)
    assert (runs, survey.findings) == ([], None)
    assert "UutData.Serial" in survey.stopped
    assert '{"UutData": {"columns": {"Serial": "Serial_No"}}}' in str(survey.proposal.questions)
    assert "UutData.Serial" in render(survey, runs).html


# Columns of names that say nothing

SHOWN_BY_CONTENT = {
    "IndexData": {
        "Index_GUID": "c1", "Uut_GUID": "c2", "Product_GUID": "c3", "Testplan_GUID": "c4", "Testsystem_GUID": "c5",
        "TestplanRevision_GUID": "c6", "Result": "c7", "Timestamp": "Feld3", "TestTime": "Feld4", "ProductName": "x",
        "TestplanName": "y", "TestplanRevision": "z", "Hostname": "w",
    },
    "UutData": {"Uut_GUID": "c1", "Serial": "c2"},
    "Testplans": {"Testplan_GUID": "k"},
    "TestDataNumeric": {
        "Index_GUID": "c1", "TestStepNumber": "c2", "TestName": "c3", "TestNumber": "c5", "TestUnits": "c6",
        "TestResult": "c7", "LowLimit": "c8", "HighLimit": "c9",
    },
    "TestDataText": {"Index_GUID": "c1", "TestStepNumber": "c2"},
    "TestDataOther": {"TestResult": "Inhalt"},
}  # fmt: skip
NOT_DOCUMENTED = {"IndexData": "[Erfasst] datetime NULL,\n    [Los] int NULL,\n    [Ofen] real NULL"}
DAY = {"start": datetime(2026, 3, 2, tzinfo=UTC), "end": datetime(2026, 3, 4, tzinfo=UTC), "runs": 600}


@contextmanager
def renamed(names: Names, additional: Mapping[str, str]) -> Iterator[tuple[SqlServer, MsSqlHook]]:
    """A plant with other names, and values in what is not documented: one date, numbers of lots, degrees below zero."""
    plant = RenamedPlant(names, additional)
    plant.load(**DAY)
    if additional:
        plant.db.run_script(
            "UPDATE [dbo].[IndexData] SET [Erfasst] = CAST('2026-03-02T00:00:00' AS datetime), [Los] = 4711, [Ofen] = -1.5"
        )
    with SqlServer(plant.db, logins=[Login("reader", "read-alone")]) as server:
        fields = {"conn_type": "mssql", "host": server.host, "port": server.port, "schema": NAME}
        yield server, hook_to(fields | {"login": "reader", "password": "read-alone"})


def surveyed_through(hook: MsSqlHook, **settings: object) -> tuple[Survey, list[VteTestRun]]:
    known = SurveyContext(
        variable="vte_wats",
        settings_text=json.dumps(settings) if settings else None,
        measured_at=datetime.now(UTC),
        package_version="0",
    )
    with VteSource(known.settings(), hook) as source:
        return take_survey(source, REQUEST, known)


def offered(survey: Survey) -> dict[str, dict[str, object]]:
    """Return the ``column_overrides`` that a question of the survey offers."""
    texts = [question.question for question in survey.proposal.questions if question.setting == "column_overrides"]
    (text,) = [text for text in texts if "set column_overrides to" in text]
    return json.loads(text.partition("set column_overrides to ")[2])


def runs_of(hook: MsSqlHook, **settings: object) -> list[VteTestRun]:
    with VteSource(a_settings(**settings), hook) as source:
        return list(source.runs_between([LocalRange(datetime(2026, 3, 2), datetime(2026, 3, 4))]))


def test_columns_of_other_names_are_found_by_what_they_hold_and_a_sync_reads_every_run_by_them():
    with renamed({}, {}) as (_, documented):
        true = runs_of(documented)
    with renamed(SHOWN_BY_CONTENT, NOT_DOCUMENTED) as (server, hook):
        survey, _ = surveyed_through(hook)
        overrides = offered(survey)
        assert overrides == {table: {"columns": names} for table, names in SHOWN_BY_CONTENT.items()}
        assert [line for line in survey.comparison if line.candidates] == []
        assert "% fit: a few codes" in render(survey, []).html
        looks = [entry.sql for entry in server.log if "[Sampled]" in entry.sql]
        assert looks
        assert not [sql for sql in looks if "Users" in sql or "SELECT *" in sql]
        assert runs_of(hook, column_overrides=overrides) == true
        answered = {"source_timezone": "UTC", "process_map": {"*": 100}, "column_overrides": overrides}
        again, kept = surveyed_through(hook, **answered)
    assert (again.stopped, len(kept), len(true)) == ("", 100, 600)
    assert again.trial.counts["report"] > 0


def test_of_two_columns_that_fit_neither_is_guessed_and_both_are_asked():
    names = {"IndexData": {"Result": "c7", "ExitCode": "c8", "TestTime": "Feld4", "Site": "c9"}}
    with renamed(names, {}) as (_, hook):
        survey, _ = surveyed_through(hook)
    assert offered(survey) == {"IndexData": {"columns": {"TestTime": "Feld4", "Site": "c9"}}}
    asked = {
        question.question.split()[3]: question.candidates
        for question in survey.proposal.questions
        if question.candidates
    }
    assert [candidate.split(":")[0] for candidate in asked["IndexData.Result"]] == ["c8", "c7"]
    assert all(
        "600 rows read" in candidate and "% fit: a few codes" in candidate for candidate in asked["IndexData.Result"]
    )
    assert asked["IndexData.ExitCode"] == ("c8", "c7")
    assert "IndexData.Result" in survey.stopped


def test_content_that_the_login_may_not_read_is_asked_as_before(caplog):
    with renamed({"IndexData": {"Result": "c7"}}, {}) as (server, hook):
        server.faults.add(Fault("error", number=230, match=r"\[Sampled\]"))
        survey, _ = surveyed_through(hook)
    (question,) = [question for question in survey.proposal.questions if question.setting == "column_overrides"]
    assert question.candidates == ("c7: it cannot be read",)
    assert "VW210" in caplog.text


# Estimated plans

UNINDEXED = {
    "IndexData": "CREATE INDEX [IX_IndexData_Timestamp] ON [dbo].[IndexData] ([Timestamp]);",
    "TestDataText": "CREATE INDEX [IX_TestDataText_Index_GUID] ON [dbo].[TestDataText] ([Index_GUID]);",
}


@pytest.fixture(scope="module")
def unindexed():
    """A server of a small plant without two of its indexes, with a login that may see plans."""
    schema = SCHEMA.read_text(encoding="utf-8")
    for statement in UNINDEXED.values():
        assert statement in schema
        schema = schema.replace(statement, "")
    database, now = open_database(schema=schema), datetime.now(UTC)
    FactoryData(seed=7, timezone="UTC").load(database, start=now - timedelta(hours=2), end=now, runs=20)
    logins = [Login("planner", "see-the-plans", may_showplan=True), Login("reader", "see-no-plans")]
    with SqlServer(database, logins=logins) as server:
        yield server


def surveyed_as(server: SqlServer, login: str, password: str) -> Survey:
    known = SurveyContext(variable="vte_wats", settings_text=None, measured_at=datetime.now(UTC), package_version="0")
    fields = {"conn_type": "mssql", "host": server.host, "port": server.port, "schema": NAME}
    with VteSource(known.settings(), hook_to(fields | {"login": login, "password": password})) as source:
        return take_survey(source, REQUEST, known)[0]


def test_plans_show_which_tables_every_statement_reads_as_a_whole(unindexed):
    survey = surveyed_as(unindexed, "planner", "see-the-plans")
    plans = {plan.statement: plan for plan in survey.plans.statements}
    assert survey.plans.unavailable == ""
    assert len(plans) == 10
    assert all(plan.cost and not plan.unreadable for plan in plans.values())
    assert plans["select_runs by time"].scanned == ("IndexData",)
    assert plans["select_steps by time"].scanned == ("IndexData", "TestDataText")
    assert plans["select_steps by GUID"].scanned == ("TestDataText",)
    assert "IndexData.PK_IndexData" in plans["select_runs by GUID"].indexes
    advised = [advice for advice in survey.advice if "the server itself misses" in advice]
    assert ["on IndexData" in advice for advice in advised] == [True, False]
    assert "[dbo].[TestDataText] ([Index_GUID])" in advised[1]


def test_no_planned_statement_runs_and_the_survey_reads_over_its_own_connection(unindexed):
    unindexed.log.clear()
    survey = surveyed_as(unindexed, "planner", "see-the-plans")
    requests = [entry for entry in unindexed.log if entry.sql]
    start = next(n for n, entry in enumerate(requests) if entry.sql == "SET SHOWPLAN_XML ON")
    planned = requests[start + 1 : start + 11]
    assert [entry.rows for entry in planned] == [1] * 10
    assert any("SET LOCK_TIMEOUT" in entry.sql for entry in requests[:start])
    assert survey.findings.runs == 20


def test_without_the_right_the_survey_says_so_and_shows_the_preflights_look_at_indexes(unindexed):
    survey = surveyed_as(unindexed, "reader", "see-no-plans")
    assert survey.plans.statements == ()
    assert "VW565" in survey.plans.unavailable
    assert "SQL error 262" in survey.plans.unavailable
    assert sum(finding.startswith("ADVICE no index on") for finding in survey.indexes) == 2
    assert sum(finding.startswith("GOOD") for finding in survey.indexes) == 4
    assert survey.findings.runs == 20
    shown = render(survey, []).html
    assert "The server did not show them" in shown
    assert "no index on IndexData starts with Timestamp" in shown


def test_plans_that_are_lost_with_their_connection_stop_no_survey(unindexed):
    unindexed.faults.add(Fault("drop", match="SHOWPLAN"))
    survey = surveyed_as(unindexed, "planner", "see-the-plans")
    assert "VW207" in survey.plans.unavailable
    assert survey.findings.runs == 20


@pytest.mark.parametrize("number", [229, 297, 300])  # no SELECT, no right for the action, no VIEW DATABASE STATE
def test_a_login_that_may_not_look_at_sizes_gets_the_rest_of_the_survey(unindexed, caplog, number):
    unindexed.faults.add(Fault("error", number=number, match="allocation_units"))
    survey = surveyed_as(unindexed, "planner", "see-the-plans")
    assert {table.name: (table.rows, table.size_bytes) for table in survey.tables}["IndexData"] == (20, None)
    assert [month.size_bytes for month in survey.growth if month.runs] == [None] * len(survey.growth)
    assert "VW210" in caplog.text
    assert '<td class="n">not visible</td>' in render(survey, []).html


def test_runs_that_get_steps_while_a_survey_looks_are_found(served, hook, add_run):
    now_local = datetime(2026, 3, 2, 12)
    slow, whole = (
        add_run(now_local - timedelta(seconds=age_s), numeric=[{"TestStepNumber": 1, "TestResult": 1.0}])
        for age_s in (100, 200)
    )
    with VteSource(a_settings(), hook) as source:
        looks = StepDelayProbe(source, now_local)
        late = {"Index_GUID": slow, "TestStepNumber": 2, "TestResult": 1.0}
        served.store.insert_rows({"TestDataNumeric": [late]})
        add_run(now_local - timedelta(seconds=300))
        found = looks.compared()
    assert whole != slow
    assert (found.runs, found.growing, found.appearing) == ({60: 1, 180: 1}, {60: 1}, {300: 1})


# Steps without their run

LOST = "00000000-0000-0000-0000-00000000000{}"


@pytest.fixture(scope="module")
def without_foreign_keys():
    """A server whose tables of steps have no foreign key, as many old ones: some rows of IndexData were deleted."""
    schema = re.sub(
        r"ALTER TABLE \[dbo\]\.\[TestData\w+\] ADD CONSTRAINT[^;]*;", "", SCHEMA.read_text(encoding="utf-8")
    )
    database, now = open_database(schema=schema), datetime.now(UTC)
    FactoryData(seed=7, timezone="UTC").load(database, start=now - timedelta(hours=2), end=now, runs=20)
    for n, kind in ((1, "Numeric"), (1, "Numeric"), (2, "Numeric"), (3, "Text")):
        values = f"(Index_GUID, TestStepNumber, TestResultType) VALUES ('{LOST.format(n)}', 1, 1)"
        database.run_script(f"INSERT INTO dbo.TestData{kind} {values}")
    with SqlServer(database, logins=[Login("reader", "see-no-plans")]) as server:
        yield server


def test_steps_without_their_run_are_found_in_a_sample_with_examples_and_what_happens(without_foreign_keys):
    survey = surveyed_as(without_foreign_keys, "reader", "see-no-plans")
    ((steps, runs),) = without_foreign_keys.database.query(
        'SELECT count(*), count(DISTINCT "Index_GUID") FROM "TestDataNumeric"'
    )
    samples = {sample.table: sample for sample in survey.step_keys.samples}
    assert samples["TestDataNumeric"].runs == runs
    assert 0 < samples["TestDataNumeric"].steps <= steps
    assert {table: sample.missing_runs for table, sample in samples.items()} == {
        "TestDataNumeric": 2, "TestDataText": 1, "TestDataOther": 0,
    }  # fmt: skip
    issues = [issue for issue in survey.issues if "not in IndexData" in issue.what]
    assert [issue.examples for issue in issues] == [(LOST.format(1), LOST.format(2)), (LOST.format(3),)]
    documents = render(survey, [])
    assert LOST.format(2) in documents.html
    rows = [row for row in csv.DictReader(documents.issues_csv.splitlines()) if "not in IndexData" in row["what"]]
    assert [(row["seen"], row["such as"]) for row in rows] == [
        ("2", f"{LOST.format(1)} {LOST.format(2)}"), ("1", LOST.format(3)),
    ]  # fmt: skip
    assert "They never reach WATS" in documents.html
    assert Survey.model_validate_json(documents.json) == survey


def test_the_sample_of_steps_is_read_by_key_a_thousand_at_a_time(without_foreign_keys):
    without_foreign_keys.log.clear()
    surveyed_as(without_foreign_keys, "reader", "see-no-plans")
    sent = [entry for entry in without_foreign_keys.log if entry.sql and "TOP (1000)" in entry.sql]
    assert len(sent) == 11
    assert all(entry.sql.count("[Index_GUID] > N'") == entry.sql.count("TOP (1000)") == 3 for entry in sent)


def test_steps_without_their_run_are_not_looked_for_where_whole_tables_would_be_read(unindexed):
    survey = surveyed_as(unindexed, "reader", "see-no-plans")
    assert survey.step_keys.unavailable.startswith("no index on TestDataText starts with Index_GUID")
    assert "Not looked for:" in render(survey, []).html


def test_an_empty_database_is_no_failure(hook):
    known = SurveyContext(variable="vte_wats", settings_text=None, measured_at=datetime.now(UTC), package_version="0")
    with VteSource(known.settings(), hook) as source:
        survey, runs = take_survey(source, REQUEST, known)
    assert (survey.counted_runs, survey.findings.runs, runs) == (0, 0, [])
    assert "<h2>Schema</h2>" in render(survey, runs).html


# As people run it


@pytest.fixture(scope="module")
def dag(repository, metadata):
    dag = DagBag(dag_folder=str(repository / "dags")).dags["vte_wats_survey"]
    for task in dag.tasks:
        task.retries = 0
    return dag


@pytest.fixture
def airflow_site(plant, tmp_path, monkeypatch):
    for name, value in plant.environment_variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(plant.settings(storage_path=f"file://{tmp_path}")))
    Variable.delete("vte_wats_state")


FORM = {"days": 30, "sample_runs": 200, "kept_runs": 10}


def test_the_dag_writes_a_report_that_only_its_owner_reads(dag, airflow_site, tmp_path):
    assert dag.test(run_conf=FORM).state == "success"
    written = {path.name: path for path in (tmp_path / "survey").rglob("*.*") if path.is_file()}
    assert set(written) == {
        "survey.html",
        "survey.json",
        "yields.csv",
        "issues.csv",
        "runs.csv",
        "steps.csv",
        "schema.mmd",
    }
    assert {path.stat().st_mode & 0o777 for path in written.values()} == {0o600}
    survey = Survey.model_validate_json(written["survey.json"].read_text())
    assert survey.proposal.mistakes == ""
    assert "PSU Board Test" in survey.proposal.settings["process_map"]


def test_the_dag_goes_on_without_wats_and_without_settings(dag, airflow_site, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW_CONN_WATS_DEFAULT", json.dumps({"conn_type": "wats", "host": "http://127.0.0.1:9"}))
    monkeypatch.delenv("AIRFLOW_VAR_VTE_WATS")
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    Variable.delete("vte_wats")
    assert dag.test(run_conf=FORM).state == "success"
    assert "VW660" in caplog.text
    (written,) = (tmp_path / "vte_wats" / "survey").glob("*/survey.json")
    survey = Survey.model_validate_json(written.read_text())
    assert "WATS was not reached" in next(a.reason for a in survey.proposal.answers if a.setting == "process_map")


def test_the_command_surveys_without_a_scheduler(plant, tmp_path):
    known = {name: value for name, value in plant.environment_variables.items() if name.startswith("AIRFLOW_CONN_")}
    command = [sys.executable, "-m", "vte_wats.orchestration.survey_run", "--folder", str(tmp_path / "out")]
    command += ["--days", "30", "--sample-runs", "100", "--kept-runs", "10"]
    done = subprocess.run(command, env=os.environ | known, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "survey.html").stat().st_mode & 0o777 == 0o600
    assert "to be answered: source_timezone" in done.stdout


def test_the_command_says_what_is_wrong(tmp_path):
    command = [sys.executable, "-m", "vte_wats.orchestration.survey_run", "--folder", str(tmp_path), "--days", "0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "days" in done.stderr
