from __future__ import annotations

import json
import re
import struct
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from tests.unit.builders import a_settings
from vte_wats.config.settings import Settings, parse_settings
from vte_wats.domain.errors import FatalError

WHERE = "Airflow › Admin › Variables › vte_wats"
MINIMUM = {"source_timezone": "Europe/Oslo", "process_map": {"Gain": 100}}


def refusal_of(text: str | None) -> str:
    with pytest.raises(FatalError) as caught:
        parse_settings(text)
    return str(caught.value)


def test_two_answers_are_enough():
    settings = parse_settings(json.dumps(MINIMUM))
    assert settings.zone == ZoneInfo("Europe/Oslo")
    assert settings.process_map == {"Gain": 100}


def test_missing_variable_says_where_to_create_it_and_with_what():
    message = refusal_of(None)
    assert WHERE in message
    example = message[message.index("{") :]
    assert parse_settings(example).source_timezone == "Europe/Oslo"


def test_every_mistake_is_reported_at_once_with_field_rule_value_and_where_to_change_it():
    message = refusal_of(
        json.dumps({"source_timezone": "Oslo", "batch_size": 0, "guard_band": 600, "timestamp_marks": "middle"})
    )
    first, *mistakes = message.splitlines()
    assert first == f"VW103 5 setting(s) are wrong. Change them: {WHERE}"
    assert sorted(mistakes) == [  # releases of pydantic name them in orders of their own
        "- batch_size: Input should be greater than or equal to 1, given 0",
        "- guard_band: no such setting",
        "- process_map: required, but not given",
        "- source_timezone: must be an IANA time zone name such as Europe/Oslo, given 'Oslo'",
        "- timestamp_marks: Input should be 'end' or 'start', given 'middle'",
    ]


@pytest.mark.parametrize(
    ("answers", "field", "given"),
    [
        pytest.param({"source_timezone": "europe/oslo"}, "source_timezone", "'europe/oslo'", id="zone-in-lower-case"),
        pytest.param({"source_timezone": "+02:00"}, "source_timezone", "'+02:00'", id="zone-as-offset"),
        pytest.param({"source_timezone": "../../etc/passwd"}, "source_timezone", "passwd", id="zone-as-path"),
        pytest.param({"process_map": {}}, "process_map", "an object", id="empty-process-map"),
        pytest.param({"process_map": {"Gain": 0}}, "process_map.Gain", "0", id="process-code-too-small"),
        pytest.param({"process_map": {"Gain": 32_768}}, "process_map.Gain", "32768", id="process-code-too-large"),
        pytest.param({"result_codes": {"one": "Passed"}}, "result_codes.one", "'one'", id="result-code-no-number"),
        pytest.param({"result_codes": {"1": "Great"}}, "result_codes.1", "'Great'", id="unknown-result"),
        pytest.param({"step_result_codes": {}}, "step_result_codes", "an object", id="no-step-results"),
        pytest.param({"no_limit_values": ["many"]}, "no_limit_values.0", "'many'", id="marker-no-number"),
        pytest.param({"part_number": "serial"}, "part_number", "'serial'", id="no-such-column"),
        pytest.param({"part_revision": {"constant": " "}}, "part_revision.constant", "' '", id="blank-revision"),
        pytest.param(
            {"part_revision": {"sorce": "info1"}}, "part_revision.sorce", "no such", id="unknown-nested-field"
        ),
        pytest.param({"purpose": "x" * 101}, "purpose", "at most 100", id="purpose-too-long"),
        pytest.param({"column_overrides": {"IndexData": {"table": " "}}}, "IndexData.table", "' '", id="blank-table"),
        pytest.param(
            {"column_overrides": {"IndexData": {"columns": {"Info1": "a\nb"}}}},
            "columns.Info1",
            "a\\nb",
            id="line-break",
        ),
        pytest.param({"source_schema": ""}, "source_schema", "''", id="empty-schema"),
        pytest.param({"guard_band_s": 86_401}, "guard_band_s", "86401", id="guard-band-too-long"),
        pytest.param({"guard_band_s": 1.5}, "guard_band_s", "1.5", id="fraction-of-a-second"),
        pytest.param({"settle_delay_s": -1}, "settle_delay_s", "-1", id="settle-delay-negative"),
        pytest.param({"storage_path": "/var/vte"}, "storage_path", "'/var/vte'", id="storage-without-scheme"),
        pytest.param({"rejection_limit": 0}, "rejection_limit", "0", id="rejection-limit-zero"),
    ],
)
def test_a_wrong_answer_is_refused_by_field_and_value(answers, field, given):
    lines = refusal_of(json.dumps(MINIMUM | answers)).splitlines()
    assert lines[0] == f"VW103 1 setting(s) are wrong. Change them: {WHERE}"
    assert lines[1].startswith("- ")
    assert field in lines[1]
    assert given in lines[1]


