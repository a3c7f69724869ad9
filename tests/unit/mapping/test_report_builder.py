"""A run becomes a report: every field in its place, equal bytes everywhere, and a clear refusal where it cannot."""

from __future__ import annotations

import base64
import gc
import hashlib
import json
import os
import subprocess
import sys
import warnings
from datetime import datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pywats.models import UUTReport

from tests.unit.builders import a_settings
from tests.unit.mapping_builders import GUID, SYSTEM_GUID, a_number, a_run, a_text, an_other, body_of, misc_infos_of
from vte_wats.config.settings import PartRevision, Settings
from vte_wats.domain.errors import HeldError, RejectedError
from vte_wats.domain.report import NaturalKey, Report
from vte_wats.domain.run import StepKind, VteProduct, VteStepResult, VteTestplan, VteTestRun, run_hash
from vte_wats.mapping.report_builder import map_run
from vte_wats.mapping.texts import width

PROJECT = Path(__file__).parents[3]


def a_full_run(**fields):
    typical = {
        "exit_code": 0,
        "testplan": VteTestplan(name=" Gain ", variant="Cold", revision="1.4"),
        "testsystem_guid": SYSTEM_GUID,
        "hostname": "PC-4",
        "site_name": "Oslo",
        "operator": " Operatør 17 ",
        "info1": "Lot 測試",
        "info3": "rack 2",
        "steps": (
            a_number(3.3, step_number=2, units="V", low_limit=3.2, high_limit=3.4, test_name="Rail"),
            a_text("1.0.7", step_number=1),
        ),
    }
    return a_run(**{**typical, **fields})


def refusal_of(run, settings=None):
    with pytest.raises(RejectedError) as caught:
        map_run(run, settings or a_settings())
    return caught.value


def test_every_field_of_a_run_stands_in_its_place():
    report = map_run(a_full_run(), a_settings())
    body = json.loads(report.body)
    infos = body.pop("miscInfos")
    assert body == {
        "id": str(GUID),
        "type": "T",
        "pn": "PN-1",
        "sn": "SN-1",
        "rev": "-",
        "processCode": 100,
        "result": "P",
        "machineName": "Station 4",
        "location": "Oslo",
        "purpose": "Production",
        "start": "2026-06-15T14:29:47.750000+02:00",
        "startUTC": "2026-06-15T12:29:47.750000Z",
        "uut": {"user": "Operatør 17", "execTime": 12.5},
        "subUnits": [],
        "root": {
            "stepType": "SequenceCall",
            "name": "MainSequence Callback",
            "group": "M",
            "status": "P",
            "seqCall": {"path": "Gain (Cold)", "name": "Gain", "version": "1.4"},
            "steps": [
                {
                    "stepType": "ET_SVT",
                    "name": "Firmware",
                    "group": "M",
                    "status": "P",
                    "id": 1,
                    "stringMeas": [{"status": "P", "value": "1.0.7", "compOp": "LOG"}],
                },
                {
                    "stepType": "ET_NLT",
                    "name": "Rail",
                    "group": "M",
                    "status": "P",
                    "id": 2,
                    "numericMeas": [
                        {
                            "status": "P",
                            "value": 3.3,
                            "unit": "V",
                            "compOp": "GELE",
                            "lowLimit": 3.2,
                            "highLimit": 3.4,
                        }
                    ],
                },
            ],
        },
    }
    assert [(info["description"], info["text"]) for info in infos] == [
        ("source_hash", report.source_hash),
        ("run_hash", run_hash(a_full_run())),
        ("source", "VTE"),
        ("source_id", f"VTE:{str(GUID).lower()}"),
        ("source_system", str(SYSTEM_GUID)),
        ("source_timestamp", "2026-06-15T14:30:00.250"),
        ("testplan", "Gain"),
        ("testplan_variant", "Cold"),
        ("testplan_revision", "1.4"),
        ("exit_code", "0"),
        ("info1", "Lot 測試"),
        ("info3", "rack 2"),
    ]
    assert report.report_id == GUID
    assert report.natural_key == NaturalKey(
        "SN-1", "PN-1", 100, datetime(2026, 6, 15, 14, 29, 47, 750_000, timezone(timedelta(hours=2)))
    )


