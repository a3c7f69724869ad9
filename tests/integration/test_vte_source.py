"""The source over a real wire: pymssql and Airflow's MsSqlHook against a server that speaks TDS."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from upath import UPath

from sandbox.environment import READER, READER_PASSWORD
from sandbox.sqlserver.server import Login, SqlServer
from sandbox.vte.vte_database import NAME, SCHEMA, open_database
from tests.integration.conftest import hook_to
from vte_wats.config.settings import Settings
from vte_wats.domain.errors import FatalError
from vte_wats.domain.run import StepKind
from vte_wats.domain.source import StationTime
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.mapping.identity import Operators
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import extract, staged_folds
from vte_wats.sync.slices import Slice
from vte_wats.vte.reader import VteSource

NOON = datetime(2026, 3, 2, 12)
HOUR = LocalRange(NOON, NOON + timedelta(hours=1))


def site(**settings: Any) -> Settings:
    return Settings.model_validate({"source_timezone": "Europe/Oslo", "process_map": {"*": 100}} | settings)


def test_a_run_comes_complete_with_its_steps_of_all_three_tables(hook, add_run):
    guid = add_run(
        NOON,
        "SN-測試-😀",
        Info1="batch",
        numeric=[{"TestStepNumber": 2, "TestName": "Voltage", "TestResult": 5.01, "LowLimit": 4.9, "HighLimit": 5.1,
                  "TestUnits": "V", "TestResultType": 1}],
        text=[{"TestStepNumber": 1, "TestName": "Firmware", "TestResult": "1.2.3"}],
        other=[{"TestStepNumber": 3, "TestName": "Trace", "TestResult": b"\x00\x01\xff"}],
    )  # fmt: skip
    with VteSource(site(), hook) as source:
        (run,) = source.runs_between([HOUR])
    assert (run.index_guid, run.serial, run.timestamp_local, run.info1) == (guid, "SN-測試-😀", NOON, "batch")
    assert [(step.kind, step.value) for step in run.steps] == [
        (StepKind.TEXT, "1.2.3"),
        (StepKind.NUMERIC, 5.01),
        (StepKind.OTHER, b"\x00\x01\xff"),
    ]
    assert (run.steps[1].low_limit, run.steps[1].high_limit, run.steps[1].units) == (4.9, 5.1, "V")


@pytest.mark.parametrize(
    ("answers", "kept"),
    [({}, "Kari"), ({"operator": "omit"}, None), ({"operator": "pseudonym"}, "op-zxuqfnioqqrmom4y")],
)
def test_an_operators_name_leaves_the_reader_only_as_the_site_wants(hook, add_run, answers, kept):
    add_run(NOON, "SN-1", UserName="Kari")
    operators = Operators(site(**answers), "a random text that nobody else knows")
    with VteSource(site(**answers), hook, operators=operators) as source:
        (run,) = source.runs_between([HOUR])
    assert run.operator == kept
    assert kept == "Kari" or "Kari" not in run.model_dump_json()


@pytest.mark.parametrize(
    ("sql_type", "value", "expected"),
    [
        ("float", 3.5, "3.5"),
        ("int", 42, "42"),
        ("bit", True, "1"),
        ("decimal(9,3)", Decimal("1.250"), "1.250"),
        ("datetime", datetime(2026, 3, 2, 12, 0, 0, 250_000), "2026-03-02T12:00:00.250000"),
        ("uniqueidentifier", UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        ("nvarchar(max)", "Ω", "Ω"),
    ],
)
def test_an_other_value_of_any_type_a_site_may_have_is_read_as_text(sql_type, value, expected):
    schema = SCHEMA.read_text(encoding="utf-8")
    theirs = schema.replace("[TestResult] varbinary(max)", f"[TestResult] {sql_type}")
    assert theirs != schema
    database, guid = open_database(schema=theirs), uuid4()
    run = {"Index_GUID": guid, "Timestamp": NOON, "Result": 1}
    step = {"Index_GUID": guid, "TestStepNumber": 1, "TestName": "Trace", "TestResult": value}
    database.insert_rows({"IndexData": [run], "TestDataOther": [step]})
    with SqlServer(database, logins=[Login(READER, READER_PASSWORD)], timezone="Europe/Oslo") as server:
        fields = {"conn_type": "mssql", "host": server.host, "port": server.port, "schema": NAME}
        with VteSource(site(), hook_to(fields | {"login": READER, "password": READER_PASSWORD})) as source:
            (read,) = source.runs_between([HOUR])
    assert [(step.kind, step.value) for step in read.steps] == [(StepKind.OTHER, expected)]


def test_a_range_is_half_open_and_ties_at_its_edge_stay_together(hook, add_run):
    inside = {add_run(NOON) for _ in range(5)}
    for _ in range(5):
        add_run(HOUR.to_local)
    with VteSource(site(), hook) as source:
        assert {run.index_guid for run in source.runs_between([HOUR])} == inside


def test_a_run_without_steps_is_read_too(hook, add_run):
    guid = add_run(NOON)
    with VteSource(site(), hook) as source:
        (run,) = source.runs_between([HOUR])
    assert (run.index_guid, run.steps) == (guid, ())


def test_named_runs_are_read_and_absent_ones_yield_nothing(hook, add_run):
    first, second = add_run(NOON), add_run(NOON - timedelta(days=9000))
    add_run(NOON)
    with VteSource(site(), hook) as source:
        assert {run.index_guid for run in source.runs_by_guid([first, second, uuid4()])} == {first, second}


def test_when_stations_were_busy_comes_for_known_stations_alone(hook, add_run):
    station = uuid4()
    first = add_run(NOON, Testsystem_GUID=station, TestTime=1.1)
    second = add_run(NOON + timedelta(minutes=1), Testsystem_GUID=station, TestTime=None)
    add_run(NOON)
    add_run(HOUR.to_local, Testsystem_GUID=station)
    with VteSource(site(), hook) as source:
        times = list(source.station_times([HOUR]))
    assert times == [
        StationTime(first, station, NOON, struct.unpack("f", struct.pack("f", 1.1))[0]),  # the column is real
        StationTime(second, station, NOON + timedelta(minutes=1), None),
    ]


def test_a_run_of_the_repeated_hour_is_judged_by_its_neighbours_over_the_wire(hook, add_run, tmp_path):
    station, local = uuid4(), datetime(2026, 10, 25, 2, 10)
    guid = add_run(local, Testsystem_GUID=station, TestTime=3600.0)
    add_run(local.replace(hour=1, minute=50), Testsystem_GUID=station, TestTime=300.0)
    part, staging = (
        Slice("s0001", 1, ranges=(LocalRange(local, local + timedelta(seconds=1)),)),
        Staging(UPath(tmp_path)),
    )
    with VteSource(site(), hook) as source:
        assert extract(source, staging, part, site()) == 1
    assert staged_folds(staging) == {guid: 1}


def test_the_identity_names_server_database_and_the_columns_that_are_read(hook, connection):
    with VteSource(site(), hook) as source:
        identity, server_now_at = source.identity()
        assert source.identity()[0] == identity
    assert identity.database == connection["schema"]
    assert identity.server
    assert (identity.created_local.tzinfo, identity.created_local.microsecond) == (None, 0)
    assert abs((server_now_at - datetime.now(UTC)).total_seconds()) < 60
    assert identity.columns.keys() == site().columns_read
    assert identity.columns["IndexData.Index_GUID"] == "uniqueidentifier"


def test_the_identity_has_the_columns_under_the_names_of_the_settings_whatever_their_case(hook):
    settings = site(column_overrides={"IndexData": {"columns": {"Info2": "INFO1", "Info1": None}}})
    with VteSource(settings, hook) as source:
        columns = source.identity()[0].columns
    assert columns["IndexData.INFO1"] == "nvarchar"
    assert not {"IndexData.Info1", "IndexData.Info2"} & columns.keys()


@pytest.mark.parametrize("runs", [0, 3])
def test_one_statement_returns_identity_and_run_counts(hook, add_run, runs):
    for n in range(runs):
        add_run(NOON + timedelta(seconds=n // 2))
    with VteSource(site(), hook) as source:
        identity, times = source.identity_and_run_counts([HOUR])
        assert identity == source.identity()[0]
        assert times.seconds == source.run_times([HOUR]).seconds
        assert abs((times.server_now_at - datetime.now(UTC)).total_seconds()) < 60
    assert sum(count for _, count in times.seconds) == runs


def test_the_identity_of_a_schema_that_is_not_there_has_no_columns(hook, connection):
    with VteSource(site(source_schema="elsewhere"), hook) as source:
        identity, _ = source.identity()
    assert (identity.database, identity.columns) == (connection["schema"], {})


def test_waiting_runs_are_counted_in_one_statement_with_the_newest_and_the_servers_version(hook, add_run):
    add_run(NOON)
    add_run(NOON + timedelta(minutes=59, seconds=59, milliseconds=997))
    add_run(HOUR.to_local)
    with VteSource(site(), hook) as source:
        found = source.waiting_runs([HOUR])
        nothing = source.waiting_runs([LocalRange(NOON - timedelta(days=2), NOON - timedelta(days=1))])
    assert (found.runs, found.newest_local) == (2, "2026-03-02T12:59:59")
    assert found.version[0].isdigit()
    assert abs((found.server_now_at - datetime.now(UTC)).total_seconds()) < 60
    assert (nothing.runs, nothing.newest_local) == (0, None)


@pytest.mark.parametrize("overrides", [{}, {"IndexData": {"columns": {"ProductName": None}}}])
def test_a_days_runs_are_counted_by_product_and_result_in_one_statement(hook, add_run, overrides):
    for product, result in [("PSU", 1), ("PSU", 1), ("PSU", 0), ("", 1), (None, 1), ("RF", 9)]:
        add_run(NOON, ProductName=product, Result=result)
    with VteSource(site(column_overrides=overrides), hook) as source:
        counts = source.day_counts([HOUR])
    by_result = {("", 0): 1, ("", 1): 4, ("", 9): 1}
    by_product = {("PSU", 1): 2, ("PSU", 0): 1, ("", 1): 2, ("RF", 9): 1}
    assert counts == (by_result if overrides else by_product)


def test_the_facts_say_how_the_database_is_read(hook, connection, add_run):
    add_run(NOON)
    with VteSource(site(), hook) as source:
        facts = source.facts()
    assert int(facts.version.split(".")[0]) >= 11
    assert facts.edition
    (state,) = hook.get_first("SELECT snapshot_isolation_state FROM sys.databases WHERE name = DB_NAME()")
    assert facts.reads_snapshot == (state == 1)
    assert not facts.encrypted
    assert facts.null_times == 0
    begins = {(index.table, index.columns[0]) for index in facts.indexes}
    assert {("IndexData", "Index_GUID"), ("UutData", "Uut_GUID")} <= begins


def test_a_run_without_timestamp_is_counted_among_the_facts(hook, add_run):
    add_run(None)
    with VteSource(site(), hook) as source:
        assert source.facts().null_times == 1


def test_hours_are_counted_where_there_are_runs(hook, add_run):
    for minutes in (0, 1, 59, 180):
        add_run(NOON + timedelta(minutes=minutes))
    day = LocalRange(NOON - timedelta(days=1), NOON + timedelta(days=1))
    with VteSource(site(), hook) as source:
        assert list(source.run_hours([day])) == [(NOON, 3), (NOON + timedelta(hours=3), 1)]


def test_the_keys_of_a_range_come_with_their_timestamps_alone(hook, add_run):
    times = [NOON + timedelta(seconds=n) for n in range(3)]
    guids = [add_run(at) for at in times]
    with VteSource(site(), hook) as source:
        assert list(source.run_keys([HOUR])) == list(zip(guids, times, strict=True))


def test_equal_steps_come_in_one_order_however_they_were_written(hook, add_run):
    steps = [{"TestStepNumber": 1, "TestName": name, "TestResult": value} for name, value in
             [("b", 2.0), ("a", None), ("b", 1.0), (None, 3.0)]]  # fmt: skip
    add_run(NOON, numeric=steps)
    add_run(NOON, numeric=steps[::-1])
    with VteSource(site(), hook) as source:
        one, other = source.runs_between([HOUR])
    assert one.steps == other.steps


def test_a_site_with_other_names_is_read_by_overrides(hook, add_run):
    guid = add_run(NOON, Info1="lot 5")
    settings = site(column_overrides={"IndexData": {"columns": {"Info2": "Info1", "Info3": None}}})
    with VteSource(settings, hook) as source:
        (run,) = source.runs_between([HOUR])
    assert (run.index_guid, run.info2, run.info3) == (guid, "lot 5", None)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"column_overrides": {"IndexData": {"table": "Runs"}}}, "a table does not exist"),
        ({"column_overrides": {"IndexData": {"columns": {"Info1": "Information"}}}}, "a column does not exist"),
    ],
)
def test_a_name_that_does_not_exist_is_fatal_and_says_where_to_change_it(hook, settings, expected):
    with VteSource(site(**settings), hook) as source, pytest.raises(FatalError, match=expected) as raised:
        list(source.runs_between([HOUR]))
    assert "column_overrides" in str(raised.value)


def test_a_wrong_password_is_fatal_and_names_the_connection_but_not_the_password(connection):
    hook = hook_to(connection | {"password": "not-the-password"})
    with pytest.raises(FatalError, match="login was refused") as raised, VteSource(site(), hook):
        pass
    assert "vte_default" in str(raised.value)
    assert "not-the-password" not in str(raised.value)
