"""Small builders of runs, reports and settings; every test names only what it is about."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from vte_wats.config.settings import Settings
from vte_wats.domain.report import NaturalKey, Report
from vte_wats.domain.run import Outcome, VteProduct, VteTestplan, VteTestRun
from vte_wats.domain.source import Index, SourceFacts
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import SettledSync

NOON_LOCAL = datetime(2026, 6, 15, 12, 0)


def guid_of(number: int) -> UUID:
    return UUID(int=number)


def a_settings(**answers: Any) -> Settings:
    return Settings(**{"source_timezone": "Europe/Oslo", "process_map": {"Gain": 100}, **answers})


def a_run(number: int = 1, **fields: Any) -> VteTestRun:
    """Return run ``number``: a unit and a second of its own."""
    typical = {
        "index_guid": guid_of(number),
        "timestamp_local": NOON_LOCAL + timedelta(seconds=number),
        "result_code": 1,
        "test_time_s": 12.5,
        "serial": f"SN-{number}",
        "product": VteProduct(name="PN-1"),
        "testplan": VteTestplan(name="Gain"),
        "testsystem_name": "Station 4",
    }
    return VteTestRun(**{**typical, **fields})


def a_natural_key(number: int = 1, process_code: int = 100) -> NaturalKey:
    start_at = datetime(2026, 6, 15, 10, 0, tzinfo=UTC) + timedelta(seconds=number)
    return NaturalKey(f"SN-{number}", "PN-1", process_code, start_at)


def a_report(number: int = 1, *, source_hash: str = "aaaa", natural_key: NaturalKey | None = None) -> Report:
    """Return the report of run ``number``."""
    body = {"id": str(number), "miscInfos": [{"description": "source_hash", "text": source_hash}]}
    return Report(guid_of(number), source_hash, natural_key or a_natural_key(number), "P", json.dumps(body).encode())


_syncs = count(1)


def a_sync(
    window: Interval | None = None, outcomes: dict[Outcome, int] | None = None, settings_hash: str = "1234", **how: Any
) -> SettledSync:
    """Return a balanced sync, another one at each call."""
    return SettledSync(f"sync-{next(_syncs)}", window, outcomes or {}, settings_hash, **how)


GOOD_FACTS = SourceFacts(
    version="15.0.4153.1",
    edition="Standard Edition (64-bit)",
    compatibility_level=110,
    read_committed_snapshot=False,
    reads_snapshot=True,
    may_write=False,
    encrypted=True,
    verifies_server=True,
    indexes=(
        Index("IndexData", "PK_IndexData", ("Index_GUID",)),
        Index("IndexData", "IX_Time", ("Timestamp", "Result")),
        Index("UutData", "PK_UutData", ("Uut_GUID",)),
        *(Index(f"TestData{kind}", f"IX_{kind}", ("Index_GUID",)) for kind in ("Numeric", "Text", "Other")),
    ),
    null_times=0,
    null_keys=0,
    duplicate_units=0,
    doubled_unit=None,
)


def column_types(settings: Settings) -> dict[str, str]:
    """Return the columns that are read, with the types that the documentation gives them."""
    kinds = {"_GUID": "uniqueidentifier", "Timestamp": "datetime", "StepNumber": "int", "Type": "int", ".Result": "int",
             "Limit": "float", "TestTime": "real", "Code": "int", "Numeric.TestResult": "float"}  # fmt: skip
    return {
        name: next((kind for end, kind in kinds.items() if name.endswith(end)), "nvarchar")
        for name in settings.columns_read
    }
