"""The acceptance run against the emulated WATS in each of its sets of behaviour: it finds the answers out by itself."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.variable import Variable
from pydantic import SecretStr

from sandbox.wats.profiles import (
    PROFILES,
    HeaderStart,
    MeasurementStatus,
    MiscInfos,
    PostAnswer,
    Quarantine,
    SkippedSteps,
    Verdict,
)
from sandbox.wats.wats_faults import Fault, FaultKind
from sandbox.wats.wats_server import WatsServer
from vte_wats.acceptance.findings import FindingStatus
from vte_wats.acceptance.probes import PART_NUMBER
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW950, VW954, VW955
from vte_wats.orchestration.acceptance_run import Acceptance, AcceptanceRequest, run_acceptance
from vte_wats.orchestration.resources import read_profile
from vte_wats.wats.observer import WatsObserver
from vte_wats.wats.profile import WatsProfile
from vte_wats.wats.wats_connection import WatsConnection

every_set = pytest.mark.parametrize("name", PROFILES)


class Clock:
    """One time for the server and for who waits; it passes only when somebody waits."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.at

    def now_s(self) -> float:
        return self.at.timestamp()

    def wait(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def a_wats(clock: Clock, name: str = "reported", **settings) -> Iterator[WatsServer]:
    with WatsServer(profile=PROFILES[name], clock=clock, **settings) as wats:
        yield wats


def connected(wats: WatsServer, **options) -> WatsConnection:
    extra = json.dumps({"requests_per_minute": 1_000_000, "attempts": 2, **options})
    return WatsConnection.parse("wats_test", host=wats.url, port=None, login=None, password=wats.token, extra=extra)


def accepted(wats: WatsServer, clock: Clock, **asked) -> Acceptance:
    request = AcceptanceRequest(host=wats.host, **asked)
    return run_acceptance(connected(wats), request, clock=clock, now=clock)


def answers(acceptance: Acceptance) -> dict[str, str]:
    return {finding.question: finding.answer for finding in acceptance.findings}


@pytest.mark.parametrize("large_attachments", Verdict)
@every_set
def test_the_behaviour_of_each_set_is_found_out(name, large_attachments, clock):
    behaviour = PROFILES[name].but(max_body_bytes=2_500_000, large_attachments=large_attachments)
    with a_wats(clock, name) as wats:
        wats.profile = behaviour
        acceptance = accepted(wats, clock, largest_body_mb=4)
    found = acceptance.profile
    assert found.answer_form == {PostAnswer.OBJECT: "object", PostAnswer.ARRAY: "array"}[behaviour.post_answer]
    assert found.renames is behaviour.renames_reports
    assert behaviour.shown_after_s <= found.visibility_delay_s <= behaviour.shown_after_s * 1.1 + 1
    assert found.id_form == {"bare": "bare", "quoted": "quoted", "both": "bare"}[behaviour.guid_form]
    assert found.range_listing is (behaviour.range_listing is Verdict.TAKEN)
    assert found.start_fraction is (behaviour.header_start is HeaderStart.FRACTION)
    assert found.measurement_status == ("any" if behaviour.measurement_status is MeasurementStatus.ANY else "pfs")
    assert found.done_on_measured_step is (behaviour.done_on_measured_step is Verdict.TAKEN)
    assert found.equal_step_names == behaviour.equal_step_names
    assert found.unit_length_limit == (20 if behaviour.long_units is Verdict.REFUSED else None)
    assert found.user_required is (behaviour.missing_user is Verdict.REFUSED)
    kept = behaviour.skipped_steps is SkippedSteps.KEPT
    skipped = answers(acceptance)["Does WATS keep the measurement of a skipped step?"]
    assert skipped == ("yes" if kept else "no, it is ignored")
    assert found.large_attachments == large_attachments
    assert 0.98 * 2_500_000 <= found.body_limit_bytes <= 2_500_000
    assert found.merges_within_second is behaviour.merges_within_second
    assert (found.wats_version, found.measured_at, found.host) == (wats.settings.version, clock.at, wats.host)
    said = answers(acceptance)
    quarantined = "it is taken and does not show: it is in quarantine"
    shows = "it shows as any other"
    unknown_process = "What becomes of a report with a process code that WATS does not know?"
    assert said[unknown_process] == (shows if behaviour.quarantine is Quarantine.NONE else quarantined)


def test_a_server_that_keeps_one_report_a_second_is_found_out(clock):
    with a_wats(clock) as wats:
        wats.profile = wats.profile.but(merges_within_second=True)
        assert accepted(wats, clock).profile.merges_within_second is True


@every_set
def test_what_every_set_takes_comes_back_as_it_was_posted(name, clock):
    with a_wats(clock, name) as wats:
        acceptance = accepted(wats, clock)
    statuses = {finding.question: finding.status for finding in acceptance.findings}
    for words in (
        "uploaded and found again",
        "hold what was posted",
        "verdicts",
        "byte by byte",
        "posted twice",
        "ids be written",
        "found by a misc info",
        "list the misc infos",
        "skipped step",
    ):
        (question,) = [text for text in statuses if words in text]
        assert statuses[question] is FindingStatus.FINE, question


@pytest.mark.parametrize(
    ("misc_infos", "listed", "searched", "proven"),
    [
        (MiscInfos.LISTED, "yes", True, True),
        (MiscInfos.NOT_IN_HEADERS, "not listed", True, True),
        (MiscInfos.NOWHERE, "not listed", False, False),
    ],
)
def test_where_misc_infos_show_is_found_out(misc_infos, listed, searched, proven, clock):
    with a_wats(clock) as wats:
        wats.profile = wats.profile.but(misc_infos=misc_infos)
        acceptance = accepted(wats, clock)
    said = answers(acceptance)
    assert said["Do headers list the misc infos of a report?"] == listed
    assert said["Is a report found by a misc info?"] == ("yes, and no other" if searched else "no")
    (own,) = [answer for question, answer in said.items() if "uploaded and found again" in question]
    assert own.startswith("yes") is proven


@every_set
def test_the_token_stands_nowhere_in_what_is_written(name, clock, caplog):
    with a_wats(clock, name, password="a-secret-of-its-own") as wats:
        acceptance = accepted(wats, clock)
        token = wats.token
    written = acceptance.documents.html + acceptance.documents.markdown + caplog.text + str(acceptance.summary())
    assert token not in written
    assert "a-secret-of-its-own" not in written


def test_a_server_that_answers_with_the_token_does_not_bring_it_into_the_report(clock):
    with a_wats(clock) as wats:
        wats.faults.add(
            Fault(FaultKind.STATUS, path="Report/WSJF", body="user_missing", status=400, message=f"token {wats.token}")
        )
        acceptance = accepted(wats, clock)
        assert wats.token not in acceptance.documents.markdown
        assert "user\\_missing: 400 token \\*\\*\\*" in acceptance.documents.markdown


def test_all_reports_stand_under_the_part_number_and_no_run_stops_the_next(clock):
    with a_wats(clock, "strict") as wats:
        accepted(wats, clock)
        clock.wait(60)
        stored = len(wats.store)
        assert accepted(wats, clock).profile.renames
        assert len(wats.store) > stored
        assert {report["pn"] for report in wats.store.reports()} == {PART_NUMBER}


@every_set
def test_nothing_is_posted_where_the_part_number_belongs_to_somebody_else(name, clock):
    with a_wats(clock, name) as wats:
        accepted(wats, clock)
        foreign = wats.store.reports()[0] | {
            "id": "00000000-0000-4000-8000-000000000001",
            "sn": "theirs",
            "miscInfos": [],
        }
        wats.store.receive(json.dumps(foreign).encode())
        clock.wait(60)
        stored = wats.store.receive_counts()
        with pytest.raises(FatalError, match="are not from an acceptance run") as refused:
            accepted(wats, clock)
        assert refused.value.message is VW950
        assert wats.store.receive_counts() == stored


@pytest.mark.parametrize("host", ["", "wats.example", "localhost"])
def test_a_host_that_is_not_confirmed_gets_no_request(host, clock):
    with a_wats(clock) as wats:
        with pytest.raises(FatalError, match=re.escape(wats.host)) as refused:
            run_acceptance(connected(wats), AcceptanceRequest(host=host), clock=clock, now=clock)
        assert refused.value.message is VW954
        assert list(wats.log) == []


def test_a_process_code_that_wats_does_not_know_is_refused_before_anything_is_posted(clock):
    with a_wats(clock) as wats:
        with pytest.raises(FatalError, match=r"process_code.*100.*given 12") as refused:
            accepted(wats, clock, process_code=12)
        assert refused.value.message is VW955
        assert len(wats.store) == 0


def test_refused_credentials_stop_it_at_once(clock):
    with a_wats(clock) as wats:
        connection = connected(wats).model_copy(update={"token": SecretStr("d3Jvbmc6dG9rZW4=")})
        with pytest.raises(FatalError) as refused:
            run_acceptance(connection, AcceptanceRequest(host=wats.host), clock=clock, now=clock)
        assert refused.value.code == "VW314"


def test_a_busy_server_is_asked_again_and_the_report_says_so(clock):
    with a_wats(clock) as wats:
        wats.faults.add(
            Fault(
                FaultKind.STATUS,
                method="POST",
                body="attachment",
                status=429,
                retry_after=0,
                times=1,
                message="slow down",
            )
        )
        acceptance = accepted(wats, clock)
    (finding,) = [finding for finding in acceptance.findings if "how many requests" in finding.question]
    assert finding.status is FindingStatus.ACT
    assert any(text.startswith("POST attachment: 429 slow down") for text in finding.evidence)


def test_a_lost_connection_is_an_answer_too(clock):
    with a_wats(clock) as wats, WatsObserver(connected(wats, attempts=1)) as observer:
        wats.faults.add(Fault(FaultKind.RESET, method="POST"))
        answer = observer.post(b"{}")
    assert answer.status is None
    assert not answer.is_success
    assert "VW309" in answer.text


# As people run it


@pytest.fixture(scope="module")
def dag(repository, metadata):
    dag = DagBag(dag_folder=str(repository / "dags")).dags["vte_wats_acceptance"]
    for task in dag.tasks:
        task.retries = 0
    return dag


@pytest.fixture
def site(tmp_path, monkeypatch):
    with WatsServer(profile=PROFILES["described"]) as wats:
        fields = {"conn_type": "wats", "host": wats.url, "password": wats.token}
        fields["extra"] = {"requests_per_minute": 1_000_000}
        settings = {"source_timezone": "UTC", "process_map": {"*": 100}, "storage_path": f"file://{tmp_path}"}
        monkeypatch.setenv("AIRFLOW_CONN_WATS_DEFAULT", json.dumps(fields))
        monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(settings))
        Variable.delete("vte_wats_profile")
        yield wats


