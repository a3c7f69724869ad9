"""The check of the matrix sees what it is there to see: a report that differs in one field."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from sandbox.environment import SandboxEnvironment
from tests.faults.mutations import MUTATIONS
from tests.site.content import Tables, differences
from vte_wats.config.settings import parse_settings
from vte_wats.mapping.report_builder import map_run
from vte_wats.vte.reader import VteSource

Report = dict[str, Any]


@pytest.fixture(scope="module")
def compared() -> tuple[Report, Callable[[Report], list[str]]]:
    """A right report, and the comparison with the rows it was made from."""
    with SandboxEnvironment() as plant, pytest.MonkeyPatch.context() as patch:
        for name, text in plant.environment_variables.items():
            patch.setenv(name, text)
        end = datetime(2026, 3, 2, 10, tzinfo=UTC)
        plant.factory_data.load(plant.db, start=end - timedelta(minutes=9), end=end, runs=1, steps=40)
        tables = Tables(plant.db.query)
        (guid,) = tables.runs
        settings = parse_settings(json.dumps(plant.factory_data.settings()))
        with VteSource(settings) as source:
            (run,) = source.runs_by_guid([UUID(guid)])
        report = json.loads(map_run(run, settings).body)

        def compare(changed: Report) -> list[str]:
            zone = ZoneInfo(plant.factory_data.timezone)
            return differences(
                tables.runs[guid],
                tables.steps[guid],
                changed,
                zone=zone,
                processes=plant.factory_data.settings()["process_map"],
            )

        return report, compare


def test_a_right_report_has_no_differences(compared):
    report, compare = compared
    assert compare(report) == []


def _number(report: Report) -> Report:
    return next(step for step in report["root"]["steps"] if "numericMeas" in step)["numericMeas"][0]


def _text(report: Report) -> Report:
    return next(step for step in report["root"]["steps"] if "stringMeas" in step)["stringMeas"][0]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda r: r.update(sn=r["sn"] + "0"), id="serial"),
        pytest.param(lambda r: r.update(pn="other"), id="part"),
        pytest.param(lambda r: r.update(processCode=1), id="process"),
        pytest.param(lambda r: r.update(result="E"), id="result"),
        pytest.param(lambda r: r.update(start="2026-03-02T09:00:00+00:00"), id="start"),
        pytest.param(lambda r: r.update(machineName="other"), id="station"),
        pytest.param(lambda r: _number(r).update(value=_number(r)["value"] * (1 + 1e-15) + 1e-300), id="value"),
        pytest.param(lambda r: _number(r).update(unit="kg"), id="unit"),
        pytest.param(lambda r: _number(r).update(status="E"), id="status"),
        pytest.param(lambda r: _number(r).update(lowLimit=-12345.0), id="limit"),
        pytest.param(lambda r: _text(r).update(value="other"), id="text"),
        pytest.param(lambda r: r["root"]["steps"].pop(), id="missing-step"),
        pytest.param(lambda r: r["root"]["steps"].append(r["root"]["steps"][0]), id="doubled-step"),
        pytest.param(lambda r: r["root"]["steps"].reverse(), id="order"),
    ],
)
def test_a_report_that_differs_in_one_field_is_found(compared, change):
    report, compare = compared
    changed = copy.deepcopy(report)
    change(changed)
    assert compare(changed)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda one: one.name)
def test_the_place_of_every_deliberate_bug_is_in_the_code(repository, mutation):
    assert mutation.old in (repository / mutation.path).read_text(encoding="utf-8")
