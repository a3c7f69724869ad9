"""Everything a real plant does that a test database never shows, each by name.

An oddity takes plain runs from the bench and changes one thing about them. Those that only swap values of a header
are listed in one table; every other oddity is a function of its name.
"""

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

from sandbox.factory_data.masters import Masters
from sandbox.factory_data.measurements import NUMERIC, OTHER, TEXT, Catalogue
from sandbox.factory_data.products import UNMAPPED_TESTPLAN
from sandbox.factory_data.runs import ERROR, FAILED, TERMINATED, Flow, index_row, uut_row
from sandbox.factory_data.wall_clock import clock_changes, to_tick, wall_clock

Row = dict[str, Any]

OVERLOAD, NOT_A_NUMBER = 9.9e37, 9.91e37


@dataclass
class RunRows:
    """The rows of one run. ``uut`` is ``None`` when the unit is stored already; ``slow`` steps follow much later."""

    index: Row
    uut: Row | None
    steps: dict[str, list[Row]]
    slow: bool = False

    @property
    def guid(self) -> str:
        return str(self.index["Index_GUID"])

    @property
    def step_count(self) -> int:
        return sum(len(rows) for rows in self.steps.values())


@dataclass
class Bench:
    """Where oddities come from: plain runs within [start, end), the last moment of which is now."""

    random: Random
    masters: Masters
    zone: ZoneInfo
    catalogue: Catalogue
    start: datetime
    end: datetime
    _flow: Flow = field(init=False)

    def __post_init__(self) -> None:
        self._flow = Flow(self.random, self.masters, self.zone)

    def run(self, ended_at: datetime | None = None) -> RunRows:
        """Return a plain run that ends at the given time, or somewhere in the range: a passed board test."""
        ended_at = ended_at or self.start + (self.end - self.start) * self.random.random()
        run = self._flow.next_run(ended_at, plain=True)
        steps = {table: rows.to_pylist() for table, rows in self.catalogue.measure([run], self.random).items()}
        return RunRows(index_row(run, self.masters), uut_row(run, self.masters), steps)

    def earlier(self, **ago: float) -> RunRows:
        """Return a plain run whose Timestamp lies before now."""
        return self.run(self.end - timedelta(**ago))

    def written(self, local: datetime) -> RunRows:
        """Return a plain run with this very wall-clock Timestamp."""
        run = self.run()
        run.index["Timestamp"] = to_tick(local)
        return run


Make = Callable[[Bench], list[RunRows]]


@dataclass(frozen=True)
class Oddity:
    """One way to be odd. ``wrong_clock`` ones have Timestamps that no window of the present covers."""

    description: str
    make: Make
    wrong_clock: bool = False


ODDITIES: dict[str, Oddity] = {}


def _oddity(description: str, *, wrong_clock: bool = False) -> Callable[[Make], Make]:
    def listed(make: Make) -> Make:
        ODDITIES[make.__name__] = Oddity(description, make, wrong_clock)
        return make

    return listed


def _swapped(part: str, values: Mapping[str, Any]) -> Make:
    def make(bench: Bench) -> list[RunRows]:
        run = bench.run()
        for column, value in values.items():
            row = run.uut if part == "UutData" else run.index
            assert row is not None
            row[column] = value(row[column]) if callable(value) else value
        return [run]

    return make


