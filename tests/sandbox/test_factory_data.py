"""The plant is believable, consistent, and the same for the same seed."""

import hashlib
import json
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sandbox.factory_data.factory import FactoryData
from tests.sandbox.in_memory_vte import InMemoryVte

ROOT = Path(__file__).parents[2]
START, END = datetime(2026, 3, 10, 6, tzinfo=UTC), datetime(2026, 3, 11, 6, tzinfo=UTC)
STEP_TABLES = ("TestDataNumeric", "TestDataText", "TestDataOther")
ALL_STEPS = " UNION ALL ".join(
    f'SELECT "Index_GUID", "TestStepNumber", "TestResultType" FROM "{table}"' for table in STEP_TABLES
)


class _Digest:
    """Digests what is written, in the order of writing."""

    def __init__(self):
        self.sha = hashlib.sha256()

    def insert_arrow(self, table, rows):
        self.sha.update(f"{table}{rows.to_pylist()}".encode())

    def insert_rows(self, rows):
        self.sha.update(repr(rows).encode())


def digest(seed):
    written, factory_data = _Digest(), FactoryData(seed)
    names = [name for name in factory_data.oddities if name not in {"equal_timestamp_burst", "other_one_megabyte"}]
    factory_data.load(written, start=START, end=END, runs=40, oddities=names)
    return written.sha.hexdigest()


@pytest.fixture(scope="module")
def loaded():
    """A day of 4,000 runs without oddities."""
    store = InMemoryVte()
    summary = FactoryData(seed=7).load(store, start=START, end=END, runs=4_000)
    return store, summary


