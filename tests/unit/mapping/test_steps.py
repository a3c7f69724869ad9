"""Rows become steps: values, limits, verdicts and texts as they stand in the source."""

from __future__ import annotations

import base64
import math
import struct

import pytest

from tests.unit.builders import a_settings
from tests.unit.mapping_builders import a_number, a_run, a_text, an_other, body_of, steps_of
from vte_wats.domain.errors import HeldError, RejectedError
from vte_wats.mapping.report_builder import map_run
from vte_wats.mapping.step_rows import numbered

NO_CODE = {"result_code": None}


def measurement_of(row, settings=None):
    (step,) = steps_of(row, settings=settings)
    (measurement,) = step["numericMeas"]
    return measurement


def status_of(row, settings=None):
    (step,) = steps_of(row, settings=settings)
    return step["status"]


def held_by(*rows):
    with pytest.raises(HeldError) as caught:
        steps_of(*rows)
    return caught.value


# --- numeric -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "written"),
    [
        (None, None, {"compOp": "LOG"}),
        (1.0, None, {"compOp": "GE", "lowLimit": 1.0}),
        (None, 2.0, {"compOp": "LE", "lowLimit": 2.0}),
        (1.0, 2.0, {"compOp": "GELE", "lowLimit": 1.0, "highLimit": 2.0}),
        (0.0, 0.0, {"compOp": "GELE", "lowLimit": 0.0, "highLimit": 0.0}),
        (-9.9e37, 9.9e37, {"compOp": "LOG"}),
        (-1e308, 2.0, {"compOp": "LE", "lowLimit": 2.0}),
        (1.0, 9.899999803651032e37, {"compOp": "GE", "lowLimit": 1.0}),
        (math.nan, math.inf, {"compOp": "LOG"}),
    ],
)
def test_limits_are_written_the_way_wats_reads_them(low, high, written):
    assert measurement_of(a_number(1.5, low_limit=low, high_limit=high)) == {"status": "P", "value": 1.5, **written}


def test_the_sites_own_no_limit_values_count():
    settings = a_settings(no_limit_values=[9999])
    row = a_number(1.5, low_limit=-9.9e37, high_limit=9999.0)
    assert measurement_of(row, settings) == {"status": "P", "value": 1.5, "compOp": "GE", "lowLimit": -9.9e37}


@pytest.mark.parametrize(
    "value", [5e-324, 1.7976931348623157e308, -0.0, 0.1, 1 / 3, 12.345600128173828, 2.0**53 + 2, -1e-17]
)
def test_a_number_keeps_every_bit(value):
    report = measurement_of(a_number(value, low_limit=value, high_limit=value), a_settings(numbers="exact"))
    for name in ("value", "lowLimit", "highLimit"):
        assert (report[name], math.copysign(1, report[name])) == (value, math.copysign(1, value))


@pytest.mark.parametrize(("units", "written"), [(" mV ", "mV"), ("Ω", "Ω"), ("", None), ("  ", None), (None, None)])
def test_units_are_kept_and_blank_ones_left_out(units, written):
    assert measurement_of(a_number(units=units)).get("unit") == written


def test_units_over_20_characters_are_shortened_and_noted():
    (step,) = steps_of(a_number(units="V" * 21))
    assert step["numericMeas"][0]["unit"] == "V" * 19 + "…"
    assert step["reportText"] == "units in full: " + "V" * 21
    assert measurement_of(a_number(units="V" * 20))["unit"] == "V" * 20


ALL_CODES = {1: "Passed", 0: "Failed", 2: "Error", 3: "Terminated", 5: "Done", 6: "Skipped"}


@pytest.mark.parametrize("make", [a_number, a_text])
@pytest.mark.parametrize(
    ("code", "step_status", "measured"),
    [(1, "P", "P"), (0, "F", "F"), (2, "E", "F"), (3, "T", "F"), (5, "D", "P"), (6, "S", "S")],
)
def test_a_listed_code_decides_the_step_and_its_measurement_says_passed_failed_or_skipped(
    make, code, step_status, measured
):
    (step,) = steps_of(make(result_code=code), settings=a_settings(step_result_codes=ALL_CODES))
    (measurement,) = step.get("numericMeas") or step["stringMeas"]
    assert (step["status"], measurement["status"]) == (step_status, measured)


