"""The report: hostile texts of a database stay texts."""

from __future__ import annotations

import csv
import re
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest

from tests.unit.builders import a_run, a_settings, guid_of
from vte_wats.domain.run import StepKind, VteStepResult
from vte_wats.survey.plans import ExecutionPlan, Plans
from vte_wats.survey.plots import relations_svg
from vte_wats.survey.proposal import Evidence, propose
from vte_wats.survey.results import Survey, SurveyRequest
from vte_wats.survey.sample_findings import BusyHour, Distribution, Issue
from vte_wats.survey.schema import (
    DeployedColumn,
    DeployedIndex,
    DeployedKey,
    DeployedTable,
    compare_foreign_keys,
    compare_schema,
    documented_schema,
)
from vte_wats.survey.step_keys import StepKeys
from vte_wats.survey.survey_documents import Documents, issues_csv, render, runs_csv, safe_cell, steps_csv, yields_csv
from vte_wats.survey.tally import Tally
from vte_wats.survey.trial import TrialLine, try_mapping


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


TEXTS = DeployedTable(name="TestDataText", columns=(DeployedColumn(name="Index_GUID", data_type="uniqueidentifier"),))
EXAMPLES = Issue(what="odd", seen=2, examples=(str(guid_of(1)), str(guid_of(2))), consequence="None.")
HOSTILE = "<script>alert('x')</script>\"onload=alert(1) & {{ 7 * 7 }}"


@pytest.fixture(scope="module")
def documents() -> Documents:
    """The documents of a site whose every name is hostile."""
    run = a_run(1, serial=HOSTILE, site_name=HOSTILE)
    tally = Tally(a_settings())
    tally.add(run)
    key = DeployedKey(name="FK", columns=("A b",), parent=HOSTILE, parent_columns=("A b",))
    index = DeployedIndex(name=HOSTILE, columns=(HOSTILE,))
    table = DeployedTable(
        name=HOSTILE, columns=(DeployedColumn(name="A b", data_type="int"),), indexes=(index,), foreign_keys=(key,)
    )
    findings = tally.findings()
    survey = Survey(
        database=HOSTILE,
        measured_at=datetime(2026, 6, 15, 10, tzinfo=UTC),
        package_version="0",
        operator="keep",
        request=SurveyRequest(),
        stopped=HOSTILE,
        advice=(HOSTILE,),
        indexes=(HOSTILE,),
        plans=Plans(
            statements=(
                ExecutionPlan(
                    statement=HOSTILE,
                    cost=1.5,
                    operators={HOSTILE: 2},
                    scanned=(HOSTILE,),
                    indexes=(HOSTILE,),
                    warnings=(HOSTILE,),
                ),
                ExecutionPlan(statement="cut", unreadable=HOSTILE),
            ),
            unavailable=HOSTILE,
        ),
        tables=(table,),
        comparison=tuple(compare_schema([table], a_settings())),
        foreign_keys=tuple(compare_foreign_keys([table, TEXTS], a_settings())),
        distributions=tuple(
            Distribution(of=of, runs={HOSTILE: {"1": 3, "7": 1}, "other": {"7": 1}}, yields={HOSTILE: 0.75})
            for of in ("month", "product", "test plan", "station")
        ),
        hours_of_week=(BusyHour(weekday=0, hour=8, runs=4),),
        findings=findings,
        step_keys=StepKeys(unavailable=HOSTILE),
        trial=try_mapping([run], a_settings(), [EXAMPLES]),
        proposal=propose(Evidence(findings=findings, given={"default_location": HOSTILE}), "vte_wats"),
    )
    return render(survey, [run])


def test_no_text_of_the_database_becomes_markup(documents):
    elements: list[tuple[str, list[tuple[str, str | None]]]] = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attributes: elements.append((tag, attributes))
    parser.feed(documents.html)
    assert len(elements) > 500
    assert "script" not in {tag for tag, _ in elements}
    assert not [name for _, attributes in elements for name, _ in attributes if name.startswith("on")]
    assert "{{ 7 * 7 }}" in documents.html
    assert documents.html.count("<svg") == 8