def test_one_seed_gives_one_plant_in_every_process():
    elsewhere = subprocess.run(
        [sys.executable, "-c", "from tests.sandbox.test_factory_data import digest; print(digest(3))"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "1", "TZ": "Asia/Tokyo"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert digest(3) == elsewhere.stdout.strip()
    assert digest(4) != digest(3)


def test_a_second_load_of_one_plant_brings_other_runs():
    store, factory_data = InMemoryVte(), FactoryData(seed=7)
    for _ in range(2):
        factory_data.load(store, start=START, end=END, runs=50)
    assert store.value('SELECT count(*) FROM "IndexData"') == 100
    assert store.value('SELECT count(*) FROM "Products"') == len(factory_data.master_rows()["Products"])


def test_the_summary_counts_what_is_there(loaded):
    store, summary = loaded
    assert (summary.runs, summary.guids_by_oddity) == (4_000, {})
    assert store.value('SELECT count(*) FROM "IndexData"') == summary.runs
    assert store.value(f"SELECT count(*) FROM ({ALL_STEPS})") == summary.steps


def test_about_95_percent_of_the_runs_pass(loaded):
    store, _ = loaded
    passed = store.value('SELECT count(*) FILTER ("Result" = 1) / count(*) FROM "IndexData"')
    assert 0.93 < passed < 0.965
    assert {row["Result"] for row in store.rows('SELECT DISTINCT "Result" FROM "IndexData"')} == {0, 1, 2, 3}


def test_a_run_failed_exactly_when_a_step_failed(loaded):
    store, _ = loaded
    # Judged the way a reader has to: by the code, and where that is NULL by the limits.
    judged = """
        SELECT "Index_GUID", coalesce(
            "TestResultType" = 0,
            "TestResult" < "LowLimit" OR "TestResult" > "HighLimit",
            false) AS failed
        FROM "TestDataNumeric"
        UNION ALL SELECT "Index_GUID", coalesce("TestResultType" = 0, false) FROM "TestDataText"
        UNION ALL SELECT "Index_GUID", coalesce("TestResultType" = 0, false) FROM "TestDataOther"
    """
    verdicts = store.rows(
        f"""
        SELECT i."Result" = 0 AS run_failed, bool_or(j.failed) AS step_failed, count(DISTINCT i."Index_GUID") AS n
        FROM "IndexData" AS i JOIN ({judged}) AS j USING ("Index_GUID") GROUP BY i."Index_GUID", run_failed
        """
    )
    assert len(verdicts) == 4_000
    assert all(verdict["run_failed"] == verdict["step_failed"] for verdict in verdicts)
    assert sum(verdict["step_failed"] for verdict in verdicts) > 100


def test_the_verdict_of_a_step_agrees_with_its_limits(loaded):
    store, _ = loaded
    outside = (
        """("TestResult" < coalesce("LowLimit", '-infinity') OR "TestResult" > coalesce("HighLimit", 'infinity'))"""
    )
    assert store.value(f'SELECT count(*) FROM "TestDataNumeric" WHERE "TestResultType" = 1 AND {outside}') == 0
    assert store.value(f'SELECT count(*) FROM "TestDataNumeric" WHERE "TestResultType" = 0 AND NOT {outside}') == 0
    assert store.value(f'SELECT count(*) FROM "TestDataNumeric" WHERE "TestResultType" IS NULL AND {outside}') > 0


def test_measurements_have_units_and_every_kind_of_limits(loaded):
    store, _ = loaded
    kinds = store.rows(
        """
        SELECT "LowLimit" IS NOT NULL AS low, "HighLimit" IS NOT NULL AS high, count(*) AS n, count("TestUnits") AS units
        FROM "TestDataNumeric" GROUP BY ALL
        """
    )
    assert {(kind["low"], kind["high"]) for kind in kinds} == {(a, b) for a in (True, False) for b in (True, False)}
    assert all(kind["units"] > 0.9 * kind["n"] for kind in kinds)
    assert store.value('SELECT min("LowLimit" - "HighLimit") < 0 FROM "TestDataNumeric"')


def test_runs_have_between_5_and_300_steps_of_all_three_kinds(loaded):
    store, _ = loaded
    lengths = store.rows(
        f"""
        SELECT i."TestplanName" AS plan, count(*) AS n FROM ({ALL_STEPS}) JOIN "IndexData" AS i USING ("Index_GUID")
        WHERE i."Result" = 1 GROUP BY i."Index_GUID", plan
        """
    )
    assert {row["n"] for row in lengths} >= {5, 300}
    assert all(5 <= row["n"] <= 300 for row in lengths)
    assert all(
        len({row["n"] for row in lengths if row["plan"] == plan}) == 1 for plan in {row["plan"] for row in lengths}
    )
    for table in STEP_TABLES:
        assert store.value(f'SELECT count(*) FROM "{table}"') > 0


def test_some_opaque_results_are_text_and_some_are_not(loaded):
    store, _ = loaded
    contents = [row["TestResult"] for row in store.rows('SELECT DISTINCT "TestResult" FROM "TestDataOther"')]
    decoded = [content.decode("utf-8", errors="replace") for content in contents]
    assert any("�" in text for text in decoded)
    assert any("�" not in text and "°C" in text for text in decoded)


def test_step_numbers_are_unique_within_a_run(loaded):
    store, _ = loaded
    doubles = f'SELECT count(*) FROM (SELECT 1 FROM ({ALL_STEPS}) GROUP BY "Index_GUID", "TestStepNumber" HAVING count(*) > 1)'
    assert store.value(doubles) == 0


def test_failed_units_come_back_later_under_their_serial(loaded):
    store, _ = loaded
    retests = store.rows(
        """
        SELECT r."Timestamp" - to_milliseconds((r."TestTime" * 1000)::BIGINT) AS started, (
            SELECT max(f."Timestamp") FROM "IndexData" AS f
            WHERE f."Uut_GUID" = r."Uut_GUID" AND f."TestplanName" = r."TestplanName" AND f."Result" <> 1
                AND f."Timestamp" < r."Timestamp") AS failed_at
        FROM "IndexData" AS r WHERE r."Info3" LIKE 'retest%'
        """
    )
    assert len(retests) > 50
    assert all(retest["failed_at"] + timedelta(minutes=1) < retest["started"] for retest in retests)


def test_no_unit_is_in_two_tests_at_once(loaded):
    store, _ = loaded
    overlaps = store.value(
        """
        SELECT count(*) FROM "IndexData" AS a JOIN "IndexData" AS b USING ("Uut_GUID")
        WHERE a."Timestamp" < b."Timestamp"
            AND b."Timestamp" - to_milliseconds((b."TestTime" * 1000)::BIGINT) < a."Timestamp"
        """
    )
    assert overlaps == 0


def test_every_run_refers_to_master_rows_with_the_same_names(loaded):
    store, summary = loaded
    matching = store.value(
        """
        SELECT count(*) FROM "IndexData" AS i
        JOIN "UutData" AS u USING ("Uut_GUID")
        JOIN "Products" AS p ON p."Product_GUID" = i."Product_GUID" AND p."Name" = i."ProductName"
        JOIN "Testplans" AS t ON t."Testplan_GUID" = i."Testplan_GUID" AND t."Name" = i."TestplanName"
        JOIN "TestplanRevisions" AS r ON r."TestplanRevision_GUID" = i."TestplanRevision_GUID"
            AND r."Revision" = i."TestplanRevision" AND r."Testplan_GUID" = t."Testplan_GUID"
        JOIN "TestSystems" AS s ON s."Testsystem_GUID" = i."Testsystem_GUID" AND s."Hostname" = i."Hostname"
        JOIN "Users" AS o ON o."User_GUID" = i."User_GUID" AND o."Name" = i."UserName"
        WHERE p."Product_GUID" = u."Product_GUID"
        """
    )
    assert matching == summary.runs
    assert store.value('SELECT count(DISTINCT "ProductName") FROM "IndexData"') == 8
    assert store.value('SELECT count(DISTINCT ("TestplanName", "TestplanRevision")) FROM "IndexData"') > 10


def test_operators_work_in_shifts(loaded):
    store, _ = loaded
    shifts = store.rows(
        """
        SELECT "UserName", count(DISTINCT (hour("Timestamp") + 18) % 24 // 8) AS shifts FROM "IndexData" GROUP BY ALL
        """
    )
    assert len(shifts) == 9
    assert all(row["shifts"] == 1 for row in shifts)


def test_users_have_passwords_that_nobody_may_ever_see(loaded):
    store, _ = loaded
    assert store.value('SELECT bool_and("Password" LIKE \'never-to-be-read-%\') FROM "Users"')


def test_every_timestamp_is_one_that_sql_server_holds(loaded):
    store, _ = loaded
    milliseconds = {
        row["ms"] for row in store.rows('SELECT DISTINCT millisecond("Timestamp") % 10 AS ms FROM "IndexData"')
    }
    assert milliseconds == {0, 3, 7}
    assert store.value('SELECT count(*) FROM "IndexData" WHERE microsecond("Timestamp") % 1000 <> 0') == 0


@pytest.mark.parametrize("timezone", ["Europe/Oslo", "America/New_York", "Asia/Kathmandu"])
def test_timestamps_are_the_wall_clock_of_the_zone_within_the_range(timezone):
    store = InMemoryVte()
    FactoryData(seed=7, timezone=timezone).load(store, start=START, end=START + timedelta(hours=2), runs=100)
    first, last = (at.astimezone(ZoneInfo(timezone)).replace(tzinfo=None) for at in (START, START + timedelta(hours=2)))
    found = store.rows('SELECT min("Timestamp") AS first, max("Timestamp") AS last FROM "IndexData"')[0]
    assert first <= found["first"] < found["last"] < last
    assert found["last"] - found["first"] > timedelta(hours=1)


@pytest.mark.parametrize("steps", [0, 1, 7, 50, 301])
def test_a_fixed_number_of_steps_is_kept_by_every_run(steps):
    store = InMemoryVte()
    summary = FactoryData(seed=7).load(store, start=START, end=END, runs=200, steps=steps)
    assert summary.steps == 200 * steps
    counts = store.rows(
        f'SELECT count(*) AS n, count(DISTINCT "TestStepNumber") AS d FROM ({ALL_STEPS}) GROUP BY "Index_GUID"'
    )
    assert all(row["n"] == row["d"] == steps for row in counts)


def test_quiet_days_have_few_runs():
    store = InMemoryVte()
    FactoryData(seed=7).load(
        store, start=datetime(2026, 3, 9, tzinfo=UTC), end=datetime(2026, 3, 16, tzinfo=UTC), runs=3_000
    )
    per_day = {
        row["day"]: row["n"]
        for row in store.rows('SELECT isodow("Timestamp") AS day, count(*) AS n FROM "IndexData" GROUP BY 1')
    }
    assert per_day.get(7, 0) < per_day[6] < per_day[3] / 2


def test_the_settings_map_every_ordinary_test_plan(loaded):
    store, _ = loaded
    settings = FactoryData(seed=7).settings(batch_size=50)
    assert (settings["source_timezone"], settings["timestamp_marks"], settings["batch_size"]) == (
        "Europe/Oslo",
        "end",
        50,
    )
    assert set(settings["process_map"].values()) == {50, 100, 110, 120}
    json.dumps(settings)
    plans = [row["TestplanName"] for row in store.rows('SELECT DISTINCT "TestplanName" FROM "IndexData"')]
    assert len(plans) == 8
    assert all(any(fnmatchcase(plan, pattern) for pattern in settings["process_map"]) for plan in plans)
    assert not any(fnmatchcase("Prototype Sandbox Plan", pattern) for pattern in settings["process_map"])


@pytest.mark.parametrize(
    ("start", "end"),
    [(END, START), (START.replace(tzinfo=None), END)],
    ids=["reversed", "naive"],
)
def test_a_range_that_makes_no_sense_is_refused(start, end):
    with pytest.raises(ValueError, match="aware and in this order"):
        FactoryData(seed=7).load(InMemoryVte(), start=start, end=end)


def test_bulk_writes_whole_columns_and_says_how_fast(capsys):
    class Calls(_Digest):
        inserts = 0
        single = 0

        def insert_arrow(self, table, rows):
            self.inserts += 1

        def insert_rows(self, rows):
            self.single += 1

    calls = Calls()
    began = time.perf_counter()
    summary = FactoryData(seed=7).load(calls, start=START, end=END, runs=6_000, steps=50)
    took_s = time.perf_counter() - began
    with capsys.disabled():
        print(  # noqa: T201 - a number for people
            f"\nplant in bulk: {summary.steps / took_s:,.0f} steps/s, 100,000 runs of 50 steps in {took_s / 0.06:.0f} s"
        )
    assert summary.steps == 300_000
    assert calls.inserts <= 3 * 5
    assert calls.single == 1