def test_the_steps_own_result_code_decides_over_its_value_and_limits():
    assert status_of(a_number(9.0, low_limit=1.0, high_limit=2.0, result_code=1)) == "P"
    assert status_of(a_number(1.5, low_limit=1.0, high_limit=2.0, result_code=0)) == "F"


@pytest.mark.parametrize("make", [a_number, a_text])
def test_a_value_without_code_and_limits_is_logged_as_passed_or_as_the_site_wants(make):
    for settings, status in ((a_settings(), "P"), (a_settings(logged_values="Done"), "D")):
        (step,) = steps_of(make(**NO_CODE), settings=settings)
        (measurement,) = step.get("numericMeas") or step["stringMeas"]
        assert (step["status"], measurement["status"], measurement["compOp"]) == (status, "P", "LOG")


# WATS drops the measurements and files of a skipped step.


def test_the_number_of_a_skipped_step_also_stands_in_its_report_text():
    settings = a_settings(step_result_codes=ALL_CODES)
    limited, bare = steps_of(
        a_number(3.3, units="V" * 21, low_limit=3.0, result_code=6), a_number(-1.0, step_number=2, result_code=6),
        settings=settings,
    )  # fmt: skip
    assert limited["reportText"].splitlines()[:2] == [f"Value: 3.3 {'V' * 21}", "Limits: low 3.0, high none"]
    assert bare["reportText"] == "Value: -1.0"


@pytest.mark.parametrize(("value", "said"), [("ok", "Value: ok"), ("a" * 101, "value in full: " + "a" * 101)])
def test_the_text_of_a_skipped_step_also_stands_in_its_report_text(value, said):
    (step,) = steps_of(a_text(value, result_code=6), settings=a_settings(step_result_codes=ALL_CODES))
    assert step["reportText"] == said


def test_each_value_of_a_skipped_step_with_several_stands_in_its_report_text():
    settings = a_settings(step_result_codes=ALL_CODES)
    (step,) = steps_of(*(a_number(float(n), test_name=f"m{n}", result_code=6) for n in (1, 2)), settings=settings)
    assert step["status"] == "S"
    assert step["reportText"] == "m1:\nValue: 1.0\nm2:\nValue: 2.0"


@pytest.mark.parametrize(
    ("row", "file"),
    [(an_other(b"\xff", result_code=6), "step_1.bin"), (a_text("Ω" * 20_000, result_code=6), "step_1.txt")],
)
def test_the_file_of_a_skipped_step_is_kept_in_a_step_behind_it(row, file):
    skipped, kept = steps_of(row, settings=a_settings(step_result_codes=ALL_CODES))
    assert skipped["status"] == "S"
    assert "attachment" not in skipped
    assert (kept["status"], kept["name"], kept["attachment"]["name"]) == ("D", f"{skipped['name']} (file)", file)
    assert "id" not in kept


@pytest.mark.parametrize(
    ("value", "low", "high", "status"),
    [
        (1.0, 1.0, 2.0, "P"),
        (2.0, 1.0, 2.0, "P"),
        (math.nextafter(1.0, 0.0), 1.0, 2.0, "F"),
        (math.nextafter(2.0, 3.0), 1.0, 2.0, "F"),
        (5.0, 1.0, None, "P"),
        (0.5, 1.0, None, "F"),
        (0.5, None, 1.0, "P"),
        (1.5, None, 1.0, "F"),
        (1.5, 2.0, 1.0, "F"),
        (9.9e37, 1.0, None, "P"),
        (9.91e37, 1.0, None, "F"),
    ],
)
def test_without_a_code_a_number_is_judged_by_its_limits(value, low, high, status):
    row = a_number(value, low_limit=low, high_limit=high, **NO_CODE)
    assert (status_of(row), measurement_of(row)["status"]) == (status, status)


@pytest.mark.parametrize(("low", "high"), [(None, None), (-9.9e37, 9.9e37)])
@pytest.mark.parametrize("value", [1.5, 9.91e37])
def test_without_a_code_a_number_without_a_limit_is_logged(value, low, high):
    row = a_number(value, low_limit=low, high_limit=high, **NO_CODE)
    assert status_of(row, a_settings(logged_values="Done")) == "D"
    assert measurement_of(row)["compOp"] == "LOG"


