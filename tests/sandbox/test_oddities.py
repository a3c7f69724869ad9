"""Every oddity, asked for by name, is in the database as its description says."""

import math
from datetime import UTC, datetime, timedelta

import pytest

from sandbox.factory_data.factory import FactoryData
from tests.sandbox.in_memory_vte import InMemoryVte

# The clocks go back in Oslo within this range; a plain number of runs keeps them company.
START, END = datetime(2025, 10, 25, 12, tzinfo=UTC), datetime(2025, 10, 26, 12, tzinfo=UTC)
END_LOCAL = datetime(2025, 10, 26, 13)
NAMES = list(FactoryData(seed=1).oddities)
NOT_ODD_ALONE = {"repeated_autumn_hour", "missing_spring_hour"}


class Odd:
    """The rows of the runs of one oddity."""

    def __init__(self, store, guids):
        self.guids = guids
        chosen = 'WHERE "Index_GUID" = ANY(?::UUID[])'
        headers = store.rows(
            f'SELECT i.*, u."Serial" FROM "IndexData" AS i LEFT JOIN "UutData" AS u USING ("Uut_GUID") {chosen}', guids
        )
        self.headers = sorted(headers, key=lambda header: guids.index(str(header["Index_GUID"])))
        self.numeric, self.text, self.other = (
            store.rows(f'SELECT * FROM "{table}" {chosen} ORDER BY rowid', guids)
            for table in ("TestDataNumeric", "TestDataText", "TestDataOther")
        )
        self.steps = [*self.numeric, *self.text, *self.other]

    @property
    def header(self):
        return self.headers[0]

    @property
    def serial(self):
        return self.header["Serial"]

    @property
    def timestamps(self):
        return [header["Timestamp"] for header in self.headers]


def load(names, **arguments):
    store = InMemoryVte()
    arguments = {"start": START, "end": END, "runs": 0, **arguments}
    summary = FactoryData(seed=11).load(store, oddities=names, **arguments)
    return store, {name: Odd(store, guids) for name, guids in summary.guids_by_oddity.items()}


@pytest.fixture(scope="module")
def together():
    return load(True, runs=30)


@pytest.fixture(scope="module")
def odd(together):
    return together[1]


def _all_null(row, *names):
    return all(row[name] is None for name in names)