def _inserted(text: str) -> Callable[[str], str]:
    """Put text into the middle of what is there, so that the value stays unique."""
    return lambda value: value[: len(value) // 2] + text + value[len(value) // 2 :]


for _name, _part, _description, _values in (
    ("null_serial", "UutData", "The unit has no serial: NULL.", {"Serial": None}),
    ("empty_serial", "UutData", "The unit's serial is an empty text.", {"Serial": ""}),
    ("blank_serial", "UutData", "The unit's serial is three blanks.", {"Serial": "   "}),
    ("trailing_blanks_serial", "UutData", "A serial with blanks before and after it.", {"Serial": "  {}   ".format}),
    (
        "control_characters_serial",
        "UutData",
        "A serial with TAB, CR and 0x01 in it.",
        {"Serial": _inserted("\t\r\x01")},
    ),
    (
        "unicode_serial",
        "UutData",
        "A serial with Ø, 測試 and a character beyond the BMP.",
        {"Serial": _inserted("Ø測試🛰")},
    ),
    (
        "apostrophe_serial",
        "UutData",
        "A serial with apostrophes, as SQL injection would have.",
        {"Serial": _inserted("'; --'")},
    ),
    ("overlong_serial", "UutData", "A serial of more than 100 characters.", {"Serial": lambda s: s + "-" + "7" * 120}),
    ("slash_serial", "UutData", "A serial with / in it.", {"Serial": _inserted("/")}),
    ("backslash_serial", "UutData", "A serial with \\ in it.", {"Serial": _inserted("\\")}),
    ("asterisk_serial", "UutData", "A serial with * in it.", {"Serial": _inserted("*")}),
    ("percent_serial", "UutData", "A serial with % in it.", {"Serial": _inserted("%")}),
    ("question_mark_serial", "UutData", "A serial with ? in it.", {"Serial": _inserted("?")}),
    ("opening_bracket_serial", "UutData", "A serial with [ in it.", {"Serial": _inserted("[")}),
    ("closing_bracket_serial", "UutData", "A serial with ] in it.", {"Serial": _inserted("]")}),
    ("caret_serial", "UutData", "A serial with ^ in it.", {"Serial": _inserted("^")}),
    ("exclamation_mark_serial", "UutData", "A serial with ! in it.", {"Serial": _inserted("!")}),
    ("null_product_name", "IndexData", "ProductName is NULL; the product is in Products.", {"ProductName": None}),
    ("blank_product_name", "IndexData", "ProductName is two blanks.", {"ProductName": "  "}),
    (
        "unknown_product",
        "IndexData",
        "ProductName and Product_GUID are NULL: nothing says what was tested.",
        {"ProductName": None, "Product_GUID": None},
    ),
    (
        "overlong_product_name",
        "IndexData",
        "A product name of more than 100 characters.",
        {"ProductName": "PSU-" + "X" * 120},
    ),
    ("null_testplan_name", "IndexData", "TestplanName is NULL; the plan is in Testplans.", {"TestplanName": None}),
    (
        "unknown_testplan",
        "IndexData",
        "TestplanName, Testplan_GUID and TestplanRevision_GUID are NULL.",
        {"TestplanName": None, "Testplan_GUID": None, "TestplanRevision_GUID": None, "TestplanRevision": None},
    ),
    (
        "null_names",
        "IndexData",
        "Every optional name is NULL: host, site, user, variant, revision, Info1 to Info3.",
        dict.fromkeys(
            ("Hostname", "Site", "UserName", "TestplanVariant", "TestplanRevision", "Info1", "Info2", "Info3")
        ),
    ),
    (
        "trailing_blanks_names",
        "IndexData",
        "Product, user, site and host names with trailing blanks.",
        dict.fromkeys(("ProductName", "UserName", "Site", "Hostname"), "{}   ".format),
    ),
    (
        "control_characters_names",
        "IndexData",
        "Control characters in user name, variant and Info1.",
        dict.fromkeys(("UserName", "TestplanVariant", "Info1"), _inserted("\x1f\n\x7f")),
    ),
    (
        "unicode_names",
        "IndexData",
        "Ø, 測試 and characters beyond the BMP in site, user name and Info1.",
        {"Site": "Halle Ø 測試", "UserName": "op01 Ø𝔘", "Info1": "批次 🛰 ½ µ"},
    ),
    ("null_test_time", "IndexData", "TestTime is NULL: the start of the test is not known.", {"TestTime": None}),
    ("null_result", "IndexData", "Result is NULL.", {"Result": None}),
    ("unlisted_result_code", "IndexData", "Result is 7, which no site has explained.", {"Result": 7}),
    ("error_result", "IndexData", "The test ended with an error.", {"Result": ERROR, "ExitCode": -1}),
    ("terminated_result", "IndexData", "An operator stopped the test.", {"Result": TERMINATED, "ExitCode": -2}),
):
    ODDITIES[_name] = Oddity(_description, _swapped(_part, _values))


@_oddity("Two runs of a test plan that no site maps to a WATS process.")
def unmapped_testplan(bench: Bench) -> list[RunRows]:
    name, revision = UNMAPPED_TESTPLAN.name, UNMAPPED_TESTPLAN.revisions[0]
    swap = {
        "Testplan_GUID": bench.masters.testplan_guids[name],
        "TestplanRevision_GUID": bench.masters.revision_guids[name, revision],
    }
    runs = [bench.run(), bench.run()]
    for run in runs:
        run.index |= swap | {"TestplanName": name, "TestplanRevision": revision}
        run.uut = (run.uut or {}) | swap
    return runs


@_oddity("Two runs with different GUIDs of one unit with equal product, test plan, Timestamp and TestTime.")
def natural_key_twins(bench: Bench) -> list[RunRows]:
    first, second = bench.run(), bench.run()
    second.index |= {name: value for name, value in first.index.items() if name != "Index_GUID"}
    second.uut = None
    return [first, second]


@_oddity("Two units whose runs have one Timestamp.")
def equal_timestamp_pair(bench: Bench) -> list[RunRows]:
    first, second = bench.run(), bench.run()
    second.index["Timestamp"] = first.index["Timestamp"]
    return [first, second]


@_oddity("150 runs that all have the same Timestamp.")
def equal_timestamp_burst(bench: Bench) -> list[RunRows]:
    runs = [bench.run() for _ in range(150)]
    for run in runs:
        run.index["Timestamp"] = runs[0].index["Timestamp"]
    return runs


@_oddity("A run that is committed four minutes after its Timestamp.")
def late_by_minutes(bench: Bench) -> list[RunRows]:
    return [bench.earlier(minutes=4)]


@_oddity("A run that is committed five hours after its Timestamp.")
def late_by_hours(bench: Bench) -> list[RunRows]:
    return [bench.earlier(hours=5)]


@_oddity("A run that is committed three days after its Timestamp.")
def late_by_days(bench: Bench) -> list[RunRows]:
    return [bench.earlier(days=3)]


@_oddity("A station clock 25 minutes ahead.", wrong_clock=True)
def future_by_minutes(bench: Bench) -> list[RunRows]:
    return [bench.earlier(minutes=-25)]


@_oddity("A station clock seven years ahead.", wrong_clock=True)
def future_by_years(bench: Bench) -> list[RunRows]:
    return [bench.earlier(days=-7 * 365)]


@_oddity("A station clock that started again in 1970.", wrong_clock=True)
def clock_reset_to_1970(bench: Bench) -> list[RunRows]:
    return [bench.written(datetime(1970, 1, 1, 0, 3, 17, 433_000))]  # noqa: DTZ001 - wall-clock time


@_oddity("A station clock that started again in 2000.", wrong_clock=True)
def clock_reset_to_2000(bench: Bench) -> list[RunRows]:
    return [bench.written(datetime(2000, 1, 1, 0, 12, 5))]  # noqa: DTZ001 - wall-clock time


@_oddity("One wall-clock time written twice, as the clocks go back. No run where the range has no such hour.")
def repeated_autumn_hour(bench: Bench) -> list[RunRows]:
    return [
        bench.run(at)
        for change, jump in clock_changes(bench.zone, bench.start, bench.end)
        if jump < timedelta()
        for at in (change + jump / 2, change - jump / 2)
    ]


@_oddity("A station clock not put forward writes a time that never was. No run where the range has no such hour.")
def missing_spring_hour(bench: Bench) -> list[RunRows]:
    return [
        bench.written(wall_clock(change - timedelta(seconds=1), bench.zone) + timedelta(seconds=1) + jump / 2)
        for change, jump in clock_changes(bench.zone, bench.start, bench.end)
        if jump > timedelta()
    ]


@_oddity("A header that never gets any steps.")
def no_steps(bench: Bench) -> list[RunRows]:
    run = bench.run()
    run.steps = {}
    return [run]


@_oddity("A live station commits the steps long after the header; in bulk, where all is there at once, a plain run.")
def header_long_before_steps(bench: Bench) -> list[RunRows]:
    run = bench.run()
    run.slow = True
    return [run]


@_oddity("One TestStepNumber with four numeric rows, and another with a numeric, a text and a binary row.")
def several_rows_of_one_step(bench: Bench) -> list[RunRows]:
    run = bench.run()
    numeric = run.steps[NUMERIC]
    for index, pin in enumerate(("A", "B", "C", "D")):
        numeric[index] |= {"TestStepNumber": numeric[0]["TestStepNumber"], "TestName": f"Contact resistance {pin}"}
    for table in (TEXT, OTHER):
        run.steps[table][-1]["TestStepNumber"] = numeric[-1]["TestStepNumber"]
    return [run]


@_oddity("Three steps of one name that differ only in their numbers.")
def repeated_step_names(bench: Bench) -> list[RunRows]:
    run = bench.run()
    for row in run.steps[NUMERIC][:3]:
        row["TestName"] = "Output voltage"
    return [run]


@_oddity("A step whose name, description, number text and units are NULL.")
def null_step_columns(bench: Bench) -> list[RunRows]:
    run = bench.run()
    for rows in run.steps.values():
        rows[0] |= dict.fromkeys(("TestName", "TestDescription", "TestNumber", "TestUnits"))
    return [run]


@_oddity("Step names and a description of more than 100 characters, and a text result of 5,000.")
def overlong_texts(bench: Bench) -> list[RunRows]:
    run = bench.run()
    run.steps[NUMERIC][0] |= {"TestName": "Long " + "n" * 145, "TestDescription": "d" * 900}
    run.steps[TEXT][0] |= {"TestName": "Long " + "t" * 145, "TestResult": "0123456789" * 500}
    return [run]


@_oddity("Ø, 測試, combining marks and characters beyond the BMP in step names, units and texts.")
def unicode_steps(bench: Bench) -> list[RunRows]:
    run = bench.run()
    run.steps[NUMERIC][0] |= {"TestName": "Ø-måling 測試 🛰", "TestUnits": "µΩ·m"}
    run.steps[TEXT][0] |= {"TestName": "e\u0301 and é", "TestResult": "測試 𝔘 🛰 ok"}
    return [run]


@_oddity("Control characters, line ends and trailing blanks in step names and texts.")
def control_characters_steps(bench: Bench) -> list[RunRows]:
    run = bench.run()
    run.steps[NUMERIC][0]["TestName"] = "Rail\t3V3\x02  "
    run.steps[TEXT][0]["TestResult"] = "first line\r\nsecond line\x1b[0m\x01  "
    return [run]


@_oddity("Apostrophes, quotes and percent signs in names and texts.")
def apostrophes(bench: Bench) -> list[RunRows]:
    run = bench.run()
    run.index |= {"Info1": "it's 100 % 'done'", "TestplanVariant": "'24V'"}
    run.steps[TEXT][0] |= {"TestName": "Operator's check", "TestResult": 'said "it\'s %s"'}
    return [run]


@_oddity("Instrument overloads 9.9E37, -9.9E37 and not-a-number 9.91E37 as results; the run failed.")
def overload_values(bench: Bench) -> list[RunRows]:
    run = bench.run()
    for row, value in zip(run.steps[NUMERIC], (OVERLOAD, -OVERLOAD, NOT_A_NUMBER), strict=False):
        row |= {"TestResult": value, "TestResultType": 0}
    return [_failed(run)]


@_oddity("Limits of ±9.9e37 and ±1e308, which mean that there is none on that side.")
def no_limit_values(bench: Bench) -> list[RunRows]:
    run = bench.run()
    numeric = run.steps[NUMERIC]
    numeric[0] |= {"LowLimit": -9.9e37, "HighLimit": 9.9e37}
    numeric[1] |= {"LowLimit": -1e308, "HighLimit": 1e308}
    numeric[2] |= {"LowLimit": numeric[2]["TestResult"] - 1, "HighLimit": 9.9e37}
    numeric[3] |= {"LowLimit": -1e308, "HighLimit": numeric[3]["TestResult"] + 1}
    return [run]


@_oddity("Numeric steps with no limit at all, only a low one, and only a high one, all without a verdict.")
def null_limits(bench: Bench) -> list[RunRows]:
    run = bench.run()
    numeric = run.steps[NUMERIC]
    numeric[0] |= {"LowLimit": None, "HighLimit": None}
    numeric[1] |= {"LowLimit": numeric[1]["TestResult"] - 1, "HighLimit": None}
    numeric[2] |= {"LowLimit": None, "HighLimit": numeric[2]["TestResult"] + 1}
    for row in numeric[:3]:
        row["TestResultType"] = None
    return [run]


@_oddity("LowLimit above HighLimit, and the station said passed.")
def inverted_limits(bench: Bench) -> list[RunRows]:
    run = bench.run()
    value = run.steps[NUMERIC][0]["TestResult"]
    run.steps[NUMERIC][0] |= {"LowLimit": value + 1, "HighLimit": value - 1, "TestResultType": 1}
    return [run]


@_oddity("A numeric, a text and a binary step whose TestResult is NULL.")
def null_step_results(bench: Bench) -> list[RunRows]:
    run = bench.run()
    for rows in run.steps.values():
        rows[0]["TestResult"] = None
    return [run]


@_oddity("No step has a verdict; one value is out of its limits, and the run failed.")
def null_step_result_types(bench: Bench) -> list[RunRows]:
    run = bench.run()
    for rows in run.steps.values():
        for row in rows:
            row["TestResultType"] = None
    run.steps[NUMERIC][0] |= {"LowLimit": 1.0, "HighLimit": 2.0, "TestResult": 2.5}
    return [_failed(run)]


@_oddity("A step whose TestResultType is 42, which no site has explained.")
def unlisted_step_result_code(bench: Bench) -> list[RunRows]:
    run = bench.run()
    run.steps[NUMERIC][0]["TestResultType"] = 42
    return [run]


@_oddity("Negative zero, the smallest and the largest numbers that a float column can hold, and all 17 digits.")
def extreme_values(bench: Bench) -> list[RunRows]:
    run = bench.run()
    values = (-0.0, 2.2250738585072014e-308, 1.7976931348623157e308, -1.7976931348623157e308, 0.1 + 0.2)
    for row, value in zip(run.steps[NUMERIC], values, strict=False):
        row |= {"TestResult": value, "LowLimit": None, "HighLimit": None}
    return [run]


@_oddity("A PNG image in TestDataOther.")
def other_png(bench: Bench) -> list[RunRows]:
    return [_with_content(bench, _png(24, 16))]


@_oddity("UTF-8 text in TestDataOther.")
def other_utf8_text(bench: Bench) -> list[RunRows]:
    return [_with_content(bench, "line 1: 23,5 °C\r\nline 2: Ø 測試 🛰\r\n".encode())]


@_oddity("Zero bytes in TestDataOther, which is not NULL.")
def other_empty(bench: Bench) -> list[RunRows]:
    return [_with_content(bench, b"")]


@_oddity("One megabyte of binary data in TestDataOther.")
def other_one_megabyte(bench: Bench) -> list[RunRows]:
    return [_with_content(bench, b"\xff\x00" + bench.random.randbytes(1024 * 1024 - 2))]


@_oddity("A unit that fails and passes ten minutes later, under one serial.")
def retest_after_failure(bench: Bench) -> list[RunRows]:
    first, second = bench.run(), bench.run()
    for name in ("Uut_GUID", "Product_GUID", "ProductName", "Testplan_GUID", "TestplanRevision_GUID"):
        second.index[name] = first.index[name]
    for name in ("TestplanName", "TestplanVariant", "TestplanRevision"):
        second.index[name] = first.index[name]
    second.index |= {"Timestamp": first.index["Timestamp"], "Info3": "retest 1"}
    first.index["Timestamp"] = to_tick(first.index["Timestamp"] - timedelta(minutes=10))
    second.uut = None
    row = first.steps[NUMERIC][0]
    row |= {"LowLimit": 1.0, "HighLimit": 2.0, "TestResult": 2.25, "TestResultType": 0}
    return [_failed(first), second]


def _failed(run: RunRows) -> RunRows:
    run.index |= {"Result": FAILED, "ExitCode": 1}
    return run


def _with_content(bench: Bench, content: bytes) -> RunRows:
    run = bench.run()
    run.steps[OTHER][0]["TestResult"] = content
    return run


def _png(width: int, height: int) -> bytes:
    def part(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = b"".join(b"\x00" + bytes((x * 10 + y * 5) % 256 for x in range(width)) for y in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    content = zlib.compress(rows, level=0)  # stored: the same bytes with every zlib
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", header) + part(b"IDAT", content) + part(b"IEND", b"")
