"""The reports of an acceptance run."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

import pytest

from tests.unit.acceptance.fake_wats import PLAN
from vte_wats.acceptance.probes import PART_NUMBER, Case, Plan, is_own, probes, sized_probe, source_id, source_id_of

PROBES = {probe.case: probe for probe in probes(PLAN)}


def test_every_case_has_a_report_and_the_plain_one_is_first():
    assert set(PROBES) == set(Case)
    assert next(iter(PROBES)) is Case.PLAIN


@pytest.mark.parametrize("case", Case)
def test_every_report_is_labelled_and_starts_within_the_interval_of_the_plan(case):
    probe = PROBES[case]
    assert probe.content["pn"] == PART_NUMBER
    assert is_own({"miscInfo": probe.content["miscInfos"]})
    assert source_id_of({"miscInfo": probe.content["miscInfos"]}) == source_id(probe.report_id)
    assert datetime.fromisoformat(probe.content["start"]) in PLAN.interval
    assert PLAN.interval.to_at < PLAN.started_at


def test_another_run_has_other_ids_and_serials():
    other = {probe.case: probe for probe in probes(Plan(datetime(2026, 3, 2, 13, tzinfo=UTC), 100, 501))}
    for case, probe in PROBES.items():
        assert other[case].report_id != probe.report_id
        assert other[case].serial != probe.serial


def test_two_reports_share_a_second_two_a_natural_key_and_two_an_id():
    first, second = PROBES[Case.SAME_SECOND_FIRST], PROBES[Case.SAME_SECOND_SECOND]
    assert first.serial == second.serial
    assert first.start_at.replace(microsecond=0) == second.start_at.replace(microsecond=0)
    assert first.start_at != second.start_at
    first, second = PROBES[Case.EQUAL_KEY_FIRST], PROBES[Case.EQUAL_KEY_SECOND]
    assert (first.serial, first.start_at) == (second.serial, second.start_at)
    assert first.report_id != second.report_id
    assert PROBES[Case.POSTED_TWICE].report_id == PROBES[Case.POSTED_AGAIN].report_id


@pytest.mark.parametrize("size_bytes", [1_000_000, 1_234_567])
def test_a_sized_report_has_that_size_and_is_labelled(size_bytes):
    probe = sized_probe(PLAN, size_bytes)
    assert size_bytes - 4 < len(probe.body) <= size_bytes
    files = [step["attachment"]["data"] for step in probe.content["root"]["steps"] if "attachment" in step]
    assert max(len(base64.b64decode(data, validate=True)) for data in files) < 100_000
    assert is_own({"miscInfo": json.loads(probe.body)["miscInfos"]})


@pytest.mark.parametrize("header", [None, {}, {"miscInfo": "none"}, {"miscInfo": [None, {"value": "VTE"}]}])
def test_a_header_without_the_label_is_not_its_own(header):
    assert not is_own(header)
    assert source_id_of(header) is None