@pytest.mark.parametrize(
    "answers",
    [
        {"wats_password": "hunter2"},
        {"alerts": {"wats": {"password": "hunter2"}}},
        {"alerts": ["hunter2"]},
        {"alerts": {"recipients": ["hunter2"]}},
        {"alerts": {"apprise_connection": "slack://hunter2"}},
        {"storage_path": "s3://ann:hunter2@bucket"},
        {"storage_path": "s3://ann:hunt/er@2@bucket"},
        {"storage_path": "//ann:hunter2@bucket"},
        {"purpose": {"password": "hunter2"}},
        ["hunter2"],
    ],
)
def test_a_wrong_answer_that_may_be_a_secret_is_named_without_it(answers):
    with pytest.raises(FatalError) as caught:
        parse_settings(json.dumps(MINIMUM | answers if isinstance(answers, dict) else answers))
    assert "hunt" not in str(caught.value)
    assert "- " in caught.value.public
    assert caught.value.__cause__ is None


def test_what_everybody_may_read_names_field_and_rule_and_no_value():
    with pytest.raises(FatalError) as caught:
        parse_settings(json.dumps(MINIMUM | {"source_timezone": "Oslo", "batch_size": 0}))
    assert caught.value.public.splitlines()[1:] == [
        "- source_timezone: must be an IANA time zone name such as Europe/Oslo",
        "- batch_size: Input should be greater than or equal to 1",
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        pytest.param("", "not valid JSON", id="empty"),
        pytest.param('{"source_timezone": ', "not valid JSON", id="cut-off"),
        pytest.param('{"batch_size": 1, "batch_size": 2}', "given twice: batch_size", id="double-key"),
        pytest.param('{"process_map": {"Gain": 1, "Gain": 2}}', "given twice: Gain", id="double-key-inside"),
        pytest.param("[]", "the whole value", id="list"),
        pytest.param("null", "the whole value", id="null"),
        pytest.param('"Europe/Oslo"', "the whole value", id="text"),
    ],
)
def test_a_variable_that_is_no_json_object_is_refused(text, reason):
    message = refusal_of(text)
    assert reason in message
    assert WHERE in message


@pytest.mark.parametrize(
    ("process_map", "testplan", "code"),
    [
        pytest.param({"Gain": 1}, "Gain", 1, id="exact"),
        pytest.param({"Gain": 1}, "Gain 2", None, id="nothing-matches"),
        pytest.param({"G*": 1, "Gain": 2}, "Gain", 2, id="exact-wins-over-an-earlier-pattern"),
        pytest.param({"G*": 1, "Ga*": 2}, "Gain", 1, id="first-pattern-wins"),
        pytest.param({"Ga*": 2, "G*": 1}, "Gain", 2, id="first-pattern-wins-in-the-other-order"),
        pytest.param({"Gai?": 1}, "Gain", 1, id="question-mark-is-one-character"),
        pytest.param({"Gai?": 1}, "Gai", None, id="question-mark-is-not-none"),
        pytest.param({"gain": 1, "g*": 2}, "Gain", None, id="case-counts"),
        pytest.param({"Gain [RF]*": 1}, "Gain [RF] v2", 1, id="brackets-are-literal"),
        pytest.param({"Gain [RF]*": 1}, "Gain R", None, id="brackets-are-no-set"),
        pytest.param({"]*[!a]": 1}, "]x[!a]", 1, id="brackets-in-any-order"),
        pytest.param({"A*B": 1}, "A\nB", 1, id="asterisk-spans-lines"),
        pytest.param({"*": 9}, "", 9, id="asterisk-matches-a-blank-name"),
        pytest.param({"a.c": 1}, "abc", None, id="dot-is-literal"),
    ],
)
def test_process_code_of_a_testplan(process_map, testplan, code):
    assert a_settings(process_map=process_map).process_code(testplan) == code


