"""Whatever a database may hold: a valid report or a refusal with its reason, and nothing else."""

from __future__ import annotations

import json
from datetime import datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pywats.models import UUTReport

from tests.unit.mapping_builders import a_settings
from vte_wats.config.settings import Settings
from vte_wats.domain.errors import HeldError, RejectedError
from vte_wats.domain.report import Report
from vte_wats.domain.run import StepKind, VteProduct, VteStepResult, VteTestplan, VteTestRun
from vte_wats.mapping.report_builder import map_run
from vte_wats.mapping.texts import width

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
    for text in (body["sn"], body["pn"], body["rev"], body["machineName"], body["location"], body["root"]["name"]):
        assert 1 <= width(text) <= 100
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