def test_an_unlisted_step_code_holds_the_run_and_names_code_and_step():
    held = held_by(a_number(step_number=12, test_name="Ripple", result_code=9))
    assert held.signature == "unlisted step result code 9"
    assert "12" in str(held)
    assert "Ripple" in str(held)
    assert "step_result_codes" in str(held)


@pytest.mark.parametrize(
    "row", [a_text(result_code=9), an_other(b"\xff", result_code=9), a_number(None, result_code=9)]
)
def test_an_unlisted_step_code_holds_the_run_whatever_the_kind_of_step(row):
    assert held_by(row).signature == "unlisted step result code 9"


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (9.9e37, "overload"),
        (-9.9e37, "overload"),
        (9.899999803651032e37, "overload"),
        (9.91e37, "not a number"),
        (9.909999907453072e37, "not a number"),
    ],
)
def test_an_instruments_mark_is_kept_as_the_value_and_explained(value, said):
    (step,) = steps_of(a_number(value))
    assert step["numericMeas"][0]["value"] == value
    assert said in step["reportText"]


@pytest.mark.parametrize("value", [9.8e37, 1e38, -9.91e37, 1.5])
def test_an_ordinary_number_is_not_explained(value):
    assert "reportText" not in steps_of(a_number(value))[0]


@pytest.mark.parametrize(("value", "said"), [(None, "NULL"), (math.nan, "nan"), (-math.inf, "-inf")])
def test_a_number_that_is_not_there_is_never_invented(value, said):
    (step,) = steps_of(a_number(value, low_limit=1.0, units="V", result_code=0))
    assert step["stepType"] == "Action"
    assert "numericMeas" not in step
    assert step["status"] == "F"
    assert said in step["reportText"]
    assert "Limits: low 1.0, high none" in step["reportText"]
    assert "Units: V" in step["reportText"]


def test_a_number_that_is_not_there_and_has_no_code_is_done():
    assert steps_of(a_number(None, low_limit=1.0, **NO_CODE))[0]["status"] == "D"


# --- text --------------------------------------------------------------------------------------------------------


def test_a_text_is_logged_as_it_is():
    (step,) = steps_of(a_text(" 測試 <ok> & Ø ", units="hex"))
    assert step["stringMeas"] == [{"status": "P", "value": "測試 <ok> & Ø", "compOp": "LOG"}]
    assert step["reportText"] == "Units: hex"


def test_an_empty_text_is_an_empty_text_and_a_missing_one_is_none():
    empty, missing = steps_of(a_text("", step_number=1), a_text(None, step_number=2))
    assert empty["stringMeas"][0]["value"] == ""
    assert missing["stepType"] == "Action"
    assert "NULL" in missing["reportText"]


def test_a_long_text_is_shortened_and_stands_in_full_in_the_report_text():
    long = "a" * 150
    (step,) = steps_of(a_text(long))
    assert step["stringMeas"][0]["value"] == "a" * 99 + "…"
    assert step["reportText"] == f"value in full: {long}"
    assert "attachment" not in step


def test_a_very_long_text_goes_on_in_an_attachment():
    long = "Ω" * 20_000
    (step,) = steps_of(a_text(long, step_number=7))
    assert len(step["reportText"]) <= 5000
    assert step["reportText"].endswith("(The whole text is in the attachment step_7.txt.)")
    assert step["attachment"]["name"] == "step_7.txt"
    assert step["attachment"]["contentType"] == "text/plain; charset=utf-8"
    assert base64.b64decode(step["attachment"]["data"]).decode() == f"value in full: {long}"


# --- other -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["ok", b"ok", "ok".encode("utf-16"), "ok".encode("utf-16-le")])
def test_an_other_value_that_is_text_is_a_text_step(value):
    (step,) = steps_of(an_other(value))
    assert step["stringMeas"] == [{"status": "P", "value": "ok", "compOp": "LOG"}]


@pytest.mark.parametrize(
    ("content", "name", "content_type"),
    [
        (b"\x89PNG\r\n\x1a\nx", "step_1.png", "image/png"),
        (b"\xff\xd8\xffx", "step_1.jpg", "image/jpeg"),
        (b"%PDF-1.7 plain", "step_1.pdf", "application/pdf"),
        (b"PK\x03\x04x", "step_1.zip", "application/zip"),
        (b"\x00\x01\x02", "step_1.bin", "application/octet-stream"),
    ],
)
def test_an_other_value_that_is_no_text_is_attached(content, name, content_type):
    (step,) = steps_of(an_other(content, result_code=0))
    assert (step["stepType"], step["status"]) == ("Action", "F")
    file = step["attachment"]
    assert (file["name"], file["contentType"]) == (name, content_type)
    assert base64.b64decode(file["data"]) == content
    assert name in step["reportText"]


