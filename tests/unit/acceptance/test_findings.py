"""What an acceptance run says: one answer per question, with evidence, and what a person has to do."""

from __future__ import annotations

import pytest

from tests.unit.acceptance.fake_wats import PLAN, FakeClock, FakeWats
from vte_wats.acceptance.behaviour import behaviour_of
from vte_wats.acceptance.findings import Finding, FindingStatus, findings_of, own_finding
from vte_wats.acceptance.observe import Observations, WatsResponse, observe
from vte_wats.acceptance.own_upload import OwnUpload
from vte_wats.acceptance.probes import Case


def seen_of(**behaviour) -> Observations:
    clock = FakeClock()
    return observe(FakeWats(clock, **behaviour), clock, PLAN, longest_delay_s=300)


def finding_about(seen: Observations, words: str) -> Finding:
    (found,) = [finding for finding in findings_of(seen, behaviour_of(seen)) if words in finding.question]
    return found


def test_a_server_that_does_everything_leaves_nothing_to_do():
    seen = seen_of()
    findings = findings_of(seen, behaviour_of(seen))
    assert [finding.question for finding in findings if finding.status is FindingStatus.ACT] == []
    assert [finding.question for finding in findings if finding.status is FindingStatus.OPEN] == [
        "How large may a report be?"
    ]
    assert all(finding.answer and finding.consequence for finding in findings)
    assert len({finding.question for finding in findings}) == len(findings)


def test_a_renaming_server_asks_for_a_setting():
    finding = finding_about(seen_of(renames=True), "under the id")
    assert finding.status is FindingStatus.ACT
    assert "existence_check to source_id" in finding.consequence


def test_the_forms_of_ids_are_named_with_the_status_of_the_wrong_ones():
    finding = finding_about(seen_of(status_of={"bare": 500, "or_chain": 400}), "ids be written")
    assert finding.answer == "understood: quoted; not understood: bare: 500, or_chain: 400"


def test_a_value_that_came_back_otherwise_is_named_with_its_path():
    seen = seen_of()
    stored = seen.posted[Case.COMPARISONS].stored
    stored.content["root"]["steps"][3]["numericMeas"][0]["lowLimit"] = 7
    finding = finding_about(seen, "hold what was posted")
    assert finding.status is FindingStatus.ACT
    assert "comparisons: root.steps[3].numericMeas[0].lowLimit was 1.0, came back as 7" in finding.evidence


def test_what_a_server_adds_or_writes_otherwise_is_no_difference():
    seen = seen_of()
    content = seen.posted[Case.COMPARISONS].stored.content
    content["root"]["steps"][0]["id"] = 2
    content["root"]["steps"][0]["numericMeas"][0]["value"] = "1.50"
    content["processName"] = "Final test"
    assert finding_about(seen, "hold what was posted").status is FindingStatus.FINE


def test_an_attachment_that_is_cut_is_noticed():
    seen = seen_of()
    assert finding_about(seen, "byte by byte").answer == "yes"
    seen.posted[Case.ATTACHMENT].stored.content["root"]["steps"][1]["attachment"]["data"] = "AAEC"
    assert finding_about(seen, "byte by byte").status is FindingStatus.ACT


def test_a_server_that_takes_no_large_attachment_is_noticed():
    seen = seen_of()
    posted = seen.posted[Case.LARGE_ATTACHMENT]
    posted.answer, posted.header = WatsResponse(400, text="data: has 102401 bytes"), None
    finding = finding_about(seen, "more than 100 KB")
    assert (finding.answer, finding.status) == ("no", FindingStatus.ACT)


@pytest.mark.parametrize(("renames", "status"), [(False, FindingStatus.OPEN), (True, FindingStatus.ACT)])
def test_headers_without_misc_infos_leave_every_other_question_answered(renames, status):
    clock = FakeClock()
    wats = FakeWats(clock, misc_infos=False, renames=renames, delay_s=5)
    for _ in range(2):  # the second run finds the reports of the first
        seen = observe(wats, clock, PLAN, longest_delay_s=300)
    finding = finding_about(seen, "list the misc infos")
    assert (finding.answer, finding.status) == ("not listed", status)
    assert behaviour_of(seen) == behaviour_of(seen_of(renames=renames, delay_s=5))


def test_a_skipped_step_without_its_measurement_is_noticed():
    seen = seen_of()
    assert finding_about(seen, "of a skipped step").answer == "yes"
    del seen.posted[Case.SKIPPED_MEASURED].stored.content["root"]["steps"][1]["numericMeas"]
    assert finding_about(seen, "of a skipped step").answer == "no, it is ignored"
    seen.posted[Case.SKIPPED_MEASURED].stored = None
    assert finding_about(seen, "of a skipped step").status is FindingStatus.OPEN


def test_a_verdict_that_is_shown_otherwise_is_noticed():
    seen = seen_of()
    posted = seen.posted[Case.TERMINATED]
    posted.header = {**posted.header, "result": "Failed"}
    finding = finding_about(seen, "verdicts")
    assert finding.status is FindingStatus.ACT
    assert "Terminated: Failed" in finding.evidence


def test_a_server_that_does_not_replace_is_noticed():
    seen = seen_of()
    posted = seen.posted[Case.POSTED_AGAIN]
    posted.header = {**posted.header, "revision": "A"}
    assert finding_about(seen, "posted twice").status is FindingStatus.ACT


@pytest.mark.parametrize(
    ("quarantines", "answer"),
    [((501,), "it is taken and does not show: it is in quarantine"), ((), "it shows as any other")],
)
def test_quarantine_is_noticed_by_a_report_that_does_not_show(quarantines, answer):
    assert finding_about(seen_of(quarantines=quarantines), "process code").answer == answer


def test_headers_about_a_rate_limit_and_requests_to_wait_are_reported():
    seen = seen_of()
    answer = WatsResponse(200, headers={"X-RateLimit-Limit": "500"}, tries_before=("429 Too many requests.",))
    seen.answers.append(("GET report", answer))
    finding = finding_about(seen, "how many requests")
    assert finding.answer == "X-RateLimit-Limit"
    assert finding.status is FindingStatus.ACT
    assert "GET report: 429 Too many requests." in finding.evidence


def test_a_blank_operator_that_is_refused_asks_for_a_setting():
    finding = finding_about(seen_of(refuses=lambda report: None if report["uut"].get("user") else "user"), "operator")
    assert finding.status is FindingStatus.ACT
    assert "default_operator" in finding.consequence


def test_evidence_shows_nobody_elses_headers():
    seen = seen_of()
    foreign = {"uuid": "1", "serialNumber": "SECRET-1", "miscInfo": []}
    seen.listing = WatsResponse(200, [*seen.listing.content, foreign], text="SECRET-1")
    assert "SECRET-1" not in str(findings_of(seen, behaviour_of(seen)))


@pytest.mark.parametrize(
    ("own", "status"),
    [
        (OwnUpload(None, is_proven=True), FindingStatus.FINE),
        (OwnUpload(None, is_proven=False), FindingStatus.ACT),
        (OwnUpload("VW313 WATS: uut.user is required", is_proven=False), FindingStatus.ACT),
    ],
)
def test_the_upload_of_a_whole_run_is_judged_by_what_was_found_again(own, status):
    finding = own_finding(own)
    assert finding.status is status
    assert own.error is None or own.error in finding.evidence