def test_a_bare_run_leaves_out_what_it_does_not_have():
    body = body_of(a_run(test_time_s=None))
    assert body["uut"] == {"user": ""}
    assert body["location"] == "-"
    assert body["root"]["seqCall"] == {"path": "Gain", "name": "Gain", "version": "-"}
    assert set(misc_infos_of(body)) == {
        "source_hash",
        "run_hash",
        "source",
        "source_id",
        "source_timestamp",
        "testplan",
        "start_from",
    }


def test_nothing_of_the_defaults_of_pywats_leaks():
    bare = map_run(
        a_run(test_time_s=None, steps=(a_number(), a_text(), an_other(b"\xff"), a_number(None))), a_settings()
    )
    for default in (
        "Fixture",
        "SequenceCall.seq",
        "TestSequence",
        "1.0.0",
        '"NA"',
        "StepName",
        "Unknown",
        "None",
    ):
        assert default not in bare.body
    assert bare.body.count('""') == bare.body.count('"user":""') == 1


def test_the_hash_covers_the_whole_body_but_the_hashes():
    report = map_run(a_full_run(), a_settings())
    unmarked = report.body
    for name, value in (("source_hash", report.source_hash), ("run_hash", run_hash(a_full_run()))):
        mark = f'{{"description":"{name}","text":"{value}"}},'
        assert unmarked.count(mark) == 1
        unmarked = unmarked.replace(mark, "")
    assert hashlib.sha256(unmarked.encode()).hexdigest()[:16] == report.source_hash


def test_the_hash_is_not_led_astray_by_texts_that_look_like_the_document():
    report = map_run(a_run(serial='"miscInfos":['), a_settings())
    assert json.loads(report.body)["sn"] == '"miscInfos":['
    assert misc_infos_of(json.loads(report.body))["source_hash"] == report.source_hash


@pytest.mark.parametrize(
    "changed",
    [{"info1": "x"}, {"exit_code": 1}, {"operator": "x"}, {"test_time_s": 12.6}, {"steps": (a_number(),)}],
    ids=lambda fields: next(iter(fields)),
)
def test_the_hash_changes_with_the_content(changed):
    plain, other = map_run(a_run(), a_settings()), map_run(a_run(**changed), a_settings())
    assert plain.source_hash != other.source_hash
    assert plain.report_id == other.report_id


def test_mapping_leaves_no_rings_for_the_garbage_collector():
    run, settings = a_full_run(), a_settings()
    map_run(run, settings)
    gc.collect()
    gc.disable()
    try:
        map_run(run, settings)
        assert gc.collect() == 0
    finally:
        gc.enable()


@pytest.mark.parametrize(
    ("code", "result"), [(1, "P"), (0, "F"), (2, "E"), (3, "T")], ids=["passed", "failed", "error", "terminated"]
)
def test_the_runs_own_result_code_decides_over_its_steps(code, result):
    body = body_of(a_run(result_code=code, steps=(a_number(result_code=0), a_number(result_code=1, step_number=2))))
    assert (body["result"], body["root"]["status"]) == (result, result)


def test_the_sites_own_result_codes_count():
    assert body_of(a_run(result_code=0), a_settings(result_codes={0: "Passed"}))["result"] == "P"


@pytest.mark.parametrize(("code", "named"), [(7, "7"), (None, "NULL")])
def test_a_run_with_an_unlisted_result_code_is_held(code, named):
    held = refusal_of(a_run(result_code=code))
    assert isinstance(held, HeldError)
    assert held.signature == f"unlisted result code {named}"
    assert "result_codes" in str(held)


def test_a_run_of_an_unmapped_test_plan_is_held_under_one_signature():
    held = [refusal_of(a_run(testplan=VteTestplan(name=name), serial=name)) for name in ("Burn-in", " Burn-in ")]
    assert all(isinstance(error, HeldError) for error in held)
    assert {error.signature for error in held} == {"unmapped test plan 'Burn-in'"}
    assert "process_map" in str(held[0])


