"""One bad row costs its run: over the wire, the others of its slice are read whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest
from upath import UPath

from sandbox.environment import READER, READER_PASSWORD
from sandbox.sqlserver.faults import Fault
from sandbox.sqlserver.server import Login, SqlServer
from sandbox.vte.vte_database import NAME, SCHEMA, open_database
from tests.integration.conftest import hook_to
from tests.unit.fakes import FakeWats
from vte_wats.config.settings import OddTimestamps, Settings
from vte_wats.domain.errors import RetriableError
from vte_wats.domain.report import Refusal, Report
from vte_wats.domain.run import DeadLetterKind, VteTestRun
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.preflight import Level, examine
from vte_wats.reconcile.compare import stage_expected
from vte_wats.reconcile.gone_runs import remove_without_row
from vte_wats.reconcile.keys import OutsideWindows, stage_keys
from vte_wats.reconcile.missing_runs import compare, runs_to_transfer
from vte_wats.storage.dead_letter_index import DeadLetterSummary
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import extract
from vte_wats.sync.map_runs import map_runs
from vte_wats.sync.slices import Slice
from vte_wats.sync.staged_reports import staged_mappings
from vte_wats.vte.reader import VteSource

NOON = datetime(2026, 3, 2, 12)
HOUR = LocalRange(NOON, NOON + timedelta(hours=1))
UNIQUE_UNIT = "[Uut_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_UutData] PRIMARY KEY,"
FOREIGN_KEY = re.compile(r"ALTER TABLE[^;]*FOREIGN KEY[^;]*;")
HIGH, LOW = "\ud83d", "\ude00"


@pytest.fixture
def served(emulated):
    """Only the emulated server takes texts that are none, and tables without keys."""
    return emulated


def site(**settings: Any) -> Settings:
    return Settings.model_validate({"source_timezone": "Europe/Oslo", "process_map": {"*": 100}} | settings)


def transferred(hook, tmp_path, **settings: Any) -> tuple[dict[UUID, str], dict[UUID, str]]:
    """Extract and map the hour; return the reports and the reasons of dead letters, by run."""
    staging, read_by = Staging(UPath(tmp_path)), site(**settings)
    with VteSource(read_by, hook) as source:
        extract(source, staging, Slice("s0001", 20, ranges=(HOUR,)), read_by)
    map_runs(staging, read_by)
    mapped = list(staged_mappings(staging))
    return (
        {result.report_id: result.body for result in mapped if isinstance(result, Report)},
        {result.index_guid: result.reason for result in mapped if isinstance(result, Refusal)},
    )


@pytest.mark.report("P1")
def test_a_text_that_ends_in_half_a_surrogate_pair_costs_nobody_anything(hook, add_run, tmp_path):
    for n in range(19):
        add_run(NOON + timedelta(seconds=n), text=[{"TestStepNumber": 1, "TestName": "Log", "TestResult": "fine 😀"}])
    guid = add_run(NOON, text=[{"TestStepNumber": 1, "TestName": "Log", "TestResult": f"cut {HIGH}"}])
    reports, dead = transferred(hook, tmp_path)
    assert (len(reports), dead) == (20, {})
    assert '"cut \ufffd"' in reports[guid]
    assert "characters that WATS cannot carry are shown as symbols" in reports[guid]


@pytest.mark.report("P2")
@pytest.mark.parametrize("text", [f"AB12{HIGH}", f"AB{HIGH}12", f"{LOW} low", "AB?12"])
@pytest.mark.parametrize(
    "column",
    ["Info1", "Info2", "Info3", "TestplanName", "TestplanVariant", "TestplanRevision", "Hostname", "Site", "UserName"],
)
def test_no_text_is_altered_without_a_remark(hook, add_run, tmp_path, column, text):
    guid = add_run(NOON, **{column: text})
    reports, _ = transferred(hook, tmp_path)
    assert text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace") in reports[guid]
    assert ("shown as symbols" in reports[guid]) == ("?" not in text)


@pytest.mark.report("P1")
@pytest.mark.parametrize("text", [f"cut {HIGH}", f"{LOW}{HIGH} turned round", f"in {HIGH}{HIGH} between", LOW])
@pytest.mark.parametrize("column", ["TestName", "TestDescription", "TestNumber", "TestUnits"])
@pytest.mark.parametrize("table", ["numeric", "text", "other"])
def test_no_text_of_a_step_costs_a_neighbour_anything(hook, add_run, tmp_path, table, column, text):
    neighbour = add_run(NOON)
    step = {"TestStepNumber": 1, "TestName": "Log"} | ({"TestResult": 1.0} if table == "numeric" else {})
    guid = add_run(NOON, **{table: [step | {column: text}]})
    reports, dead = transferred(hook, tmp_path)
    assert (reports.keys(), dead) == ({neighbour, guid}, {})
    assert "\ufffd" in reports[guid]
    assert "shown as symbols" in reports[guid]


@pytest.mark.report("P2")
@pytest.mark.parametrize("serial", [f"AB12{HIGH}", f"AB{HIGH}12", f"{LOW}AB12", HIGH])
def test_a_serial_is_never_altered_its_run_is_a_dead_letter(hook, add_run, tmp_path, serial):
    neighbour = add_run(NOON, "AB12")
    guid = add_run(NOON, serial)
    reports, dead = transferred(hook, tmp_path)
    assert reports.keys() == {neighbour}
    assert dead.keys() == {guid}
    assert dead[guid].startswith("VW230 serial must be valid Unicode, given '")


def test_texts_of_a_site_that_keeps_them_in_the_other_table_arrive_whole(tmp_path):
    hook, database, server = other_schema({"[TestResult] varbinary(max)": "[TestResult] nvarchar(max)"})
    guid = uuid4()
    add(database, guid, other=[{"TestStepNumber": 1, "TestName": "Log", "TestResult": f"cut {HIGH}"}])
    with server:
        reports, dead = transferred(hook(), tmp_path)
    assert not dead
    assert '"cut \ufffd"' in reports[guid]


def other_schema(changes: dict[str, str]) -> Any:
    """Return a hook to be made once the server runs, the database and the server of a site with other columns."""
    schema = SCHEMA.read_text(encoding="utf-8")
    if any("PRIMARY KEY" in documented for documented in changes):
        schema = FOREIGN_KEY.sub("", schema)  # each refers to such a key
    for documented, here in changes.items():
        assert documented in schema
        schema = schema.replace(documented, here)
    database = open_database(schema=schema)
    server = SqlServer(database, logins=[Login(READER, READER_PASSWORD)], timezone="Europe/Oslo")

    def hook() -> Any:
        fields = {"conn_type": "mssql", "host": server.host, "port": server.port, "schema": NAME}
        return hook_to(fields | {"login": READER, "password": READER_PASSWORD})

    return hook, database, server


def add(database, guid: UUID | None, at: datetime = NOON, serial: str = "SN1", **given: Any) -> None:
    unit = uuid4()
    tables = {"numeric": "TestDataNumeric", "text": "TestDataText", "other": "TestDataOther"}
    rows = {tables[name]: [{"Index_GUID": guid} | step for step in given.pop(name)] for name in tables if name in given}
    header = {"Index_GUID": guid, "Uut_GUID": unit, "Timestamp": at, "Result": 1, "Hostname": "station-1"}
    named = {"ProductName": "PSU-100", "TestplanName": "PSU final"}
    run = header | named | given
    database.insert_rows({"UutData": [{"Uut_GUID": unit, "Serial": serial}], "IndexData": [run]} | rows)


@pytest.mark.report("P3")
@pytest.mark.parametrize(
    ("column", "good", "bad", "expected"),
    [
        ("ExitCode", "12", "E12", "VW230 IndexData.ExitCode: Input should be a valid integer"),
        ("Result", "1", "PASS", "VW230 IndexData.Result: Input should be a valid integer"),
        ("Result", "1", "", "VW230 IndexData.Result: Input should be a valid integer"),
        ("TestTime", "12.5", "12,5", "VW230 IndexData.TestTime: Input should be a valid number"),
        ("ExitCode", "12", "0x1F", "VW230 IndexData.ExitCode: Input should be a valid integer"),
    ],
)
def test_a_text_where_a_number_is_documented_is_a_dead_letter_of_its_run(tmp_path, column, good, bad, expected):
    schema = SCHEMA.read_text(encoding="utf-8")
    written = next(line for line in schema.splitlines() if line.strip().startswith(f"[{column}] "))
    hook, database, server = other_schema({written: re.sub(r"\] \w+", "] nvarchar(20)", written)})
    guids = [uuid4() for _ in range(20)]
    for n, guid in enumerate(guids):
        add(database, guid, NOON + timedelta(seconds=n), **{column: bad if n == 7 else good})
    with server:
        reports, dead = transferred(hook(), tmp_path)
    assert len(reports) == 19
    assert dead.keys() == {guids[7]}
    assert dead[guids[7]].startswith(expected)
    assert f"given '{bad}'" in dead[guids[7]]


@pytest.mark.parametrize(
    ("column", "good", "bad"),
    [("TestStepNumber", "1", "1a"), ("TestResultType", "1", "PASS"), ("TestStepNumber", "2", "")],
)
def test_a_text_where_a_number_of_a_step_is_documented_is_a_dead_letter_of_its_run(tmp_path, column, good, bad):
    hook, database, server = other_schema({f"[{column}] int": f"[{column}] nvarchar(20)"})
    guids = [uuid4() for _ in range(20)]
    for n, guid in enumerate(guids):
        step = {"TestStepNumber": 1, "TestName": "Voltage", "TestResult": 1.0} | {column: bad if n == 7 else good}
        add(database, guid, NOON + timedelta(seconds=n), numeric=[step])
    with server:
        reports, dead = transferred(hook(), tmp_path)
    assert (len(reports), dead.keys()) == (19, {guids[7]})
    assert f".{column}" in dead[guids[7]]
    assert f"given '{bad}'" in dead[guids[7]]


def test_a_value_that_sql_server_cannot_convert_is_narrowed_down_to_its_run(tmp_path):
    schema = SCHEMA.read_text(encoding="utf-8")
    written = next(line for line in schema.splitlines() if line.strip().startswith("[LowLimit]"))
    hook, database, server = other_schema(
        {written: written.replace("float", "nvarchar(20)").replace("real", "nvarchar(20)")}
    )
    guids = [uuid4() for _ in range(40)]
    for n, guid in enumerate(guids):
        limit = "n/a" if n in {3, 33} else "1.5"
        add(
            database,
            guid,
            NOON + timedelta(seconds=n),
            numeric=[{"TestStepNumber": 1, "TestResult": 2.0, "LowLimit": limit}],
        )
    with server:
        reports, dead = transferred(hook(), tmp_path)
        statements = sum("SELECT" in entry.sql for entry in server.log)
    assert len(reports) == 38
    assert dead.keys() == {guids[3], guids[33]}
    assert all(why.startswith("VW232 the run cannot be read") and "SQL error 8114" in why for why in dead.values())
    assert statements < 80


@contextmanager
def without_keys(key_type: str, *rows: tuple[object, datetime | None]) -> Iterator[tuple[Any, Any]]:
    """Serve rows of IndexData whose Index_GUID may be anything; yield a hook and the database."""
    schema = FOREIGN_KEY.sub("", SCHEMA.read_text(encoding="utf-8"))
    start = schema.index("CREATE TABLE [dbo].[IndexData]")
    lines = schema[start:].splitlines()
    for column, here in {"[Index_GUID]": key_type, "[Timestamp]": "datetime"}.items():
        written = next(line for line in lines if line.strip().startswith(column))
        schema = schema[:start] + schema[start:].replace(written, f"    {column} {here} NULL,", 1)
    database = open_database(schema=schema)
    for key, at in rows:
        add(database, key, at)
    with SqlServer(database, logins=[Login(READER, READER_PASSWORD)], timezone="Europe/Oslo") as server:
        fields = {"conn_type": "mssql", "host": server.host, "port": server.port, "schema": NAME}
        yield hook_to(fields | {"login": READER, "password": READER_PASSWORD}), database


@pytest.mark.report("P3")
@pytest.mark.parametrize(
    ("key_type", "bad"), [("uniqueidentifier", None), ("nvarchar(50)", None), ("nvarchar(50)", "no GUID")]
)
def test_a_row_without_a_key_is_a_dead_letter_and_its_neighbours_go_through(tmp_path, key_type, bad):
    good = uuid4()
    key = good if key_type == "uniqueidentifier" else str(good)
    with without_keys(key_type, (bad, NOON), (bad, NOON), (key, NOON)) as (hook, _):
        reports, dead = transferred(hook, tmp_path)
    assert reports.keys() == {good}
    assert len(dead) == 2
    given = f"given {bad or 'NULL'!r}"
    assert all(why.startswith(f"VW234 IndexData.Index_GUID must be a GUID, {given}") for why in dead.values())
    assert all("the next daily comparison" in why and "redrive" not in why for why in dead.values())


@pytest.mark.report("P3")
@pytest.mark.parametrize(
    ("key_type", "bad"), [("uniqueidentifier", None), ("nvarchar(50)", None), ("nvarchar(50)", "no GUID")]
)
def test_the_comparison_finds_a_row_without_a_key_under_the_id_that_the_sync_gives_it(tmp_path, key_type, bad):
    dead_letters, now_at = DeadLetters(UPath(tmp_path / "dead_letters")), datetime(2026, 3, 3, tzinfo=UTC)
    rows = [(bad, NOON), (bad, NOON), (bad, NOON + timedelta(minutes=5)), (bad, None)]
    with without_keys(key_type, *rows) as (hook, database), VteSource(site(), hook) as source:
        synced = {run.index_guid: run for run in source.runs_between([HOUR])}
        staged = Staging(UPath(tmp_path / "compared"))
        stage_keys(source, lambda _: staged, [HOUR], OutsideWindows(NOON + timedelta(days=2)))
        stage_expected(source, staged, dead_letters, site())
        compare(FakeWats(), staged, {}, ZoneInfo("Europe/Oslo"), now_at)
        missing = runs_to_transfer([staged], {}, OddTimestamps.TRANSFER).runs
        again = {run.index_guid: run for run in source.runs_by_guid(missing)}
        assert len(missing) == len(again) == 4
        assert synced.items() <= again.items()
        assert all(run.defect.reason.startswith("VW234 ") for run in again.values())
        for run in again.values():
            dead_letters.put(run, DeadLetterKind.DEAD, run.defect.reason, run.defect.signature, now_at)
        compare(FakeWats(), staged, dict.fromkeys(missing, DeadLetterKind.DEAD), ZoneInfo("Europe/Oslo"), now_at)
        assert (
            runs_to_transfer([staged], dict.fromkeys(missing, DeadLetterKind.DEAD), OddTimestamps.TRANSFER).runs == []
        )
        database.query('UPDATE "IndexData" SET "Index_GUID" = ? WHERE "Timestamp" > ?', [str(uuid4()), NOON])
        assert remove_without_row(source, dead_letters, map(DeadLetterSummary.of, dead_letters)) == 1
        assert len(dead_letters.guids()) == 3
        assert dead_letters.guids() == {run.index_guid for run in source.runs_by_guid(missing)}


def test_the_preflight_counts_the_units_with_several_serials_where_no_index_rules_them_out(tmp_path):
    hook, database, server = other_schema({UNIQUE_UNIT: "[Uut_GUID] uniqueidentifier NULL,"})
    serials = {uuid4(): ("SN-A", "sn-a"), uuid4(): ("SN-B", None), uuid4(): ("SN-C", "SN-C"), uuid4(): (None, None)}
    single = {uuid4(): ("SN-D",), None: ("SN-E", "SN-F")}
    units = [(unit, serial) for unit, given in (serials | single).items() for serial in given]
    database.insert_rows({"UutData": [{"Uut_GUID": unit, "Serial": serial} for unit, serial in units]})
    runs = {unit: uuid4() for unit in serials}
    add_rows = [{"Index_GUID": guid, "Uut_GUID": unit, "Timestamp": NOON, "Result": 1} for unit, guid in runs.items()]
    database.insert_rows({"IndexData": [row | {"ProductName": "PSU-100"} for row in add_rows]})
    with server:
        _, dead = transferred(hook(), tmp_path)
        with VteSource(site(), hook()) as source:
            facts = source.facts()
    different = {unit for unit, guid in runs.items() if dead.get(guid, "").startswith("VW233")}
    assert facts.duplicate_units == len(different) == 2
    assert UUID(facts.doubled_unit) in different


def test_no_unit_is_looked_for_where_an_index_rules_doubles_out(hook, vte):
    with VteSource(site(), hook) as source:
        assert source.facts().duplicate_units == 0
    assert not any("duplicate_units" in entry.sql for entry in vte.log)


@pytest.mark.parametrize("serial", ["[Serial] varbinary(max) NULL", "[Uut_Serial] nvarchar(255) NULL"])
def test_a_serial_that_cannot_be_compared_is_a_finding_and_not_the_end_of_the_preflight(serial):
    hook, _, server = other_schema(
        {UNIQUE_UNIT: "[Uut_GUID] uniqueidentifier NULL,", "[Serial] nvarchar(255) NULL": serial}
    )
    with server, VteSource(site(), hook()) as source:
        identity, _ = source.identity()
        wrong = [found for found in examine(identity, source.facts(), 0.0, site()) if found.level is Level.WRONG]
    assert len(wrong) == 1
    assert "UutData.Serial" in wrong[0].text


def test_two_serials_of_one_unit_are_a_dead_letter_that_names_both(hook, add_run, database, tmp_path):
    neighbour, guid = add_run(NOON), add_run(NOON, "SN-A")
    (unit,) = database.query(f"SELECT Uut_GUID FROM dbo.IndexData WHERE Index_GUID = '{guid}'")[0]
    database.insert_rows({"UutData": [{"Uut_GUID": unit, "Serial": "SN-B"}]})
    reports, dead = transferred(hook, tmp_path)
    assert reports.keys() == {neighbour}
    assert "'SN-A'" in dead[guid]
    assert "'SN-B'" in dead[guid]
    assert dead[guid].startswith("VW233 serial must be one value")


def test_two_rows_of_one_run_are_a_dead_letter(hook, add_run, database, tmp_path):
    neighbour, guid = add_run(NOON), add_run(NOON)
    database.insert_rows({"IndexData": [{"Index_GUID": guid, "Timestamp": NOON, "Result": 1}]})
    reports, dead = transferred(hook, tmp_path)
    assert reports.keys() == {neighbour}
    assert dead[guid].startswith("VW233 IndexData.Index_GUID must be unique")


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"max_steps_per_run": 5}, "max_steps_per_run = 5"), ({"max_run_bytes": 100_000}, "max_run_bytes = 100000")],
)
def test_a_run_beyond_the_limits_is_a_dead_letter_that_is_never_fetched(hook, vte, add_run, tmp_path, settings, named):
    neighbour = add_run(NOON, numeric=[{"TestStepNumber": 1, "TestResult": 1.0}])
    guid = add_run(NOON, text=[{"TestStepNumber": n, "TestResult": "x" * 10_000} for n in range(6)])
    reports, dead = transferred(hook, tmp_path, **settings)
    assert reports.keys() == {neighbour}
    assert dead[guid].startswith("VW231 the run has 6 steps and ")
    assert named in dead[guid]
    sent = [entry for entry in vte.log if "[Steps]" in entry.sql and "SUM(" not in entry.sql]
    assert [entry.rows for entry in sent] == [1]


def test_an_empty_slice_costs_one_statement(hook, vte):
    with VteSource(site(), hook) as source:
        before = len([entry for entry in vte.log if "IndexData" in entry.sql])
        assert list(source.runs_between([HOUR])) == []
    assert len([entry for entry in vte.log if "IndexData" in entry.sql]) - before == 1


def test_a_connection_that_is_lost_once_while_reading_costs_no_run(hook, vte, add_run):
    guids = {
        add_run(NOON + timedelta(seconds=n), numeric=[{"TestStepNumber": 1, "TestResult": 1.0}]) for n in range(20)
    }
    vte.faults.add(Fault(kind="drop", match="numeric_value", after_rows=5))
    with VteSource(site(), hook) as source:
        runs: list[VteTestRun] = list(source.runs_between([HOUR]))
    assert {run.index_guid for run in runs} == guids
    assert all(run.defect is None and len(run.steps) == 1 for run in runs)


def test_a_connection_that_is_always_lost_while_reading_makes_no_dead_letters(hook, vte, add_run):
    for n in range(20):
        add_run(NOON + timedelta(seconds=n), numeric=[{"TestStepNumber": 1, "TestResult": 1.0}])
    vte.faults.add(Fault(kind="drop", match="numeric_value", times=None))
    with VteSource(site(), hook) as source, pytest.raises(RetriableError, match="VW207"):
        list(source.runs_between([HOUR]))
    assert len(vte.log) < 150


def test_what_stands_in_one_row_stops_nothing_that_reads_beside_the_runs():
    """Every column that the preflight tolerates as text holds what is no GUID and no number, and texts are none."""
    schema = FOREIGN_KEY.sub("", SCHEMA.read_text(encoding="utf-8"))
    schema = re.sub(r"\] (?:uniqueidentifier|int|float|real) ", "] nvarchar(400) ", schema)
    database = open_database(schema=schema)
    good, bad = str(uuid4()).upper(), f"no GUID {HIGH}"
    codes = {"Result": bad, "ExitCode": bad, "TestTime": bad, "ProductName": f"PSU {HIGH}", "Testsystem_GUID": bad}
    times = [NOON, NOON + timedelta(seconds=1)]
    step = {"TestStepNumber": bad, "TestName": LOW, "TestResult": bad, "TestResultType": bad}
    database.insert_rows(
        {
            "TestSystems": [{"Testsystem_GUID": bad, "Name": HIGH}],
            "IndexData": [
                {"Index_GUID": guid, "Timestamp": at} | codes for guid, at in zip((good, bad), times, strict=True)
            ],
            **{f"TestData{kind}": [{"Index_GUID": bad} | step] for kind in ("Numeric", "Text")},
        }
    )
    with SqlServer(database, logins=[Login(READER, READER_PASSWORD)], timezone="Europe/Oslo") as server:
        fields = {"conn_type": "mssql", "host": server.host, "port": server.port, "schema": NAME}
        hook = hook_to(fields | {"login": READER, "password": READER_PASSWORD})
        with VteSource(site(), hook) as source:
            columns = source.identity()[0].columns
            assert {columns[f"{table}.Index_GUID"] for table in ("IndexData", "TestDataText")} == {"nvarchar"}
            assert {columns["IndexData.Result"], columns["TestDataNumeric.LowLimit"]} == {"nvarchar"}
            counted = source.identity_and_run_counts([HOUR])[1], source.run_times([HOUR])
            assert [sum(runs for _, runs in times.seconds) for times in counted] == [2, 2]
            assert source.waiting_runs([HOUR]).runs == 2
            assert source.day_counts([HOUR]) == {("PSU \ufffd", None): 2}
            assert [runs for _, runs in source.run_hours([HOUR])] == [2]
            first, second = (guid for guid, _ in source.run_keys([HOUR]))
            assert first == UUID(good)
            assert [run.index_guid for run in source.runs_by_guid([second])] == [second]
            assert source.existing([UUID(good)]) == {UUID(good)}
            assert source.testsystems() == frozenset()
            assert [content.runs for content in source.minute_contents([HOUR])] == [2]
            assert list(source.station_times([HOUR])) == []
            assert [(group.result_code, group.runs) for group in source.run_groups([HOUR])] == [(None, 2)]
            assert source.time_bounds().newest_local == times[1]
            assert source.facts().null_times == 0
            assert len(list(source.runs_between([HOUR]))) == 2


class _Wrapped:
    """An object of the driver of which some methods are replaced."""

    def __init__(self, wrapped: Any, **methods: Any) -> None:
        self._wrapped = wrapped
        self.__dict__ |= methods

    def __getattr__(self, name: str) -> Any:
        return getattr(self._wrapped, name)

    def __enter__(self) -> Any:
        self._wrapped.__enter__()
        return self

    def __exit__(self, *failure: object) -> None:
        self._wrapped.__exit__(*failure)


UNLISTED = [
    TypeError("an integer is required"),
    LookupError("unknown encoding"),
    OSError(5, "Input/output error"),
    MemoryError(),
    RuntimeError("driver"),
]


@pytest.mark.parametrize("raised", UNLISTED, ids=repr)
def test_whatever_the_driver_raises_as_it_opens_a_connection_is_of_the_last_row(hook, monkeypatch, raised):
    def fails() -> None:
        raise raised

    monkeypatch.setattr(hook, "get_conn", fails)
    with (
        pytest.raises(RetriableError, match=f"VW299 VTE: .* while connecting .*{type(raised).__name__}"),
        VteSource(site(), hook),
    ):
        pass


@pytest.mark.parametrize("raised", UNLISTED, ids=repr)
def test_whatever_the_driver_raises_for_one_row_costs_its_run_alone(hook, add_run, monkeypatch, tmp_path, raised):
    for n in range(19):
        add_run(NOON + timedelta(seconds=n))
    guid = add_run(NOON, Info1="broken")
    connect, broken = hook.get_conn, "broken".encode("utf-16-le")  # as the reader asks for texts

    def cursor_of(connection: Any, **options: bool) -> Any:
        cursor = connection.cursor(**options)

        def fetchmany(size: int) -> Any:
            rows = cursor.fetchmany(size)
            if any(isinstance(value, bytes) and broken in value for row in rows for value in row):
                raise raised
            return rows

        return _Wrapped(cursor, fetchmany=fetchmany)

    def connected() -> Any:
        connection = connect()
        return _Wrapped(connection, cursor=lambda **options: cursor_of(connection, **options))

    monkeypatch.setattr(hook, "get_conn", connected)
    reports, dead = transferred(hook, tmp_path)
    assert (len(reports), list(dead)) == (19, [guid])
    assert "VW232" in dead[guid]
    assert type(raised).__name__ in dead[guid]


def test_who_ends_the_process_is_not_taken_for_a_failure_of_vte(hook, monkeypatch):
    def ends() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(hook, "get_conn", ends)
    with pytest.raises(KeyboardInterrupt), VteSource(site(), hook):
        pass
