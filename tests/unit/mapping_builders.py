"""Small builders for runs, steps and the reports made of them; every test names only what it is about."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from tests.unit.builders import a_settings
from vte_wats.config.settings import Settings
from vte_wats.domain.run import StepKind, VteProduct, VteStepResult, VteTestplan, VteTestRun
from vte_wats.mapping.report_builder import map_run

GUID = UUID("5C0A9A3E-3B1F-4B7B-9B64-0D0F3A0C2E11")
SYSTEM_GUID = UUID("0E6B6E9D-52B5-4C6D-8A31-7C1C6A8B9D22")


def a_run(**fields: Any) -> VteTestRun:
    typical = {
        "index_guid": GUID,
        "timestamp_local": datetime(2026, 6, 15, 14, 30, 0, 250_000),
        "result_code": 1,
        "test_time_s": 12.5,
        "serial": "SN-1",
        "product": VteProduct(name="PN-1"),
        "testplan": VteTestplan(name="Gain"),
        "testsystem_name": "Station 4",
    }
    return VteTestRun(**{**typical, **fields})


def a_number(value: float | None = 1.5, **fields: Any) -> VteStepResult:
    typical = {"step_number": 1, "test_name": "Gain", "result_code": 1}
    return VteStepResult(kind=StepKind.NUMERIC, numeric_value=value, **{**typical, **fields})


def a_text(value: str | None = "ok", **fields: Any) -> VteStepResult:
    typical = {"step_number": 1, "test_name": "Firmware", "result_code": 1}
    return VteStepResult(kind=StepKind.TEXT, text_value=value, **{**typical, **fields})


def an_other(value: bytes | str | None = b"ok", **fields: Any) -> VteStepResult:
    typical = {"step_number": 1, "test_name": "Trace", "result_code": 1}
    field = "text_value" if isinstance(value, str) else "bytes_value"
    return VteStepResult(kind=StepKind.OTHER, **{**typical, field: value, **fields})


def body_of(run: VteTestRun, settings: Settings | None = None) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(map_run(run, settings or a_settings()).body)
    return body


def steps_of(*rows: VteStepResult, settings: Settings | None = None) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = body_of(a_run(steps=rows), settings)["root"]["steps"]
    return steps


def misc_infos_of(body: dict[str, Any]) -> dict[str, str]:
    return {info["description"]: info["text"] for info in body["miscInfos"]}