CHECKS = {
    "null_serial": lambda o: o.serial is None,
    "empty_serial": lambda o: o.serial == "",
    "blank_serial": lambda o: o.serial and not o.serial.strip(),
    "trailing_blanks_serial": lambda o: o.serial != o.serial.strip() != "",
    "control_characters_serial": lambda o: {"\t", "\r", "\x01"} <= set(o.serial),
    "unicode_serial": lambda o: "Ø測試" in o.serial and any(ord(character) > 0xFFFF for character in o.serial),
    "apostrophe_serial": lambda o: o.serial.count("'") == 2,
    "overlong_serial": lambda o: 100 < len(o.serial) <= 255,
    "slash_serial": lambda o: "/" in o.serial,
    "backslash_serial": lambda o: "\\" in o.serial,
    "asterisk_serial": lambda o: "*" in o.serial,
    "percent_serial": lambda o: "%" in o.serial,
    "question_mark_serial": lambda o: "?" in o.serial,
    "opening_bracket_serial": lambda o: "[" in o.serial,
    "closing_bracket_serial": lambda o: "]" in o.serial,
    "caret_serial": lambda o: "^" in o.serial,
    "exclamation_mark_serial": lambda o: "!" in o.serial,
    "null_product_name": lambda o: o.header["ProductName"] is None and o.header["Product_GUID"],
    "blank_product_name": lambda o: o.header["ProductName"] and not o.header["ProductName"].strip(),
    "unknown_product": lambda o: _all_null(o.header, "ProductName", "Product_GUID"),
    "overlong_product_name": lambda o: 100 < len(o.header["ProductName"]) <= 255,
    "null_testplan_name": lambda o: o.header["TestplanName"] is None and o.header["Testplan_GUID"],
    "unknown_testplan": lambda o: _all_null(o.header, "TestplanName", "Testplan_GUID", "TestplanRevision_GUID"),
    "null_names": lambda o: _all_null(
        o.header,
        *("Hostname", "Site", "UserName", "TestplanVariant", "TestplanRevision", "Info1", "Info2", "Info3"),
    ),
    "trailing_blanks_names": lambda o: all(
        o.header[name] == o.header[name].strip() + "   " for name in ("ProductName", "UserName", "Site", "Hostname")
    ),
    "control_characters_names": lambda o: all(
        {"\x1f", "\n", "\x7f"} <= set(o.header[name]) for name in ("UserName", "TestplanVariant", "Info1")
    ),
    "unicode_names": lambda o: (
        "測試" in o.header["Site"] and max(o.header["UserName"]) > "\uffff" and max(o.header["Info1"]) > "\uffff"
    ),
    "null_test_time": lambda o: o.header["TestTime"] is None,
    "null_result": lambda o: o.header["Result"] is None,
    "unlisted_result_code": lambda o: o.header["Result"] == 7,
    "error_result": lambda o: o.header["Result"] == 2,
    "terminated_result": lambda o: o.header["Result"] == 3,
    "unmapped_testplan": lambda o: {header["TestplanName"] for header in o.headers} == {"Prototype Sandbox Plan"},
    "natural_key_twins": lambda o: (
        len(set(o.guids)) == 2
        and len({(h["Serial"], h["ProductName"], h["TestplanName"], h["Timestamp"], h["TestTime"]) for h in o.headers})
        == 1
        and len({row["TestResult"] for row in o.numeric if row["TestStepNumber"] == 2}) == 2
    ),
    "equal_timestamp_pair": lambda o: len(o.headers) == 2 and len(set(o.timestamps)) == 1,
    "equal_timestamp_burst": lambda o: len(o.headers) == 150 and len(set(o.timestamps)) == 1,
    "late_by_minutes": lambda o: o.timestamps == [END_LOCAL - timedelta(minutes=4)],
    "late_by_hours": lambda o: o.timestamps == [END_LOCAL - timedelta(hours=5)],
    "late_by_days": lambda o: o.timestamps == [END_LOCAL - timedelta(days=3) + timedelta(hours=1)],
    "future_by_minutes": lambda o: END_LOCAL < o.timestamps[0] < END_LOCAL + timedelta(hours=1),
    "future_by_years": lambda o: o.timestamps[0].year == 2032,
    "clock_reset_to_1970": lambda o: o.timestamps[0].date().isoformat() == "1970-01-01",
    "clock_reset_to_2000": lambda o: o.timestamps[0].date().isoformat() == "2000-01-01",
    "repeated_autumn_hour": lambda o: o.timestamps == [datetime(2025, 10, 26, 2, 30)] * 2,
    "missing_spring_hour": lambda o: o.timestamps == [],
    "no_steps": lambda o: len(o.headers) == 1 and not o.steps,
    "header_long_before_steps": lambda o: o.steps,
    "several_rows_of_one_step": lambda o: (
        [row["TestStepNumber"] for row in o.numeric].count(o.numeric[0]["TestStepNumber"]) == 4
        and o.text[-1]["TestStepNumber"] == o.other[-1]["TestStepNumber"] == o.numeric[-1]["TestStepNumber"]
    ),
    "repeated_step_names": lambda o: (
        len({row["TestStepNumber"] for row in o.numeric if row["TestName"] == "Output voltage"}) == 3
    ),
    "null_step_columns": lambda o: all(
        _all_null(rows[0], "TestName", "TestDescription", "TestNumber", "TestUnits")
        for rows in (o.numeric, o.text, o.other)
    ),
    "overlong_texts": lambda o: (
        100 < len(o.numeric[0]["TestName"]) <= 255
        and len(o.numeric[0]["TestDescription"]) > 100
        and len(o.text[0]["TestResult"]) == 5_000
    ),
    "unicode_steps": lambda o: (
        max(o.numeric[0]["TestName"]) > "\uffff"
        and "µ" in o.numeric[0]["TestUnits"]
        and "測試" in o.text[0]["TestResult"]
    ),
    "control_characters_steps": lambda o: "\x02" in o.numeric[0]["TestName"] and "\r\n" in o.text[0]["TestResult"],
    "apostrophes": lambda o: (
        "'" in o.header["Info1"] and "'" in o.text[0]["TestName"] and "'" in o.text[0]["TestResult"]
    ),
    "overload_values": lambda o: (
        [row["TestResult"] for row in o.numeric[:3]] == [9.9e37, -9.9e37, 9.91e37] and o.header["Result"] == 0
    ),
    "no_limit_values": lambda o: (
        {abs(limit) for row in o.numeric[:2] for limit in (row["LowLimit"], row["HighLimit"])} == {9.9e37, 1e308}
        and (o.numeric[2]["HighLimit"], o.numeric[3]["LowLimit"]) == (9.9e37, -1e308)
    ),
    "null_limits": lambda o: (
        [(row["LowLimit"] is None, row["HighLimit"] is None) for row in o.numeric[:3]]
        == [(True, True), (False, True), (True, False)]
        and all(row["TestResultType"] is None for row in o.numeric[:3])
    ),
    "inverted_limits": lambda o: o.numeric[0]["LowLimit"] > o.numeric[0]["HighLimit"],
    "null_step_results": lambda o: all(rows[0]["TestResult"] is None for rows in (o.numeric, o.text, o.other)),
    "null_step_result_types": lambda o: (
        all(row["TestResultType"] is None for row in o.steps)
        and o.numeric[0]["TestResult"] > o.numeric[0]["HighLimit"]
        and o.header["Result"] == 0
    ),
    "unlisted_step_result_code": lambda o: o.numeric[0]["TestResultType"] == 42,
    "extreme_values": lambda o: (
        math.copysign(1, o.numeric[0]["TestResult"]) == -1
        and o.numeric[0]["TestResult"] == 0
        and o.numeric[1]["TestResult"] == 2.2250738585072014e-308
        and o.numeric[2]["TestResult"] == 1.7976931348623157e308
        and o.numeric[4]["TestResult"] == 0.1 + 0.2
    ),
    "other_png": lambda o: o.other[0]["TestResult"].startswith(b"\x89PNG\r\n\x1a\n"),
    "other_utf8_text": lambda o: "測試 🛰" in o.other[0]["TestResult"].decode(),
    "other_empty": lambda o: o.other[0]["TestResult"] == b"",
    "other_one_megabyte": lambda o: len(o.other[0]["TestResult"]) == 1024 * 1024,
    "retest_after_failure": lambda o: (
        len({header["Serial"] for header in o.headers}) == 1
        and [header["Result"] for header in o.headers] == [0, 1]
        and o.timestamps[1] - o.timestamps[0] == timedelta(minutes=10)
    ),
}


