"""What columns must hold: each rule fits what it describes, and not what stands beside it."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

import pytest

from tests.unit.builders import a_settings
from vte_wats.config.settings import KEY_COLUMNS, OPTIONAL_COLUMNS
from vte_wats.survey.column_rules import Rule, counted, is_required, judged, rules_for

NOON = datetime(2026, 3, 2, 12)
RULES = rules_for(a_settings())


def alone(*values: object) -> list[tuple[object, object]]:
    return [(None, value) for value in values]


def steps(*numbers: int) -> list[tuple[object, object]]:
    return [(run, number) for run in range(20) for number in numbers]


MOMENTS = alone(*(NOON + timedelta(minutes=n) for n in range(40)))
STATIONS = [(n % 4, f"PC-{n % 4}") for n in range(40)]
MEASURED = alone(*(n / 7 for n in range(40)))
GUIDS = alone(*(UUID(int=n) for n in range(40)))


@pytest.mark.parametrize(
    ("column", "pairs", "holds"),
    [
        ("IndexData.Result", alone(*[1] * 30, *[0] * 9, 7), True),
        ("IndexData.Result", alone(*[0] * 20, *[-1] * 20), False),
        ("IndexData.Result", alone(*range(40)), False),
        ("IndexData.Result", alone(*[1] * 40), None),
        ("IndexData.Result", alone(*[4711] * 40), False),
        ("IndexData.Timestamp", MOMENTS, True),
        ("IndexData.Timestamp", alone(*(NOON.replace(hour=0) + timedelta(days=n) for n in range(40))), False),
        ("IndexData.Timestamp", alone(*(NOON - timedelta(days=20_000 + n) for n in range(40))), False),
        ("IndexData.Timestamp", alone(*[NOON] * 40), False),
        ("IndexData.Timestamp", alone(*(str(NOON) + str(n) for n in range(40))), False),
        ("IndexData.TestTime", MEASURED, True),
        ("IndexData.TestTime", alone(*(-n / 7 for n in range(40))), False),
        ("IndexData.TestTime", alone(*(1e6 + n for n in range(40))), False),
        ("IndexData.TestTime", alone(*[1.0, 2.0] * 20), None),
        ("IndexData.TestTime", alone(*[-1.5] * 40), False),
        ("IndexData.Index_GUID", GUIDS, True),
        ("IndexData.Index_GUID", [*GUIDS, GUIDS[0]], False),
        ("IndexData.Hostname", STATIONS, True),
        ("IndexData.Hostname", [(n % 4, f"order {n % 9}") for n in range(40)], False),
        ("IndexData.Site", [(n % 4, "hall 1") for n in range(40)], None),
        ("IndexData.Site", [(1, f"hall {n % 2}") for n in range(40)], None),
        ("UutData.Serial", alone(*(f"SN{n}" for n in range(40))), True),
        ("UutData.Serial", alone(*(f"SN{n % 5}" for n in range(40))), False),
        ("UutData.Serial", alone(*(f"line\n{n}" for n in range(40))), False),
        ("TestSystems.Name", alone("ST1", "ST2", "ST3"), True),
        ("TestSystems.Name", alone("Oslo", "Oslo", "Bergen"), False),
        ("TestSystems.Name", alone("ST1", "ST2"), None),
        ("TestDataNumeric.TestStepNumber", steps(1, 2, 3), True),
        ("TestDataNumeric.TestStepNumber", steps(1, 1, 0), False),
        ("TestDataNumeric.TestStepNumber", steps(-1, -2, -3), False),
        ("TestDataNumeric.TestStepNumber", steps(1, 0), None),
        ("TestDataText.TestResultType", alone(*[1] * 39, 0), True),
        ("TestDataText.TestResultType", steps(1, 2, 3, 4, 5), False),
        ("TestDataText.TestName", alone(*["Output voltage", "Ripple at full load"] * 20), True),
        ("TestDataText.TestName", alone(*["V", "mV"] * 20), False),
        ("TestDataText.TestDescription", alone(*["1.2345.678.9"] * 40), False),
        ("TestDataText.TestUnits", alone(*["V", "µΩ·m"] * 20), True),
        ("TestDataText.TestUnits", alone(*["1.2", "1.3"] * 20), False),
        ("TestDataText.TestNumber", alone(*["1.2", "A-3"] * 20), True),
        ("TestDataText.TestNumber", alone(*["V", "step 1"] * 20), False),
        ("TestDataNumeric.TestResult", MEASURED, True),
        ("TestDataNumeric.TestResult", alone(*[1.0, 2.0] * 20), False),
        ("TestDataNumeric.LowLimit", [(n / 7, 0.0) for n in range(40)], True),
        ("TestDataNumeric.LowLimit", [(n / 7, 9.0) for n in range(40)], False),
        ("TestDataNumeric.LowLimit", [(n / 7, n / 8) for n in range(40)], False),
        ("TestDataNumeric.LowLimit", [(None, 1.0)] * 40, None),
        ("TestDataNumeric.HighLimit", [(n / 7, 9.9e37) for n in range(40)], True),
        ("TestDataNumeric.HighLimit", [(n / 7, 0.0) for n in range(40)], False),
        ("TestDataOther.TestResult", alone(b"\x89PNG\r\n\x1a\n1234", *[b"\x00\x01\x02"] * 2) * 10, True),
        ("TestDataOther.TestResult", alone(*(bytes([0, 255, n]) for n in range(40))), False),
    ],
)  # fmt: skip
def test_a_rule_fits_what_it_describes_and_nothing_else(column, pairs, holds):
    table, name = column.split(".")
    assert judged(RULES[table, name], pairs, required=False).holds is holds


def test_codes_are_those_that_are_set():
    other = rules_for(a_settings(result_codes={"10": "Passed", "11": "Failed"}))["IndexData", "Result"]
    assert judged(other, alone(*[10, 11] * 20), required=True).holds
    assert judged(other, alone(*[1, 0] * 20), required=True).holds is False


def test_few_rows_decide_nothing():
    assert judged(RULES["IndexData", "Timestamp"], MOMENTS[:19], required=True).holds is None
    assert judged(RULES["IndexData", "Timestamp"], [], required=True).holds is None


def test_a_column_of_nulls_can_only_be_one_that_a_run_may_lack():
    nulls = alone(*[None] * 30, *["x"] * 5, *[""] * 5)
    assert judged(RULES["UutData", "Serial"], nulls, required=True).holds is False
    assert judged(RULES["IndexData", "Hostname"], nulls, required=False).holds is None
    assert (is_required("UutData", "Serial"), is_required("IndexData", "Hostname")) == (True, False)


@pytest.mark.parametrize(("asked", "found", "holds"), [(50, 50, True), (50, 45, True), (50, 44, False), (0, 0, None)])
def test_a_reference_is_found_in_the_table_that_it_points_to(asked, found, holds):
    fit = counted(RULES["IndexData", "Uut_GUID"], asked, found)
    assert fit.holds is holds
    assert fit.sure is (holds is not None)


def test_what_was_seen_is_counted_and_names_no_value():
    fit = judged(RULES["UutData", "Serial"], alone(*(f"SN-SECRET-{n}" for n in range(39)), None), required=True)
    assert fit.seen == (
        "40 rows read, 1 of them NULL or empty, 39 different values, 100 % fit: mostly different texts of one line"
    )
    assert counted(RULES["IndexData", "Uut_GUID"], 50, 49).seen == "49 of 50 different values are in UutData.Uut_GUID"
    assert counted(RULES["Products", "Name"], 8, 8).seen == "8 of 8 different values are in it"


def test_every_rule_is_about_what_is_read_and_says_where_it_comes_from():
    read = {(table, column) for table in KEY_COLUMNS for column in KEY_COLUMNS[table] | OPTIONAL_COLUMNS[table]}
    assert RULES.keys() <= read
    for (table, _), rule in RULES.items():
        assert rule.must
        assert rule.source
        assert "Users" not in (rule.other or ())
        assert (rule.share is None) == (rule.other is not None)
        assert rule.beside is None or (table, rule.beside) in read


def test_a_rule_about_another_table_is_not_judged_by_its_values_alone():
    with pytest.raises(AssertionError):
        judged(Rule("keys", "test", within=("UutData", "Uut_GUID")), GUIDS, required=True)
