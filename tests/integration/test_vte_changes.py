"""What a cheap look at a minute notices of its runs, over a real wire."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from vte_wats.config.settings import Settings
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.vte.reader import VteSource

NOON = datetime(2026, 3, 2, 12)
HOUR = LocalRange(NOON, NOON + timedelta(hours=1))
VOLTAGE = {
    "TestStepNumber": 1, "TestName": "Voltage", "TestResult": 5.01, "LowLimit": 4.9, "HighLimit": 5.1,
    "TestUnits": "V", "TestResultType": 1,
}  # fmt: skip
UNIT_OF_RUN = "[Uut_GUID] = (SELECT [Uut_GUID] FROM [dbo].[IndexData] WHERE [Index_GUID] = '{guid}')"
CHANGES = {
    "Result": "UPDATE [dbo].[IndexData] SET [Result] = 0 WHERE [Index_GUID] = '{guid}'",
    "serial": f"UPDATE [dbo].[UutData] SET [Serial] = 'SN9' WHERE {UNIT_OF_RUN}",
    "part": "UPDATE [dbo].[IndexData] SET [ProductName] = 'psu-100' WHERE [Index_GUID] = '{guid}'",
    "limit": "UPDATE [dbo].[TestDataNumeric] SET [LowLimit] = 4.95 WHERE [Index_GUID] = '{guid}'",
    "end of a long text": "UPDATE [dbo].[TestDataText] SET [TestResult] = [TestResult] + '!' WHERE [Index_GUID] = '{guid}'",
    "late step": "INSERT INTO [dbo].[TestDataNumeric] ([Index_GUID], [TestStepNumber], [TestName]) "
    "VALUES ('{guid}', 9, 'late')",
    "deleted step": "DELETE FROM [dbo].[TestDataNumeric] WHERE [Index_GUID] = '{guid}'",
}


def site(**settings: Any) -> Settings:
    return Settings.model_validate({"source_timezone": "Europe/Oslo", "process_map": {"*": 100}} | settings)


def look(hook: Any, **settings: Any) -> dict[str, tuple[int, str]]:
    with VteSource(site(**settings), hook) as source:
        return {
            f"{content.minute_local:%H:%M}": (content.runs, content.fingerprint)
            for content in source.minute_contents([HOUR])
        }


@pytest.fixture
def guid(add_run):
    add_run(NOON, numeric=[VOLTAGE])
    add_run(NOON + timedelta(minutes=59, seconds=59.99))
    add_run(NOON + timedelta(hours=1))
    return add_run(
        NOON + timedelta(minutes=5), numeric=[VOLTAGE], text=[{"TestStepNumber": 2, "TestResult": "x" * 5_000}]
    )


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_only_the_minute_of_a_changed_run_looks_otherwise(hook, served, guid, change):
    before = look(hook)
    assert [(minute, runs) for minute, (runs, _) in before.items()] == [("12:00", 1), ("12:05", 1), ("12:59", 1)]
    assert look(hook) == before
    served.store.run_script(change.format(guid=guid))
    after = look(hook)
    assert {minute for minute in before if before[minute] != after[minute]} == {"12:05"}


def test_two_runs_of_a_minute_that_exchange_their_serials_are_noticed(hook, served, add_run):
    guids = [add_run(NOON + timedelta(seconds=n), f"SN{n}") for n in range(2)]
    before = look(hook)
    for guid, serial in zip(guids, ["SN1", "SN0"], strict=True):
        unit = UNIT_OF_RUN.format(guid=guid)
        served.store.run_script(f"UPDATE [dbo].[UutData] SET [Serial] = '{serial}' WHERE {unit}")
    assert look(hook) != before


def test_a_site_without_optional_columns_is_looked_at_as_well(hook, served, guid):
    absent = {
        "IndexData": {"columns": {"Info1": None, "ExitCode": None}},
        "TestDataNumeric": {"columns": {"LowLimit": None}},
    }
    before = look(hook, column_overrides=absent)
    assert len(before) == 3
    served.store.run_script(CHANGES["limit"].format(guid=guid))
    assert look(hook, column_overrides=absent) == before