def test_empty_bytes_and_a_missing_value_are_kept_apart():
    empty, missing = steps_of(an_other(b"", step_number=1), an_other(None, step_number=2))
    assert "empty" in empty["reportText"]
    assert "NULL" in missing["reportText"]
    assert "attachment" not in empty


def test_bytes_too_large_for_wats_reject_the_run():
    with pytest.raises(RejectedError, match=r"step_1\.bin.*10 MiB.*10485761 bytes") as caught:
        map_run(a_run(steps=(an_other(b"\xff" * (10 * 2**20 + 1)),)), a_settings())
    assert not isinstance(caught.value, HeldError)
    assert caught.value.signature == "an attachment is larger than 10 MiB"


def test_a_description_that_finds_no_room_beside_a_file_goes_into_the_comment():
    body = body_of(a_run(steps=(an_other(b"\xff", test_description="d" * 6000),)))
    (step,) = body["root"]["steps"]
    assert step["attachment"]["name"] == "step_1.bin"
    whole = base64.b64decode(body["root"]["attachment"]["data"]).decode()
    assert "step_1.txt: " + "d" * 6000 in whole


# --- names and texts ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"test_name": " Gain ", "test_description": "d"}, "Gain"),
        ({"test_name": " ", "test_description": " d "}, "d"),
        ({"test_name": None, "step_number": 12}, "Step 12"),
        ({"test_name": None, "step_number": None}, "Step"),
    ],
)
def test_a_step_is_named_by_the_first_name_it_has(fields, name):
    assert steps_of(a_number(**fields))[0]["name"] == name


def test_description_and_test_number_are_kept_in_the_report_text():
    (step,) = steps_of(a_number(test_description="At 25 °C", test_number="4.2"))
    assert step["reportText"] == "At 25 °C\nTest number: 4.2"


def test_a_description_used_as_the_name_is_not_repeated():
    assert "reportText" not in steps_of(a_number(test_name=None, test_description="d"))[0]


def test_a_long_step_name_is_shortened_and_noted():
    (step,) = steps_of(a_number(test_name="n" * 101))
    assert step["name"] == "n" * 99 + "…"
    assert step["reportText"] == "name in full: " + "n" * 101


def test_control_characters_in_a_step_are_made_visible_and_noted_in_its_report_text():
    (step,) = steps_of(a_text("a\x1bb", test_name="n\x00"))
    assert step["name"] == "n␀"
    assert step["stringMeas"][0]["value"] == "a␛b"
    assert step["reportText"].splitlines() == [
        "name: characters that WATS cannot carry are shown as symbols",
        "value: characters that WATS cannot carry are shown as symbols",
    ]


# --- order and several rows of one number ------------------------------------------------------------------------


def test_steps_stand_in_the_order_of_their_numbers_and_unnumbered_ones_last():
    rows = [a_number(test_name=str(n), step_number=n) for n in (None, 30, -1, 4, None)]
    assert [step["name"] for step in steps_of(*rows)] == ["-1", "4", "30", "None", "None (2)"]


def test_numbers_that_share_a_step_number_are_one_step_with_several_measurements():
    (step,) = steps_of(
        a_number(1.0, test_name="Gain", units="dB", low_limit=0.5),
        a_number(2.0, test_name="Phase", result_code=0, test_description="At 1 GHz"),
    )
    assert (step["stepType"], step["name"], step["status"]) == ("ET_MNLT", "Step 1", "F")
    assert step["numericMeas"] == [
        {"status": "P", "name": "Gain", "value": 1.0, "unit": "dB", "compOp": "GE", "lowLimit": 0.5},
        {"status": "F", "name": "Phase", "value": 2.0, "compOp": "LOG"},
    ]
    assert step["reportText"] == "Phase:\nAt 1 GHz"


def test_texts_that_share_a_step_number_are_one_step_with_several_measurements():
    (step,) = steps_of(a_text("a", test_name="Id"), a_text("b" * 101, test_name="Id", result_code=2))
    assert (step["stepType"], step["name"], step["status"]) == ("ET_MSVT", "Id", "E")
    assert [(m["name"], m["value"][:3], m["status"]) for m in step["stringMeas"]] == [
        ("Id", "a", "P"),
        ("Id (2)", "bbb", "F"),
    ]
    assert step["reportText"] == "Id (2):\nvalue in full: " + "b" * 101


