"""What is counted of sampled runs."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest

from tests.unit.builders import NOON_LOCAL, a_run, a_settings
from vte_wats.domain.run import Defect, StepKind, VteProduct, VteStepResult, VteTestRun
from vte_wats.survey.sample_findings import Findings
from vte_wats.survey.tally import Tally, content_kind


def counted(*runs: VteTestRun, **answers) -> Findings:
    tally = Tally(a_settings(**answers))
    for run in runs:
        tally.add(run)
    return tally.findings()


def number(value: float | None, low: float | None = None, high: float | None = None, **fields) -> VteStepResult:
    return VteStepResult(kind=StepKind.NUMERIC, numeric_value=value, low_limit=low, high_limit=high, **fields)


def test_the_columns_that_a_report_cannot_do_without_come_first():
    first = [column.column for column in counted(a_run(1)).columns[:3]]
    assert first == ["UutData.Serial", "IndexData.ProductName", "IndexData.TestplanName"]


def test_null_and_blank_are_counted_apart():
    found = counted(a_run(1, serial=None), a_run(2, serial="  "), a_run(3, serial=""), a_run(4, serial="SN-4711"))
    (serial,) = [column for column in found.columns if column.column == "UutData.Serial"]
    assert (serial.rows, serial.nulls, serial.blanks, serial.longest) == (4, 1, 2, 7)
    assert serial.empty_share == 0.75


def test_numbers_and_times_have_a_range():
    found = {column.column: column for column in counted(a_run(1, test_time_s=3.0), a_run(9, test_time_s=60.5)).columns}
    assert (found["IndexData.TestTime"].lowest, found["IndexData.TestTime"].highest) == (3.0, 60.5)
    assert found["IndexData.Timestamp"].lowest == "2026-06-15 12:00:01"


def test_values_outside_their_limits_are_counted_by_the_codes_of_step_and_run():
    good = a_run(1, steps=(number(5, 4, 6, result_code=1),))
    bad = a_run(2, result_code=0, exit_code=1, steps=(number(5, 4, 6, result_code=1), number(9, 4, 6, result_code=0)))
    found = counted(good, bad)
    assert {c.code: (c.seen, c.judged, c.outside) for c in found.run_codes} == {1: (1, 1, 0), 0: (1, 1, 1)}
    assert {c.code: (c.seen, c.judged, c.outside) for c in found.step_codes} == {1: (2, 2, 0), 0: (1, 1, 1)}
    assert {c.code: c.exit_codes for c in found.run_codes}[0] == {"1": 1}


@pytest.mark.parametrize("limit", [9.9e37, 3.4e38, 1e308])
def test_a_limit_beyond_all_measuring_judges_nothing(limit):
    found = counted(a_run(1, steps=(number(5, limit, None, result_code=1),)))
    assert [(c.judged, c.outside) for c in found.step_codes] == [(0, 0)]
    assert [(seen.limit, seen.times, seen.steps) for seen in found.limits] == [(limit, 1, 1)]


def test_units_have_their_range_and_overloads_are_no_values():
    found = counted(a_run(1, steps=(number(5, units="V"), number(-2, units=" V "), number(9.9e37, units="V"))))
    assert [(u.units, u.values, u.lowest, u.highest) for u in found.units] == [("V", 2, -2, 5)]
    assert [issue.what for issue in found.issues] == ["9.9E37 or 9.91E37 measured: an overload or no number"]


def test_steps_per_run_are_counted_in_classes():
    found = counted(a_run(1), a_run(2, steps=(number(1),) * 7), a_run(3, steps=(number(1),) * 9))
    assert found.step_counts.runs == {0: 1, 10: 2}
    assert (found.step_counts.most, found.step_counts.without, found.steps) == (9, 1, 16)


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({}, "NULL"),
        ({"bytes_value": b""}, "empty"),
        ({"bytes_value": b"\x89PNG\r\n\x1a\nrest"}, "image/png"),
        ({"bytes_value": "23,5 °C\r\n".encode()}, "text"),
        ({"bytes_value": b"\xff\x00\x01"}, "application/octet-stream"),
        ({"text_value": "42"}, "text, by the type of the column"),
    ],
)
def test_other_values_have_a_kind_by_their_first_bytes(fields, kind):
    step = VteStepResult(kind=StepKind.OTHER, **fields)
    assert content_kind(step) == kind
    assert counted(a_run(1, steps=(step,))).contents == {kind: 1}


def test_a_run_that_cannot_be_read_counts_as_an_issue_and_nothing_else():
    tally = Tally(a_settings())
    assert tally.add(a_run(1, serial=None, defect=Defect(reason="VW230 …", signature="IndexData.Result: int")))
    found = tally.findings()
    assert [(issue.what, issue.seen) for issue in found.issues] == [
        ("cannot be read as it is: IndexData.Result: int", 1)
    ]
    assert all(column.rows == 0 for column in found.columns)


def test_equal_natural_keys_and_inverted_limits_are_issues_with_examples():
    twin = a_run(1).model_copy(update={"index_guid": UUID(int=99)})
    steps = (number(5, 6, 4),)
    found = {issue.what: issue for issue in counted(a_run(1), twin, a_run(3, steps=steps)).issues}
    assert found["same serial, product, test plan and time as another run"].examples == (str(UUID(int=99)),)
    assert found["a LowLimit above its HighLimit"].seen == 1
    assert found["no steps"].seen == 2


def test_runs_of_other_products_at_one_time_are_no_twins():
    other = a_run(1, product=VteProduct(name="PN-2")).model_copy(update={"index_guid": UUID(int=99)})
    assert not [issue for issue in counted(a_run(1), other).issues if "same serial" in issue.what]


def test_tests_are_counted_by_how_long_they_took():
    times = (60.0, 60.1, 7_000.0, 999_999.0, 0.0, -3.0, None)
    runs = [a_run(n + 1, test_time_s=test_time_s) for n, test_time_s in enumerate(times)]
    assert counted(*runs).test_times == {60: 1, 300: 1, 7_200: 1, 1_000_000_000: 1}


@pytest.mark.parametrize(("marks", "other"), [("end", "start"), ("start", "end")])
def test_neighbours_of_one_station_show_which_end_of_a_test_timestamp_is(marks, other):
    station, clock, runs = UUID(int=7), NOON_LOCAL, []
    for number_of_run in range(1, 11):
        test_time_s = 100.0 if number_of_run % 2 else 10.0
        ended = clock + timedelta(seconds=test_time_s)
        at = ended if marks == "end" else clock
        runs.append(a_run(number_of_run, timestamp_local=at, test_time_s=test_time_s, testsystem_guid=station))
        clock = ended + timedelta(seconds=2)
    found = counted(*runs).marks
    assert (found.neighbours, getattr(found, f"overlaps_as_{marks}")) == (9, 0)
    assert getattr(found, f"overlaps_as_{other}") >= 4
