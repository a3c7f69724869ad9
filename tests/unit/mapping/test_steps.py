"""Rows become steps: values, limits, verdicts and texts as they stand in the source."""

from __future__ import annotations

import base64
import math

import pytest

from tests.unit.builders import a_settings
from tests.unit.mapping_builders import a_number, a_run, a_text, an_other, body_of, steps_of
from vte_wats.domain.errors import HeldError, RejectedError
from vte_wats.mapping.report_builder import map_run

NO_CODE = {"result_code": None}


def measurement_of(row, settings=None):
    (step,) = steps_of(row, settings=settings)
    (measurement,) = step["numericMeas"]
    assert step["status"] == measurement["status"]
    return measurement


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
    report = measurement_of(a_number(value, low_limit=value, high_limit=value))
    for name in ("value", "lowLimit", "highLimit"):
        assert (report[name], math.copysign(1, report[name])) == (value, math.copysign(1, value))


@pytest.mark.parametrize(("units", "written"), [(" mV ", "mV"), ("Ω", "Ω"), ("", None), ("  ", None), (None, None)])
def test_units_are_kept_and_blank_ones_left_out(units, written):
    assert measurement_of(a_number(units=units)).get("unit") == written


@pytest.mark.parametrize(("code", "status"), [(1, "P"), (0, "F"), (2, "E"), (3, "T")])
def test_the_steps_own_result_code_decides_over_its_value_and_limits(code, status):
    assert measurement_of(a_number(9.0, low_limit=1.0, high_limit=2.0, result_code=code))["status"] == status


@pytest.mark.parametrize(("result", "status"), [("Done", "D"), ("Skipped", "S")])
def test_the_sites_own_step_result_codes_count(result, status):
    settings = a_settings(step_result_codes={5: result})
    assert measurement_of(a_number(result_code=5), settings)["status"] == status


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
        (1.5, None, None, "D"),
        (1.5, -9.9e37, 9.9e37, "D"),
        (9.9e37, 1.0, None, "P"),
        (9.91e37, 1.0, None, "F"),
        (9.91e37, None, None, "D"),
    ],
)
def test_without_a_code_a_number_is_judged_by_its_limits_and_never_passed_without_one(value, low, high, status):
    assert measurement_of(a_number(value, low_limit=low, high_limit=high, **NO_CODE))["status"] == status


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


def test_a_text_without_a_code_is_done():
    assert steps_of(a_text(**NO_CODE))[0]["status"] == "D"


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
    assert [step["name"] for step in steps_of(*rows)] == ["-1", "4", "30", "None", "None"]


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
        ("Id #2", "bbb", "E"),
    ]
    assert step["reportText"] == "Id #2:\nvalue in full: " + "b" * 101


@pytest.mark.parametrize(
    ("names", "unique"),
    [
        (["G", "G", "G", "G"], ["G", "G #2", "G #3", "G #4"]),
        (["G", "G", "G #2", "G"], ["G", "G #2", "G #2 #2", "G #3"]),
        (["n" * 100] * 2, ["n" * 100, "n" * 96 + "… #2"]),
        ([None, None], ["Step 1", "Step 1 #2"]),
    ],
)
def test_measurement_names_are_unique_within_a_step(names, unique):
    (step,) = steps_of(*(a_number(test_name=name) for name in names))
    assert [m["name"] for m in step["numericMeas"]] == unique


@pytest.mark.parametrize(
    ("codes", "worst"),
    [((1, 5), "P"), ((5, 6), "D"), ((1, 0, 5), "F"), ((0, 3), "T"), ((3, 2), "E"), ((6, 6), "S"), ((None, 5), "D")],
)
def test_a_step_with_several_measurements_has_the_status_of_its_worst(codes, worst):
    settings = a_settings(
        step_result_codes={1: "Passed", 0: "Failed", 2: "Error", 3: "Terminated", 5: "Done", 6: "Skipped"}
    )
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