def test_every_oddity_has_a_check_and_a_description():
    assert set(NAMES) == set(CHECKS)
    assert all(len(description) > 10 for description in FactoryData(seed=1).oddities.values())


@pytest.mark.parametrize("name", NAMES)
def test_an_oddity_is_what_it_says(odd, name):
    assert CHECKS[name](odd[name])


@pytest.mark.parametrize("name", sorted(set(NAMES) - NOT_ODD_ALONE))
def test_no_ordinary_run_passes_the_check_of_an_oddity_that_is_about_one_run(odd, name):
    plain = odd["header_long_before_steps"]
    if name == "header_long_before_steps":
        assert len(plain.steps) > 10
        return
    try:
        passes = bool(CHECKS[name](plain))
    except (IndexError, TypeError, UnicodeDecodeError):
        passes = False
    assert not passes


@pytest.mark.parametrize("name", ["blank_serial", "natural_key_twins", "other_png", "unmapped_testplan"])
def test_an_oddity_can_be_had_alone(name):
    store, odd = load([name])
    assert set(odd) == {name}
    assert CHECKS[name](odd[name])
    assert store.value('SELECT count(*) FROM "IndexData"') == len(odd[name].guids)


def test_all_oddities_together_come_on_top_of_the_plain_runs(together):
    store, odd = together
    assert set(odd) == set(NAMES)
    assert store.value('SELECT count(*) FROM "IndexData"') == 30 + sum(len(group.guids) for group in odd.values())
    assert all(len(group.guids) <= 3 for name, group in odd.items() if name != "equal_timestamp_burst")


def test_a_plant_has_no_oddities_unless_asked():
    store, odd = load(False, runs=200)
    assert odd == {}
    assert (
        store.value('SELECT count(*) FROM "UutData" WHERE "Serial" IS NULL OR regexp_matches("Serial", \'\\W\')') == 0
    )


def test_an_unknown_oddity_is_refused_by_name():
    with pytest.raises(ValueError, match="no such oddity: blank_cereal"):
        load(["blank_cereal"])


def test_the_hour_that_spring_leaves_out_is_written_by_a_clock_that_was_not_put_forward():
    spring = {"start": datetime(2026, 3, 28, 12, tzinfo=UTC), "end": datetime(2026, 3, 29, 12, tzinfo=UTC)}
    _, odd = load(["missing_spring_hour", "repeated_autumn_hour"], **spring)
    assert odd["missing_spring_hour"].timestamps == [datetime(2026, 3, 29, 2, 30)]
    assert odd["repeated_autumn_hour"].timestamps == []


def test_odd_runs_lie_in_the_range_unless_they_are_about_time(odd):
    elsewhere = {
        name
        for name, group in odd.items()
        if not all(START.replace(tzinfo=None) <= at < END_LOCAL for at in group.timestamps)
    }
    assert elsewhere == {
        "late_by_days",
        "future_by_minutes",
        "future_by_years",
        "clock_reset_to_1970",
        "clock_reset_to_2000",
    }


def test_no_row_of_an_odd_run_is_without_the_rows_it_refers_to(together):
    store, _ = together
    references = [
        *((child, key, parent) for child in ("IndexData", "UutData") for key, parent in (
            ("Product_GUID", "Products"), ("Testplan_GUID", "Testplans"), ("TestplanRevision_GUID", "TestplanRevisions"),
            ("Testsystem_GUID", "TestSystems"), ("User_GUID", "Users"),
        )),
        ("IndexData", "Uut_GUID", "UutData"),
        *((child, "Index_GUID", "IndexData") for child in ("TestDataNumeric", "TestDataText", "TestDataOther")),
    ]  # fmt: skip
    for child, key, parent in references:
        orphans = f'SELECT count(*) FROM "{child}" ANTI JOIN "{parent}" USING ("{key}") WHERE "{key}" IS NOT NULL'
        assert store.value(orphans) == 0, f"{child}.{key}"
