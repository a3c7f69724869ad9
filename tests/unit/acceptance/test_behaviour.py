"""What observations say about a WATS: each behaviour alone, and what they do not say."""

from __future__ import annotations

from dataclasses import asdict

import pytest

from tests.unit.acceptance.fake_wats import PLAN, FakeClock, FakeWats
from vte_wats.acceptance.behaviour import Behaviour, behaviour_of, delays, median_delay_s
from vte_wats.acceptance.observe import MAY_STAY_AWAY, Observations, WatsResponse, observe
from vte_wats.acceptance.probes import Case
from vte_wats.wats.profile import WatsProfile

OBEDIENT = {
    "answer_form": "object",
    "renames": False,
    "visibility_delay_s": 1.0,
    "id_form": "bare",
    "range_listing": True,
    "start_fraction": False,
    "merges_within_second": False,
    "body_limit_bytes": None,
    "large_attachments": "taken",
    "measurement_status": "any",
    "done_on_measured_step": True,
    "equal_step_names": "taken",
    "unit_length_limit": None,
    "user_required": False,
}


def seen_of(**behaviour) -> Observations:
    clock = FakeClock()
    return observe(FakeWats(clock, **behaviour), clock, PLAN, longest_delay_s=300, largest_body_bytes=4_000_000)


def measurements(report):
    steps = report["root"]["steps"]
    return [(step, measurement) for step in steps for measurement in step.get("numericMeas", ())]


def refuse_statuses(report):
    wrong = [measurement["status"] for _, measurement in measurements(report) if measurement["status"] not in "PFS"]
    return f"status: must be P, F or S, not {wrong[0]}" if wrong else None


def refuse_done(report):
    return "status: D" if any(step["status"] == "D" for step, _ in measurements(report)) else None


def refuse_equal_names(report):
    names = [step["name"] for step in report["root"]["steps"]]
    return None if len(set(names)) == len(names) else "name: must be unique"


def refuse_long_units(report):
    return "unit: 20" if any(len(measurement["unit"]) > 20 for _, measurement in measurements(report)) else None


def refuse_large_attachments(report):
    files = [step["attachment"]["data"] for step in report["root"]["steps"] if "attachment" in step]
    return "data: 102400" if any(len(data) * 3 // 4 - data.count("=") > 102_400 for data in files) else None


def refuse_missing_users(report):
    return None if "user" in report["uut"] else "uut.user: is required"


@pytest.mark.parametrize(
    ("behaviour", "changed"),
    [
        ({}, {}),
        ({"array": True}, {"answer_form": "array"}),
        ({"renames": True}, {"renames": True}),
        ({"delay_s": 60}, {"visibility_delay_s": pytest.approx(63, abs=3)}),
        ({"status_of": {"bare": 400}}, {"id_form": "quoted"}),
        ({"status_of": {"bare": 500, "quoted": 400}}, {"id_form": "or_chain"}),
        ({"status_of": dict.fromkeys(FakeWats.id_forms, 400)}, {"id_form": None}),
        ({"lists_ranges": False}, {"range_listing": False}),
        ({"body_limit": 2_500_000}, {"body_limit_bytes": pytest.approx(2_500_000, rel=0.02)}),
        ({"refuses": refuse_statuses}, {"measurement_status": "pfs"}),
        ({"refuses": refuse_done}, {"done_on_measured_step": False}),
        ({"refuses": refuse_equal_names}, {"equal_step_names": "refused"}),
        ({"refuses": refuse_long_units}, {"unit_length_limit": 20}),
        ({"refuses": refuse_missing_users}, {"user_required": True}),
        ({"refuses": refuse_large_attachments}, {"large_attachments": "refused"}),
    ],
    ids=lambda given: ", ".join(given) or "obedient" if isinstance(given, dict) else None,
)
def test_each_behaviour_is_found_out_and_no_other(behaviour, changed):
    assert asdict(behaviour_of(seen_of(**behaviour))) == {**OBEDIENT, **changed}


def test_a_server_that_keeps_one_report_a_second_is_noticed():
    seen = seen_of()
    seen.posted[Case.SAME_SECOND_FIRST].header = None
    assert behaviour_of(seen).merges_within_second is True
    seen.posted[Case.SAME_SECOND_SECOND].header = None
    assert behaviour_of(seen).merges_within_second is None


def test_a_start_with_its_fraction_is_noticed_and_one_that_is_no_time_is_unknown():
    seen = seen_of()
    plain = seen.posted[Case.PLAIN]
    for start, expected in (("2026-03-02T10:00:00.25Z", True), ("2026-03-02T10:00:00.000Z", False), ("soon", None)):
        plain.header = {**plain.header, "start": start}
        assert behaviour_of(seen).start_fraction is expected


@pytest.mark.parametrize("status", [None, 404, 500, 503])
def test_an_answer_that_is_not_about_the_report_leaves_the_question_open(status):
    seen = seen_of()
    for case in (Case.USER_MISSING, Case.MEASUREMENT_DONE, Case.EQUAL_NAMES, Case.STEP_DONE):
        seen.posted[case].answer, seen.posted[case].header = WatsResponse(status), None
    found = behaviour_of(seen)
    assert found.user_required is found.measurement_status is found.equal_step_names is None
    assert found.done_on_measured_step is None


def test_a_report_that_was_taken_and_never_showed_is_not_known_to_be_taken():
    seen = seen_of()
    seen.posted[Case.USER_MISSING].header = None
    assert behaviour_of(seen).user_required is None


def test_the_median_and_the_longest_delay_are_of_the_reports_that_showed():
    seen = seen_of(delay_s=10)
    assert len(delays(seen)) == len(Case) - len(MAY_STAY_AWAY)
    assert 10 <= median_delay_s(seen) <= max(delays(seen)) <= 12


def test_the_behaviour_has_the_fields_of_the_profile():
    measured = set(WatsProfile.model_fields) - {"measured_at", "host", "wats_version"}
    assert set(Behaviour.__dataclass_fields__) == measured
    assert WatsProfile(**asdict(behaviour_of(seen_of(body_limit=2_500_000)))).known()["id_form"] == "bare"