@pytest.mark.parametrize(
    ("names", "unique"),
    [
        (["G", "G", "G", "G"], ["G", "G (2)", "G (3)", "G (4)"]),
        (["G", "G", "G (2)", "G"], ["G", "G (3)", "G (2)", "G (4)"]),
        (["n" * 100] * 2, ["n" * 100, "n" * 95 + "… (2)"]),
        ([None, None], ["Step 1", "Step 1 (2)"]),
    ],
)
def test_measurement_names_are_unique_within_a_step(names, unique):
    (step,) = steps_of(*(a_number(test_name=name) for name in names))
    assert [m["name"] for m in step["numericMeas"]] == unique


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((1, 5), "P"), ((5, 6), "D"), ((1, 0, 5), "F"), ((0, 3), "T"), ((3, 2), "E"), ((6, 6), "S"), ((None, 5), "P")],
)
def test_a_step_with_several_measurements_has_the_status_of_its_worst(codes, worst):
    settings = a_settings(step_result_codes=ALL_CODES)
    (step,) = steps_of(*(a_number(result_code=code) for code in codes), settings=settings)
    assert step["status"] == worst


def test_kinds_that_share_a_step_number_are_one_step_per_kind():
    steps = steps_of(a_number(), a_text("x"), a_number(2.0), an_other(b"y"), a_text("z"))
    assert [step["stepType"] for step in steps] == ["ET_MNLT", "ET_MSVT", "ET_SVT"]


def test_rows_without_a_measurement_never_share_a_step():
    steps = steps_of(a_number(), a_number(None), an_other(b"\xff"), an_other(b"\xfe"), a_number(2.0))
    assert [step["stepType"] for step in steps] == ["ET_MNLT", "Action", "Action", "Action"]


def test_unnumbered_rows_never_share_a_step():
    assert len(steps_of(*(a_number(step_number=None) for _ in range(3)))) == 3


# --- names and ids that tell steps apart -------------------------------------------------------------------------


def names_of(*rows, **answers):
    return [step["name"] for step in steps_of(*rows, settings=a_settings(**answers))]


def named(*names):
    return [a_number(test_name=name, step_number=10 * n) for n, name in enumerate(names, start=1)]


def test_steps_of_equal_name_are_numbered_in_the_order_of_their_step_numbers():
    assert names_of(*reversed(named("Gain", "Phase", "Gain", "Gain"))) == ["Gain", "Phase", "Gain (2)", "Gain (3)"]
    assert names_of(*named("Gain", "Gain"), equal_step_names="keep") == ["Gain", "Gain"]


def test_a_number_never_makes_a_name_that_another_step_has_by_itself():
    assert names_of(*named("Gain", "Gain", "Gain (2)", "Gain (2)")) == ["Gain", "Gain (3)", "Gain (2)", "Gain (2) (2)"]


def test_steps_keep_their_numbers_when_later_ones_are_missing_and_when_rows_hold_nothing():
    whole = named("Gain", "Gain", "Gain")
    assert names_of(*whole[:2]) == names_of(*whole)[:2]
    nothing = a_number(None, test_name="Gain", step_number=20)
    skipped = a_number(test_name="Gain", step_number=10, result_code=6)
    settings = a_settings(step_result_codes=ALL_CODES)
    steps = steps_of(skipped, nothing, whole[2], settings=settings)
    assert [step["name"] for step in steps] == ["Gain", "Gain (2)", "Gain (3)"]


def test_names_that_became_equal_when_they_were_shortened_get_numbers():
    first, second = names_of(*named("n" * 100 + "a", "n" * 100 + "b"))
    assert (first, second) == ("n" * 99 + "…", "n" * 95 + "… (2)")


def test_a_hundred_thousand_steps_of_one_name_are_numbered():
    assert numbered(["Gain"] * 100_000)[-1] == "Gain (100000)"


def test_a_step_has_its_number_as_id_and_shares_it_with_no_other():
    steps = steps_of(a_number(step_number=7), a_text(step_number=7), a_text(step_number=0), a_text(step_number=None))
    assert [step.get("id") for step in steps] == [0, 7, None, None]


