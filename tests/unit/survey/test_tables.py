"""Yields and kept runs as CSV."""

from __future__ import annotations

import csv

import pytest

from tests.unit.builders import a_run
from vte_wats.domain.run import StepKind, VteStepResult
from vte_wats.survey.sample_findings import Distribution, Issue
from vte_wats.survey.tables import issues_csv, runs_csv, safe_cell, steps_csv, yields_csv
from vte_wats.survey.trial import TrialLine


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1"])
def test_a_text_that_a_spreadsheet_would_compute_is_only_text(text):
    assert safe_cell(text) == f"'{text}"


@pytest.mark.parametrize(("value", "cell"), [(-1.5, "-1.5"), (0, "0"), (None, ""), ("A-1", "A-1"), (1e-300, "1e-300")])
def test_numbers_stay_numbers_and_null_is_empty(value, cell):
    assert safe_cell(value) == cell


def test_a_run_has_a_line_with_what_would_become_of_it():
    run = a_run(1, serial="=cmd|' /C calc'!A0", operator="Kari")
    line = TrialLine(index_guid=run.index_guid, outcome="held", reason="VW401 unmapped")
    ((columns, cells)) = csv.reader(runs_csv([run], [line]).splitlines())
    found = dict(zip(columns, cells, strict=True))
    assert found["Serial"] == "'=cmd|' /C calc'!A0"
    assert (found["UserName"], found["outcome"], found["reason"]) == ("Kari", "held", "VW401 unmapped")


def test_a_name_has_a_line_with_its_yields_in_percent():
    found = Distribution(
        of="station",
        runs={"=S1": {"1": 2, "0": 1}, "S2": {"7": 4}},
        yields={"=S1": 2 / 3},
        first_runs={"=S1": {"1": 1, "0": 1}, "S2": {"7": 3}},
        first_pass_yields={"=S1": 0.5},
    )
    _, *rows = csv.reader(yields_csv([found]).splitlines())
    assert rows == [["station", "'=S1", "3", "2", "50.0", "66.67"], ["station", "S2", "4", "3", "", ""]]


def test_an_issue_has_a_line_and_its_names_are_no_formulas():
    found = Issue(what="=cmd", seen=3, examples=("a", "b"), consequence="Held, until then")
    _, *rows = csv.reader(issues_csv([found]).splitlines())
    assert rows == [["'=cmd", "3", "Held, until then", "a b"]]


def test_binary_values_are_named_and_not_written():
    steps = (
        VteStepResult(kind=StepKind.OTHER, bytes_value=b"\x89PNG\r\n\x1a\n" + b"\0" * 92),
        VteStepResult(kind=StepKind.NUMERIC, numeric_value=-0.0, low_limit=1e-300),
    )
    rows = list(csv.DictReader(steps_csv([a_run(1, steps=steps)]).splitlines()))
    assert [row["TestResult"] for row in rows] == ["image/png, 100 bytes", "-0.0"]
    assert rows[1]["LowLimit"] == "1e-300"