def test_patterns_keep_the_order_of_the_variable():
    text = '{"source_timezone": "UTC", "process_map": {"Z*": 3, "*": 2, "Za*": 1}}'
    assert parse_settings(text).process_code("Zab") == 3
    assert parse_settings(text).process_code("Ab") == 2


def single(value: float) -> float:
    """Return what a 32-bit column makes of a value."""
    return struct.unpack("f", struct.pack("f", value))[0]


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        pytest.param(None, False, id="null"),
        pytest.param(9.9e37, False, id="marker"),
        pytest.param(-9.9e37, False, id="negative-marker"),
        pytest.param(single(9.9e37), False, id="marker-from-a-real-column"),
        pytest.param(single(-9.9e37), False, id="negative-marker-from-a-real-column"),
        pytest.param(1e308, False, id="double-marker"),
        pytest.param(0.0, True, id="zero"),
        pytest.param(9.91e37, True, id="near-a-marker"),
        pytest.param(9.9e36, True, id="tenth-of-a-marker"),
        pytest.param(-1.5, True, id="negative"),
    ],
)
def test_is_limit_knows_the_values_that_mean_no_limit(limit, expected):
    assert a_settings().is_limit(limit) is expected


def test_a_sites_own_markers_replace_the_default_ones():
    settings = a_settings(no_limit_values=(999.0,))
    assert not settings.is_limit(999.0)
    assert settings.is_limit(9.9e37)


def test_every_setting_is_described():
    undescribed = [name for name, field in Settings.model_fields.items() if not field.description]
    assert undescribed == []


def test_the_documented_defaults_hold():
    defaults = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in Settings.model_fields.items()
        if not field.is_required()
    }
    plain = Settings(**MINIMUM, **defaults)
    assert plain == a_settings()
    assert {name for name, field in Settings.model_fields.items() if field.is_required()} == set(MINIMUM)
    assert (plain.guard_band_s, plain.settle_delay_s, plain.batch_size, plain.rejection_limit) == (600, 60, 1_000, 20)
    assert (plain.timestamp_marks, plain.ambiguous_time, plain.existence_check) == ("end", "earlier", "uuid")
    assert plain.result_codes == {1: "Passed", 0: "Failed", 2: "Error", 3: "Terminated"}
    assert plain.step_result_codes == plain.result_codes
    assert (plain.source_schema, plain.column_overrides, plain.lock_timeout_ms) == ("dbo", {}, 2_000)


def test_fingerprint_changes_with_every_answer_and_with_nothing_else():
    text = json.dumps(MINIMUM)
    assert parse_settings(text).fingerprint == parse_settings(text).fingerprint
    others = [
        {"process_map": {"Gain": 101}},
        {"purpose": "Debug"},
        {"result_codes": {"1": "Failed"}},
        {"batch_size": 99},
    ]
    fingerprints = {parse_settings(json.dumps(MINIMUM | other)).fingerprint for other in ({}, *others)}
    assert len(fingerprints) == 5


def test_settings_cannot_be_changed_once_read():
    with pytest.raises(ValidationError, match="frozen"):
        a_settings().batch_size = 5


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ({"Users": {"table": "People"}}, "Users is not one of the tables that are read"),
        ({"IndexData": {"columns": {"Timestmap": "TestDate"}}}, "IndexData.Timestmap is not one of the columns"),
        ({"IndexData": {"columns": {"Index_GUID": None}}}, "IndexData.Index_GUID is required"),
    ],
)
def test_an_override_of_what_is_never_read_is_refused(override, message):
    answers = {"source_timezone": "Europe/Oslo", "process_map": {"*": 100}, "column_overrides": override}
    with pytest.raises(FatalError, match=re.escape(message)):
        parse_settings(json.dumps(answers))


def test_the_columns_that_are_read_have_the_names_of_the_site():
    overrides = {"IndexData": {"table": "Runs", "columns": {"Result": "Verdict", "Info3": None}}}
    here = Settings(source_timezone="UTC", process_map={"*": 100}, column_overrides=overrides).columns_read
    documented = Settings(source_timezone="UTC", process_map={"*": 100}).columns_read
    assert {"Runs.Verdict", "Runs.Timestamp", "UutData.Serial"} <= here
    assert not {"Runs.Result", "Runs.Info3", "IndexData.Timestamp"} & here
    assert len(here) == len(documented) - 1