@pytest.mark.parametrize("snapshot", [None, "", "  "])
def test_a_test_plan_without_a_name_of_its_own_has_the_one_in_the_master_table(snapshot):
    body = body_of(a_run(testplan=VteTestplan(name=snapshot, master_name="Gain")))
    assert body["processCode"] == 100
    assert body["root"]["seqCall"]["name"] == "Gain"


def test_a_test_plan_without_any_name_is_held_unless_a_pattern_takes_every_run():
    nameless = a_run(testplan=VteTestplan())
    assert refusal_of(nameless).signature == "unmapped test plan ''"
    assert body_of(nameless, a_settings(process_map={"*": 7}))["root"]["seqCall"]["name"] == "-"


@pytest.mark.parametrize("blank", [None, "", " \t\n"])
@pytest.mark.parametrize("field", ["serial", "part number"])
def test_a_blank_serial_or_part_number_is_rejected(field, blank):
    fields = {"serial": blank} if field == "serial" else {"product": VteProduct(name=blank, master_name=blank)}
    refused = refusal_of(a_run(**fields))
    assert not isinstance(refused, HeldError)
    assert refused.signature == f"{field} is blank"
    assert field in str(refused)


@pytest.mark.parametrize("long", ["S" * 101, "😀" * 51], ids=["ascii", "beyond the BMP"])
@pytest.mark.parametrize("field", ["serial", "part number"])
def test_a_serial_or_part_number_that_is_too_long_is_rejected_and_never_shortened(field, long):
    fields = {"serial": long} if field == "serial" else {"product": VteProduct(name=long)}
    assert refusal_of(a_run(**fields)).signature == f"{field} is longer than 100 characters"


def test_a_serial_of_exactly_the_limit_goes_through():
    assert body_of(a_run(serial=" " + "S" * 100 + " "))["sn"] == "S" * 100


def test_the_part_number_falls_back_to_the_master_name_of_the_product():
    assert body_of(a_run(product=VteProduct(name=" ", master_name="PN-M")))["pn"] == "PN-M"


def test_the_part_number_comes_from_the_column_the_site_names_without_falling_back():
    settings = a_settings(part_number="info1")
    assert body_of(a_run(info1="PN-I"), settings)["pn"] == "PN-I"
    assert refusal_of(a_run(product=VteProduct(master_name="PN-M")), settings).signature == "part number is blank"