def test_the_dag_keeps_a_profile_that_the_package_reads_and_writes_both_forms(dag, site, tmp_path):
    run = dag.test(run_conf={"host": "127.0.0.1"})
    assert run.state == "success"
    profile = WatsProfile.model_validate_json(Variable.get("vte_wats_profile"))
    assert (profile.answer_form, profile.id_form, profile.range_listing) == ("object", "quoted", True)
    (html,), (markdown,) = (list((tmp_path / "acceptance").glob(f"*.{form}")) for form in ("html", "md"))
    assert "Acceptance of WATS" in html.read_text()
    assert f"{profile.measured_at:%Y%m%dT%H%M%SZ}" == markdown.stem


@pytest.mark.parametrize("host", ["another.example", None])
def test_a_profile_of_another_host_is_not_used_and_a_warning_says_so(metadata, host, site, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS_PROFILE", WatsProfile(host=site.host, renames=False).model_dump_json())
    assert read_profile(Site()).renames is False
    assert "VW567" not in caplog.text
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS_PROFILE", WatsProfile(host=host, renames=False).model_dump_json())
    assert read_profile(Site()) == WatsProfile()
    assert "VW567" in caplog.text


def test_the_dag_posts_nothing_without_the_host(dag, site):
    assert dag.test(run_conf={"host": "somewhere"}).state == "failed"
    assert len(site.store) == 0
    assert Variable.get("vte_wats_profile", default_var=None) is None


def run_cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vte_wats.orchestration.acceptance_run", *arguments]
    clean = {name: value for name, value in os.environ.items() if name != "WATS_TOKEN"}
    return subprocess.run(command, env=clean | environment, capture_output=True, text=True, check=False)


def test_the_command_writes_report_and_profile_without_a_scheduler(tmp_path):
    with WatsServer(profile=PROFILES["lenient"]) as wats:
        done = run_cli(wats.url, "--folder", str(tmp_path), WATS_TOKEN=wats.token)
        token = wats.token
    assert done.returncode == 0, done.stderr
    profile = WatsProfile.model_validate_json((tmp_path / "vte_wats_profile.json").read_text())
    assert profile.start_fraction is True
    written = [path.read_text() for path in tmp_path.iterdir()]
    assert len(written) == 3
    assert token not in "".join([done.stdout, done.stderr, *written])


def test_the_command_takes_a_connection_of_the_environment(tmp_path):
    with WatsServer(profile=PROFILES["described"]) as wats:
        fields = {"conn_type": "wats", "host": wats.url, "password": wats.token}
        fields["extra"] = {"requests_per_minute": 1_000_000}
        done = run_cli("wats_test", "--folder", str(tmp_path), AIRFLOW_CONN_WATS_TEST=json.dumps(fields))
        token = wats.token
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "acceptance.md").exists()
    assert token not in done.stdout + done.stderr


def test_the_command_says_when_there_is_no_such_connection():
    done = run_cli("wats_nowhere")
    assert done.returncode == 1
    assert "the connection wats_nowhere does not exist" in done.stderr


def test_the_command_says_what_is_missing_and_ends_with_an_error():
    done = run_cli("http://127.0.0.1:9")
    assert (done.returncode, done.stderr) == (1, "WATS_TOKEN: required beside an address, the API token of WATS\n")