def test_plans_are_shown_with_what_the_server_withholds(documents):
    shown = " ".join(documents.html.split())
    assert "did not show all of them" in shown
    assert "reads whole tables" in shown
    assert " × 2" in shown
    assert "by the preflight and the plans" in shown


def test_yields_stand_in_a_table_below_each_plot(documents):
    shown = " ".join(documents.html.split())
    assert shown.count("yield by ") == 4
    assert shown.count('<td class="n">75.0 %</td>') == 4
    assert (
        shown.count(
            '<tr><td>other</td><td class="n">1</td><td class="n">0</td><td class="n">–</td><td class="n">–</td></tr>'
        )
        == 4
    )


def test_foreign_keys_that_differ_say_what_follows(documents):
    shown = " ".join(documents.html.split())
    assert "<td>TestDataText (Index_GUID)</td><td>IndexData</td><td>missing</td><td>Rows may point to nothing" in shown
    assert "<td>additional</td><td>It is not documented, and makes no difference.</td>" in shown


def test_every_kept_run_stands_in_the_report_and_examples_lead_to_it(documents):
    assert documents.html.count(f'<tr id="run-{guid_of(1)}">') == 1
    assert f'<a href="#run-{guid_of(1)}">{guid_of(1)}</a> {guid_of(2)}</td>' in documents.html
    assert '<a href="#runs">' in documents.html
    assert '<h2 id="runs">' in documents.html


def test_on_paper_the_report_is_light(documents):
    dark = re.findall(r"@media [^{]*dark[^{]*", documents.html)
    assert dark == ["@media screen and (prefers-color-scheme: dark) "]


def test_plots_show_results_and_take_the_colour_of_the_page(documents):
    assert "7 (not known)" in documents.html
    assert "currentColor" in documents.html


def test_the_deployed_tables_are_drawn_beside_the_documented_ones(documents):
    deployed, documented = (documents.html.split(f"<figcaption>{caption}")[1].split("</figure>")[0] for caption in (
        "Deployed here", "Documented for VTE 9.31.1"
    ))  # fmt: skip
    assert ">TestDataNumeric</text>" in documented
    assert ">TestDataNumeric</text>" not in deployed
    assert deployed.count('rect mark"') == 1
    assert documented.count('rect mark"') == len(documented_schema())
    assert documented.count('rule mark"') == len(
        {(name, parent) for name, table in documented_schema().items() for parent in table.references.values()}
    )


def test_a_table_stands_right_of_what_it_points_to_and_differs_in_colour_where_the_other_schema_lacks_it():
    here = {"Runs": ["Units"], "Units": ["Runs"], "Steps": ["Runs", "Gone"], "Own": ["Own"]}
    drawn = relations_svg(here, {"Runs": ["Units"], "Units": [], "Steps": ["Runs"]})
    marks = re.findall(
        r'aria-label="x: (\d+)[^"]*here: ([a-z ]+)" role="graphics-symbol" aria-roledescription="(\w+)', drawn
    )
    boxes = [(int(x), where) for x, where, mark in marks if mark == "rect"]
    assert [where for _, where in boxes] == ["in both", "in both", "in both", "here alone"]
    assert {x for x, _ in boxes[:3]} > {boxes[2][0]} > set()
    assert boxes[2][0] == max(x for x, _ in boxes)
    lines = [where for _, where, mark in marks if mark == "rule"]
    assert sorted(lines) == ["here alone", "in both", "in both"]


def test_names_cannot_end_a_line_of_the_diagram(documents):
    lines = documents.diagram.splitlines()
    assert lines[0] == "erDiagram"
    assert len(lines) == 5
    assert not any(character in documents.diagram for character in "<>'\"")


def test_the_whole_is_json_again(documents):
    assert Survey.model_validate_json(documents.json).database == HOSTILE