@pytest.mark.parametrize("value", ["A/B", "A*B", "100%?", "[^]!", "A\\B", "SUPPRESS:A/B", "SUPPRESS:A"])
def test_problem_characters_are_kept_unchanged_and_without_a_warning(value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        report = map_run(a_run(serial=value, product=VteProduct(name=value)), a_settings())
    body = json.loads(report.body)
    assert (body["sn"], body["pn"]) == (value, value)
    assert (report.natural_key.serial, report.natural_key.part_number) == (value, value)


@pytest.mark.parametrize("character", "*%?[]^!/\\")
def test_problem_characters_are_rejected_where_the_site_wants_that(character):
    settings = a_settings(problem_characters="reject")
    serial = refusal_of(a_run(serial=f"A{character}B"), settings)
    part_number = refusal_of(a_run(product=VteProduct(name=f"A{character}B")), settings)
    assert serial.signature == f"serial contains {character}"
    assert part_number.signature == f"part number contains {character}"
    assert "problem_characters" in str(serial)


def test_the_station_is_the_column_the_site_names_then_the_host_then_a_refusal():
    assert body_of(a_run(hostname="PC-4"), a_settings(station="hostname"))["machineName"] == "PC-4"
    assert body_of(a_run(testsystem_name=" ", hostname="PC-4"))["machineName"] == "PC-4"
    assert refusal_of(a_run(testsystem_name=None, hostname=" ")).signature == "station is blank"


@pytest.mark.parametrize(
    ("rule", "revision"),
    [
        (PartRevision(), "-"),
        (PartRevision(source="info2", constant="0"), "C"),
        (PartRevision(source="info3", constant="0"), "0"),
        (PartRevision(constant="A"), "A"),
    ],
)
def test_the_part_revision_follows_its_rule(rule, revision):
    assert body_of(a_run(info2="C", info3=" "), a_settings(part_revision=rule))["rev"] == revision


def test_location_and_purpose_follow_the_settings():
    settings = a_settings(default_location="Hall 2", purpose="Pilot")
    assert body_of(a_run(), settings)["location"] == "Hall 2"
    assert body_of(a_run(), settings)["purpose"] == "Pilot"


@pytest.mark.parametrize("blank", [None, "", "  "])
@pytest.mark.parametrize("default", ["", "nobody"])
def test_a_run_without_an_operator_has_the_default_one_even_if_that_is_empty(blank, default):
    settings = a_settings(default_operator=default)
    assert body_of(a_run(operator=blank), settings)["uut"]["user"] == default
    assert body_of(a_run(operator="Kari"), settings)["uut"]["user"] == "Kari"


def test_the_start_is_also_sent_in_utc():
    report = map_run(a_run(timestamp_local=datetime(2026, 1, 1, 0, 30), test_time_s=0.25), a_settings())
    assert '"start":"2026-01-01T00:29:59.750000+01:00","startUTC":"2025-12-31T23:29:59.750000Z"' in report.body


# ------------------------------------------------------------------------------------------------- what failed the unit
def steps_with(*codes: int) -> tuple[VteStepResult, ...]:
    return tuple(a_number(step_number=n, test_name=f"S{n}", result_code=code) for n, code in enumerate(codes, start=10))


@pytest.mark.parametrize(
    ("run_code", "step_codes", "cause"),
    [
        (0, (1, 0, 0), 11),
        (0, (1, 2, 0), 12),
        (0, (1, 3, 2), 12),
        (2, (0, 2, 1), 11),
        (2, (1, 0), 11),
        (3, (0, 1, 3), 12),
        (0, (1, 1), None),
        (1, (0, 2), None),
    ],
)
def test_the_step_that_failed_the_unit_is_marked_and_named_by_its_id(run_code, step_codes, cause):
    body = body_of(a_run(result_code=run_code, steps=steps_with(*step_codes)))
    marked = [step["id"] for step in body["root"]["steps"] if "causedUUTFailure" in step]
    assert marked == ([] if cause is None else [cause])
    assert body["uut"].get("stepIdCausedUUTFailure") == cause


def test_the_step_that_failed_the_unit_is_marked_in_the_bytes():
    report = map_run(a_run(result_code=0, steps=steps_with(0)), a_settings())
    assert report.body.count('"causedUUTFailure":true') == 1
    assert "causedSeqFailure" not in report.body


def test_an_unnumbered_step_that_failed_the_unit_is_marked_without_an_id():
    body = body_of(a_run(result_code=0, steps=(a_number(step_number=None, result_code=0),)))
    assert body["root"]["steps"][0]["causedUUTFailure"] is True
    assert "stepIdCausedUUTFailure" not in body["uut"]


@pytest.mark.parametrize(
    ("run_code", "exit_code", "written"),
    [
        (0, 17, {"errorCode": 17, "errorMessage": "Fixture open"}),
        (2, -5, {"errorCode": -5, "errorMessage": "ExitCode -5"}),
        (0, 0, {}),
        (0, None, {}),
        (1, 17, {}),
    ],
)
def test_a_run_that_did_not_pass_has_the_error_that_its_exit_code_stands_for(run_code, exit_code, written):
    settings = a_settings(error_messages={0: None, 17: "Fixture open"})
    body = body_of(a_run(result_code=run_code, exit_code=exit_code), settings)
    assert {name: value for name, value in body["uut"].items() if name.startswith("error")} == written
    assert misc_infos_of(body).get("exit_code") == (None if exit_code is None else str(exit_code))


# ----------------------------------------------------------------------------------------------- values taken from texts
RULES = [
    {"source": "info1", "pattern": "Lot {batch} / FX-{fixture} #{socket}"},
    {"source": "info1", "pattern": "Lot {batch}"},
    {"source": "info2", "pattern": "rev {part_revision};*oven {misc:Oven number}"},
    {"source": "hostname", "pattern": "PC-{misc:Bench}"},
]


def test_rules_take_values_out_of_texts_into_their_fields():
    run = a_run(info1=" Lot 47 / FX-A 9 #3 ", info2="rev C; hot oven 12", hostname="PC-4")
    body = body_of(run, a_settings(text_rules=RULES, part_revision={"source": "info3", "constant": "X"}))
    assert body["uut"] == {
        "user": "", "execTime": 12.5, "batchSN": "47", "fixtureId": "A 9", "testSocketIndex": 3,
    }  # fmt: skip
    assert body["rev"] == "C"
    infos = misc_infos_of(body)
    assert (infos["Oven number"], infos["Bench"]) == ("12", "4")
    assert (infos["info1"], infos["info2"]) == ("Lot 47 / FX-A 9 #3", "rev C; hot oven 12")


def test_the_first_rule_that_finds_a_value_counts():
    settings = a_settings(text_rules=[*RULES, {"source": "info3", "pattern": "{batch}"}])
    assert body_of(a_run(info1="Lot 8", info3="9"), settings)["uut"]["batchSN"] == "8"
    assert body_of(a_run(info1="lot 8", info3="9"), settings)["uut"]["batchSN"] == "9"
    assert "batchSN" not in body_of(a_run(), settings)["uut"]


def test_a_test_socket_that_is_no_number_is_left_out_with_a_remark():
    body = body_of(a_run(info1="Lot 47 / FX-A #left"), a_settings(text_rules=RULES))
    assert "testSocketIndex" not in body["uut"]
    assert body["uut"]["comment"] == "test socket left is no whole number and was left out"


def test_a_value_that_is_too_long_is_shortened_and_noted():
    body = body_of(a_run(info1="Lot " + "4" * 120), a_settings(text_rules=RULES))
    assert body["uut"]["batchSN"] == "4" * 99 + "…"
    assert "batch in full: " + "4" * 120 in body["uut"]["comment"].splitlines()


# ------------------------------------------------------------------------------------------- numbers as they were written
SINGLE = 12.345600128173828  # 12.3456 as a 32-bit number


def test_a_test_time_is_written_with_the_digits_of_its_32_bit_column():
    assert '{"user":"x","execTime":12.3456}' in map_run(a_run(test_time_s=SINGLE, operator="x"), a_settings()).body
    exact = map_run(a_run(test_time_s=SINGLE), a_settings(numbers="exact")).body
    assert f'"execTime":{SINGLE}' in exact
    assert '"execTime":12.3456000001' in map_run(a_run(test_time_s=12.3456000001), a_settings()).body


@pytest.mark.parametrize("test_time_s", [-1.0, float("nan"), float("inf")])
def test_a_test_time_that_is_no_duration_is_noted_instead_of_sent(test_time_s):
    body = body_of(a_run(test_time_s=test_time_s))
    assert "execTime" not in body["uut"]
    assert body["uut"]["comment"] == f"TestTime {test_time_s!r} is no duration and was left out"
    assert misc_infos_of(body)["start_from"] == "timestamp"


def test_a_start_that_had_to_be_chosen_says_so_in_a_misc_info():
    assert "earlier" in misc_infos_of(body_of(a_run(timestamp_local=datetime(2026, 10, 25, 2, 30))))["start_ambiguous"]
    assert "start_nonexistent" in misc_infos_of(body_of(a_run(timestamp_local=datetime(2026, 3, 29, 2, 30))))


def test_the_raw_timestamp_keeps_every_digit_the_column_has():
    local = datetime(2026, 6, 15, 14, 30, 0, 123_457)
    assert misc_infos_of(body_of(a_run(timestamp_local=local)))["source_timestamp"] == "2026-06-15T14:30:00.123457"


def test_an_overlong_text_is_shortened_and_stands_in_full_in_the_comment():
    long = "x" * 60 + "y" * 60
    body = body_of(a_run(info1=long, operator=long, site_name=long, testsystem_name=long))
    kept = long[:99] + "…"
    assert misc_infos_of(body)["info1"] == kept
    assert (body["uut"]["user"], body["location"], body["machineName"]) == (kept, kept, kept)
    for field in ("info1", "operator", "location", "station"):
        assert f"{field} in full: {long}" in body["uut"]["comment"].splitlines()


def test_an_overlong_test_plan_revision_and_variant_are_shortened_to_their_own_limits_and_noted():
    body = body_of(a_run(testplan=VteTestplan(name="Gain", variant="v" * 600, revision="r" * 31)))
    assert body["root"]["seqCall"]["version"] == "r" * 29 + "…"
    assert len(body["root"]["seqCall"]["path"]) == 500
    assert "test plan revision in full: " + "r" * 31 in body["uut"]["comment"].splitlines()
    assert "test plan variant in full: " + "v" * 600 in body["uut"]["comment"].splitlines()


def test_an_overlong_test_plan_name_is_mapped_by_its_full_name():
    name = "G" * 120
    body = body_of(a_run(testplan=VteTestplan(name=name)), a_settings(process_map={name: 55}))
    assert body["processCode"] == 55
    assert body["root"]["seqCall"]["name"] == "G" * 99 + "…"
    assert body["uut"]["comment"].splitlines().count(f"test plan in full: {name}") == 1


def test_a_comment_that_is_too_long_goes_on_in_an_attachment():
    long = "z" * 6000
    body = body_of(a_run(info1=long))
    comment, file = body["uut"]["comment"], body["root"]["attachment"]
    assert len(comment) <= 5000
    assert comment.endswith("(The whole text is in the attachment comment.txt.)")
    assert file["name"] == "comment.txt"
    assert base64.b64decode(file["data"]).decode() == f"info1 in full: {long}"


def test_characters_that_wats_does_not_allow_become_visible_and_are_noted():
    body = body_of(a_run(serial="A\x00\x1fB", info1="x\ty\r\nz"))
    assert body["sn"] == "A␀␟B"
    assert misc_infos_of(body)["info1"] == "x\ty\r\nz"
    assert body["uut"]["comment"] == "serial: characters that WATS cannot carry are shown as symbols"


def test_a_field_that_pywats_refuses_is_named_in_a_rejection():
    refused = refusal_of(a_run(), a_settings().model_copy(update={"purpose": "p" * 101}))
    assert "purpose" in str(refused)
    assert "at most 100 characters" in str(refused)
    assert refused.signature == "UUTReport purpose: string_too_long"


def test_the_guid_is_the_report_id_whatever_its_case():
    upper = UUID(str(GUID).upper())
    assert body_of(a_run(index_guid=upper))["id"] == str(GUID)


# ------------------------------------------------------------------------------------------- whatever a database may hold
# Lone surrogates never come out of the model; everything else may.
CHARACTERS = st.characters(exclude_categories=("Cs",))
TEXT = (
    st.none()
    | st.sampled_from(["", " ", "Gain", "SN-1", "A/*?", "\x00", "😀" * 60])
    | st.text(CHARACTERS, max_size=130)
)
USUALLY = st.sampled_from([True, True, True, True, False])
LONG_TEXT = TEXT | st.integers(1_000, 12_000).map(lambda size: "wide Ω " * (size // 7))
NUMBER = st.none() | st.floats() | st.sampled_from([0.0, 1.0, 9.9e37, -9.9e37, 9.91e37, 1e308])
CODE = st.none() | st.sampled_from([0, 1, 2, 3]) | st.integers(-(2**31), 2**31 - 1)


def usually(text: str) -> st.SearchStrategy[str | None]:
    return USUALLY.flatmap(lambda usual: st.just(text) if usual else TEXT)


BYTES = (
    st.none() | st.binary(max_size=80) | st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", b"a\x00b\x00", b"\xff\xfea\x00"])
)
STEP = st.builds(
    VteStepResult,
    kind=st.sampled_from(StepKind),
    step_number=st.none() | st.integers(0, 3) | st.integers(-(2**31), 2**31 - 1),
    test_name=TEXT,
    test_description=LONG_TEXT,
    test_number=TEXT,
    units=TEXT,
    numeric_value=NUMBER,
    text_value=LONG_TEXT,
    bytes_value=BYTES,
    low_limit=NUMBER,
    high_limit=NUMBER,
    result_code=st.none() | st.sampled_from([0, 1, 2, 3]),
)
RUN = st.builds(
    VteTestRun,
    index_guid=st.uuids(),
    timestamp_local=st.datetimes() | st.just(datetime(9999, 12, 31, 23, 59, 59)),
    result_code=USUALLY.flatmap(lambda listed: st.sampled_from([0, 1, 2, 3]) if listed else CODE),
    exit_code=CODE,
    test_time_s=st.none() | st.floats(0, 1e4) | st.floats(),
    serial=usually("SN-1"),
    product=st.builds(VteProduct, name=usually("PN-1"), master_name=usually("PN-1")),
    testplan=st.builds(VteTestplan, name=TEXT, master_name=TEXT, variant=LONG_TEXT, revision=TEXT),
    testsystem_guid=st.none() | st.uuids(),
    testsystem_name=usually("Station 4"),
    hostname=TEXT,
    site_name=TEXT,
    operator=TEXT,
    info1=LONG_TEXT,
    info2=TEXT,
    info3=TEXT,
    steps=st.lists(STEP, max_size=5).map(tuple),
)
ZONE = st.sampled_from(["Europe/Oslo", "Australia/Lord_Howe", "Asia/Kathmandu", "America/St_Johns"])


def report_or_refusal(run: VteTestRun, answers: Settings) -> Report | RejectedError:
    try:
        return map_run(run, answers)
    except RejectedError as refusal:
        return refusal


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(
    run=RUN,
    zone=ZONE,
    marks=st.sampled_from(["end", "start"]),
    problem=st.sampled_from(["keep", "reject"]),
    plans=st.sampled_from(["*", "?*"]),
)
def test_any_run_becomes_a_valid_report_or_a_refusal_with_its_reason(run, zone, marks, problem, plans):
    answers = a_settings(
        source_timezone=zone, timestamp_marks=marks, problem_characters=problem, process_map={plans: 100}
    )
    report = report_or_refusal(run, answers)
    if isinstance(report, RejectedError):
        assert str(report)
        assert report.signature
        return
    body = json.loads(report.body)
    assert UUID(body["id"]) == report.report_id == run.index_guid
    assert body["sn"] == report.natural_key.serial == report.natural_key.serial.strip()
    assert datetime.fromisoformat(body["start"]) == report.natural_key.start_at
    UUTReport.model_validate({**body, "sn": "x", "pn": "x"})
    plan = body["root"]["seqCall"]["name"]
    for text in (body["sn"], body["pn"], body["rev"], body["machineName"], body["location"], plan):
        assert 1 <= width(text) <= 100
    assert body["uut"]["user"] is not None
    names = [step["name"] for step in body["root"]["steps"]]
    assert len(set(names)) == len(names)
    assert all(1 <= width(name) <= 100 for name in names)
    for step in body["root"]["steps"]:
        for measured in (*step.get("numericMeas", ()), *step.get("stringMeas", ())):
            assert measured["status"] in {"P", "F", "S"}
            assert width(measured.get("unit", "")) <= 20
    assert all(1 <= width(info["text"]) <= 100 for info in body["miscInfos"])
    assert map_run(run, answers) == report


@settings(max_examples=60, deadline=None)
@given(code=CODE.filter(lambda code: code not in {0, 1, 2, 3}))
def test_an_unlisted_result_code_is_never_passed(code):
    run = VteTestRun(
        index_guid=UUID(int=1),
        timestamp_local=datetime(2026, 1, 1),
        serial="S",
        product=VteProduct(name="P"),
        testplan=VteTestplan(name="Gain"),
        testsystem_name="T",
        result_code=code,
    )
    assert isinstance(report_or_refusal(run, a_settings()), HeldError)


# ---------------------------------------------------------------------------- equal runs are equal bytes, wherever mapped
# The same under Python 3.11, 3.12 and 3.13: tests run under any of them, and compare with this one.
DIGEST = "52543dc776967ad06dc97018bc35e22fbaf4a1cd982960fc11f8abd668c381e7"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("zone", "locale", "seed"),
    [("UTC", "C", "0"), ("America/New_York", "C.UTF-8", "1"), ("Australia/Lord_Howe", "tr_TR.UTF-8", "4711")],
)
def test_a_fixed_set_of_runs_gives_the_committed_bytes(zone, locale, seed):
    environment = {**os.environ, "TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": seed}
    environment["PYTHONPATH"] = f"{PROJECT / 'plugins'}:{PROJECT}"
    command = [sys.executable, "-m", "tests.unit.same_bytes"]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == DIGEST
