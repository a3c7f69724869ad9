"""The run that docs/mapping.md shows beside its report, as VTE holds it."""

from __future__ import annotations

import struct
from datetime import datetime
from pathlib import Path
from uuid import UUID

from vte_wats.config.settings import Settings, parse_settings
from vte_wats.domain.run import StepKind, VteProduct, VteStepResult, VteTestplan, VteTestRun

PAGE = Path(__file__).parents[1] / "docs" / "mapping.md"


def blocks() -> list[str]:
    """Return the JSON that the page shows: the settings, then the report."""
    return [part.partition("\n```")[0] for part in PAGE.read_text(encoding="utf-8").split("```json\n")[1:]]


def documented_settings() -> Settings:
    """Return the settings of the page."""
    return parse_settings(blocks()[0])


def _single(number: float) -> float:
    """Return what a ``real`` column gives for a number."""
    return float(struct.unpack("f", struct.pack("f", number))[0])


def _numeric(step_number: int, test_number: str, name: str, value: float, **fields: object) -> VteStepResult:
    return VteStepResult(
        kind=StepKind.NUMERIC, step_number=step_number, test_number=test_number, test_name=name,
        numeric_value=_single(value), **fields,
    )  # fmt: skip


def documented_run() -> VteTestRun:
    """Return the run."""
    return VteTestRun(
        index_guid=UUID("5c0a9a3e-3b1f-4b7b-9b64-0d0f3a0c2e11"),
        timestamp_local=datetime(2026, 6, 15, 14, 30, 0, 250_000),
        result_code=0,
        exit_code=17,
        test_time_s=_single(12.4),
        serial="SN-4711",
        product=VteProduct(name="PSU-24-10"),
        testplan=VteTestplan(name="PSU Final Test", variant="230 V", revision="1.4"),
        testsystem_guid=UUID("0e6b6e9d-52b5-4c6d-8a31-7c1c6a8b9d22"),
        testsystem_name="Station 4",
        hostname="PC-4",
        site_name="Oslo",
        operator="Kari",
        info1="Lot 47, socket 2",
        info2="FX-9 rev C",
        steps=(
            VteStepResult(
                kind=StepKind.TEXT, step_number=10, test_number="1.1", test_name="Firmware", text_value="1.0.7",
            ),
            _numeric(
                20, "2.1.1", "Output voltage", 24.1, units="V", result_code=1, test_description="Without load",
                low_limit=_single(23.5), high_limit=_single(24.5),
            ),
            _numeric(
                30, "2.1.2", "Output voltage", 23.4, units="V", result_code=0, test_description="With 10 A",
                low_limit=_single(23.5), high_limit=_single(24.5),
            ),
            _numeric(40, "2.2", "Ripple", 0.1, units="V", high_limit=_single(0.25)),
            _numeric(50, "2.3", "Efficiency", 91.2, units="%"),
            _numeric(60, "3", "Burn-in current", 1.5, units="A", result_code=7),
            VteStepResult(
                kind=StepKind.OTHER, step_number=70, test_number="4", test_name="Trace", bytes_value=b"\x89PNG\r\n\x1a\n",
            ),
        ),
    )  # fmt: skip