# --- nesting -----------------------------------------------------------------------------------------------------


def tree(step):
    return {step["name"]: [tree(child) for child in step["steps"]]} if "steps" in step else step["name"]


def at(*test_numbers, **fields):
    return [
        a_number(test_name=f"T{n}", step_number=n, test_number=number, **fields)
        for n, number in enumerate(test_numbers, start=1)
    ]


def test_steps_are_nested_by_their_test_numbers():
    rows = at("1.1", "1.2.1", " 1.2.2 ", "2", "1.3", None, "3.x", "1." * 300 + "1")
    steps = steps_of(*rows, settings=a_settings(step_nesting="test_number"))
    assert [tree(step) for step in steps] == [{"1": ["T1", {"1.2": ["T2", "T3"]}, "T5"]}, "T4", "T6", "T7", "T8"]
    outer = steps[0]
    assert outer["stepType"] == "SequenceCall"
    assert outer["seqCall"] == {"path": "Gain", "name": "1", "version": "-"}
    assert [step["name"] for step in steps_of(*rows)] == [f"T{n}" for n in range(1, 9)]


def test_a_sequence_has_the_status_of_its_worst_step_and_the_cause_is_marked_inside():
    rows = [*at("1.1", "1.2.1"), a_number(test_name="T3", step_number=3, test_number="1.2.2", result_code=0)]
    body = body_of(a_run(result_code=0, steps=tuple(rows)), a_settings(step_nesting="test_number"))
    (outer,) = body["root"]["steps"]
    inner = outer["steps"][1]
    assert (outer["status"], inner["status"], body["uut"]["stepIdCausedUUTFailure"]) == ("F", "F", 3)
    assert [step.get("causedUUTFailure") for step in inner["steps"]] == [None, True]


def test_equal_names_are_numbered_within_their_sequence_only():
    rows = [
        a_number(test_name="Gain", step_number=n, test_number=number)
        for n, number in enumerate(["1.1", "1.2", "2.1"], start=1)
    ]
    steps = steps_of(*rows, settings=a_settings(step_nesting="test_number"))
    assert [tree(step) for step in steps] == [{"1": ["Gain", "Gain (2)"]}, {"2": ["Gain"]}]


# --- numbers as the station wrote them ---------------------------------------------------------------------------


def single(number):
    return struct.unpack("f", struct.pack("f", number))[0]


def numbers_in(*rows, **answers):
    return [step["numericMeas"][0]["value"] for step in steps_of(*rows, settings=a_settings(**answers))]


def values(*numbers):
    return [a_number(number, step_number=n) for n, number in enumerate(numbers)]


@pytest.mark.parametrize("number", [0.1, 3.3, -12.3456, 1.17549435e-38, 9.9e37, 1.0000001, 3.4e38])
def test_a_number_of_a_32_bit_column_is_written_with_its_own_digits(number):
    (written,) = numbers_in(*values(single(number)))
    assert len(repr(written)) <= len(repr(number))
    assert single(written) == single(number)
    assert numbers_in(*values(single(number)), numbers="exact") == [single(number)]


def test_the_bytes_hold_the_short_number_and_limits():
    row = a_number(single(0.1), low_limit=single(0.05), high_limit=single(0.2), **NO_CODE)
    body = map_run(a_run(steps=(row,)), a_settings()).body
    assert '"status":"P","value":0.1,"compOp":"GELE","highLimit":0.2,"lowLimit":0.05}' in body


def test_a_column_with_one_number_that_is_no_32_bit_number_is_exact():
    assert numbers_in(*values(single(0.1), 0.1)) == [single(0.1), 0.1]
    row = a_number(single(0.1), low_limit=0.05)
    assert measurement_of(row) == {"status": "P", "value": 0.1, "compOp": "GE", "lowLimit": 0.05}


@pytest.mark.parametrize("number", [2147483648.0, 1234567.125, 0.00390625, 2.0**52, 123456792.0])
def test_a_double_that_is_a_32_bit_number_by_chance_is_exact(number):
    assert numbers_in(*values(number)) == [number]


def test_a_number_is_exact_where_the_short_one_would_be_on_another_side_of_a_limit():
    measured = measurement_of(a_number(single(0.1), high_limit=0.1, **NO_CODE))
    assert measured == {"status": "F", "value": single(0.1), "compOp": "LE", "lowLimit": 0.1}
