"""Attacks on the survey on the page: people without the rights, pages of others, and whoever can write its files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from airflow.models.log import Log
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from upath import UPath

from tests.security.conftest import forget
from tests.unit.builders import a_run, a_settings
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.domain.run import StepKind, VteStepResult
from vte_wats.status.access import CSRF_HEADER
from vte_wats.status.settings_variable import change_settings, read_settings_text
from vte_wats.survey.proposal import Evidence, propose
from vte_wats.survey.results import Survey, SurveyRequest
from vte_wats.survey.stored import LARGEST_BYTES, SurveyFile, survey_folder, write_survey
from vte_wats.survey.survey_documents import render
from vte_wats.survey.tally import Tally
from vte_wats.survey.trial import try_mapping

HOSTILE = "<script>alert('x')</script><img src=x onerror=alert(1)>"
MEASURED_AT = datetime(2026, 6, 15, 10, tzinfo=UTC)
NAME = "20260615T100000Z"
OURS = {CSRF_HEADER: "take over"}
PROPOSED = {"result_codes": {"1": "Passed", "0": "Failed"}, "step_result_codes": {"1": "Passed", "0": "Failed"}}


def a_survey(given: dict | None, measured_at: datetime = MEASURED_AT) -> tuple[Survey, list]:
    """Return the survey of a site that passes with 1 and fails with 0, and whose names are hostile."""

    def run(number: int, code: int):
        step = VteStepResult(
            kind=StepKind.NUMERIC, test_name=HOSTILE, numeric_value=5 if code else 9, low_limit=4, high_limit=6,
            result_code=code,
        )  # fmt: skip
        return a_run(number, serial=f"{HOSTILE}{number}", result_code=code, steps=(step,))

    runs = [run(number + 1, code=int(number % 5 > 0)) for number in range(150)]
    tally = Tally(a_settings())
    for test_run in runs:
        tally.add(test_run)
    findings = tally.findings()
    proposal = propose(Evidence(findings=findings, given=given, processes={100: HOSTILE}), "vte_wats")
    survey = Survey(
        database=HOSTILE,
        measured_at=measured_at,
        package_version="0",
        operator="keep",
        request=SurveyRequest(),
        tables=(),
        comparison=(),
        counted_runs=150,
        findings=findings,
        trial=try_mapping(runs[:10], a_settings()),
        proposal=proposal,
    )
    return survey, runs[:10]


@pytest.fixture
def settings(storage, monkeypatch) -> dict:
    """Settings in Airflow's database, as a person wrote them there."""
    monkeypatch.delenv("AIRFLOW_VAR_VTE_WATS")
    given = {
        "source_timezone": "Europe/Oslo", "process_map": {"*": 100}, "storage_path": f"file://{storage}",
        "alerts": {"recipients": ["quality@plant.example"]},
    }  # fmt: skip
    Variable.set("vte_wats", json.dumps(given), description="of the plant")
    yield given
    Variable.delete("vte_wats")


@pytest.fixture
def surveyed(storage, settings) -> Path:
    """The folder of the newest survey."""
    survey, runs = a_survey(settings)
    folder = survey_folder(UPath(storage), MEASURED_AT)
    write_survey(folder, render(survey, runs).files())
    return Path(folder.path)


@pytest.fixture
def take_over(ask) -> Callable[..., object]:
    """Take settings over that were just shown to the admin."""

    def take_over(*settings: str, user: str | None = "admin", headers: dict[str, str] = OURS, **body: str):
        proposal = ask("api/survey", "admin").json()["proposal"]
        shown = {"survey": NAME, "shown": proposal["shown"], "settings": list(settings)} | body
        return ask("api/survey/take-over", user, "POST", json=shown, headers=headers)

    return take_over


def stored() -> dict:
    return json.loads(Variable.get("vte_wats"))


# Who sees what


@pytest.mark.usefixtures("surveyed")
def test_a_survey_is_for_those_who_may_read_its_logs_and_the_settings_for_those_who_may_read_variables(ask):
    assert ask("api/survey", "guest").json() == {
        "may_read": False, "survey": None, "measured_at": None, "figures": None, "files": [], "problem": None, "proposal": None,
    }  # fmt: skip
    seen = ask("api/survey", "vic").json()
    assert (seen["survey"], seen["measured_at"], seen["proposal"]) == (NAME, "2026-06-15T10:00:00Z", None)
    assert seen["figures"]["counted_runs"] == 150
    assert seen["figures"]["sampled_runs"] == 150
    assert sum(seen["figures"]["trial"].values()) == 10
    assert [file["name"] for file in seen["files"]] == [file.value for file in SurveyFile]
    proposal = ask("api/survey", "admin").json()["proposal"]
    assert (proposal["may_change"], proposal["in_database"]) == (True, True)
    assert {change["setting"]: (change["proposed"], change["state"]) for change in proposal["changes"]} == {
        name: (value, "open") for name, value in PROPOSED.items()
    }
    assert all(change["reason"] for change in proposal["changes"])


@pytest.mark.usefixtures("surveyed")
@pytest.mark.parametrize("file", list(SurveyFile))
def test_a_file_is_for_those_who_may_read_the_survey(ask, surveyed, file):
    answers = [ask(f"survey/{NAME}/{file}", user) for user in (None, "guest", "vic")]
    assert [answer.status_code for answer in answers] == [401, 403, 200]
    assert answers[2].content == (surveyed / file).read_bytes()
    assert answers[2].headers["Cache-Control"] == "no-store"
    assert answers[2].headers["X-Content-Type-Options"] == "nosniff"
    if file is SurveyFile.REPORT:
        policy = answers[2].headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src" not in policy
        assert policy.endswith("; sandbox")
    else:
        assert answers[2].headers["Content-Disposition"] == f'attachment; filename="vte-wats-survey-{NAME}-{file}"'


@pytest.mark.usefixtures("surveyed")
@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"survey/{NAME}/runs.json", 404),
        (f"survey/{NAME}/..%2f..%2f..%2fetc%2fpasswd", 404),
        (f"survey/{NAME}/%2e%2e", 404),
        ("survey/20260101T000000Z/survey.html", 404),
        ("survey/../survey.html", 404),
        (f"survey/{NAME}/survey.html?site=oslo", 404),
    ],
)
def test_no_name_of_a_request_leads_to_another_file(ask, path, status):
    assert ask(path, "admin").status_code == status


def test_a_site_without_a_survey_says_so(ask, storage):
    assert ask("api/survey", "vic").json()["survey"] is None
    assert ask(f"survey/{NAME}/survey.html", "vic").status_code == 404
    (storage / "survey" / NAME).mkdir(parents=True)
    (storage / "survey" / NAME / "survey.html").write_text("a task is writing it")
    forget()
    assert ask("api/survey", "vic").json()["survey"] is None


# Whoever can write its files


def test_a_survey_that_cannot_be_read_is_named_and_its_report_still_opens(ask, surveyed):
    facts = surveyed / "survey.json"
    kept = facts.read_text()
    damages = {
        "damaged": lambda: facts.write_text(kept[:1000]),
        "of another version": lambda: facts.write_text(kept.replace('"settings": {', '"settings_text": {')),
        "no survey": lambda: facts.write_text('{"proposal": 3}'),
        "no JSON": lambda: facts.write_bytes(b"\xff\x00"),
        "deep": lambda: facts.write_text("[" * 100_000),
        "a pipe": lambda: os.mkfifo(facts),
        "a link": lambda: facts.symlink_to("/etc/passwd"),
        "a folder": facts.mkdir,
    }
    for name, damage in damages.items():
        facts.rmdir() if facts.is_dir() else facts.unlink()
        damage()
        forget()
        seen = ask("api/survey", "admin").json()
        assert (seen["figures"], seen["proposal"]) == (None, None), name
        assert seen["problem"].startswith("VW561 "), name
        assert ask(f"survey/{NAME}/survey.html", "vic").status_code == 200, name


def test_a_file_that_is_too_large_is_refused_before_it_is_read(ask, surveyed):
    for file in (SurveyFile.FACTS, SurveyFile.STEPS):
        os.truncate(surveyed / file, LARGEST_BYTES[file] + 1)
    forget()
    seen = ask("api/survey", "admin").json()
    assert "32,000,000 bytes" in seen["problem"]
    assert "steps.csv" not in {file["name"] for file in seen["files"]}
    answer = ask(f"survey/{NAME}/steps.csv", "vic")
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("VW561 steps.csv ")


def test_a_folder_that_is_a_link_is_no_survey(ask, surveyed, tmp_path_factory):
    elsewhere = surveyed.rename(tmp_path_factory.mktemp("elsewhere") / NAME)
    surveyed.symlink_to(elsewhere)
    forget()
    assert ask("api/survey", "vic").json()["survey"] is None


# Taking over


@pytest.mark.usefixtures("surveyed")
def test_what_is_chosen_is_taken_over_and_nothing_else_changes(settings, take_over):
    answer = take_over("result_codes")
    assert answer.status_code == 200
    assert stored() == settings | {"result_codes": PROPOSED["result_codes"]}
    with create_session() as session:
        assert session.query(Variable).filter(Variable.key == "vte_wats").one().description == "of the plant"
    states = {change["setting"]: change["state"] for change in answer.json()["proposal"]["changes"]}
    assert states == {"result_codes": "taken", "step_result_codes": "open"}


@pytest.mark.usefixtures("surveyed")
@pytest.mark.parametrize(
    ("user", "headers", "status"),
    [
        (None, OURS, 401),
        ("vic", OURS, 403),
        ("guest", OURS, 403),
        ("admin", {}, 403),
        ("admin", OURS | {"Origin": "http://evil.test"}, 403),
        ("admin", OURS | {"Sec-Fetch-Site": "cross-site"}, 403),
        ("admin", OURS | {"Origin": "http://airflow.test", "Sec-Fetch-Site": "same-origin"}, 200),
    ],
)
def test_nobody_takes_over_without_the_right_and_no_page_of_others_does(settings, take_over, user, headers, status):
    assert take_over("result_codes", user=user, headers=headers).status_code == status
    assert (stored() == settings) is (status != 200)


@pytest.mark.usefixtures("surveyed")
def test_settings_that_changed_since_they_were_shown_are_left_as_they_are(settings, take_over):
    changed = settings | {"batch_size": 50}

    answer = take_over("result_codes", shown="0" * 64)
    assert answer.status_code == 409
    assert answer.json()["detail"].startswith("VW563 ")
    assert stored() == settings
    Variable.set("vte_wats", json.dumps(changed | {"result_codes": {"5": "Passed"}}))
    forget()
    answer = take_over("result_codes")
    assert (answer.status_code, answer.json()["detail"][:6]) == (409, "VW564 ")
    assert stored()["result_codes"] == {"5": "Passed"}


def test_who_writes_between_the_comparison_and_the_write_wins(settings):
    other = settings | {"batch_size": 50}

    def change(text: str | None) -> str:
        Variable.set("vte_wats", json.dumps(other))
        return json.dumps(json.loads(text) | {"batch_size": 70})

    with create_session(scoped=False) as session:
        shown = read_settings_text(session, Site()).digest
        with pytest.raises(FatalError, match="VW563 "):
            change_settings(session, Site(), shown, change)
    assert stored() == other


def test_who_creates_the_settings_first_wins(settings):
    Variable.delete("vte_wats")

    def change(text: str | None) -> str:
        assert text is None
        Variable.set("vte_wats", json.dumps(settings))
        return "{}"

    with create_session(scoped=False) as session:
        shown = read_settings_text(session, Site()).digest
        with pytest.raises(FatalError, match="VW563 "):
            change_settings(session, Site(), shown, change)
    assert stored() == settings


@pytest.mark.usefixtures("surveyed")
@pytest.mark.parametrize(
    ("chosen", "body", "status", "text"),
    [
        (["source_timezone"], {}, 409, "VW564 not proposed, or no longer: source_timezone"),
        (["result_codes", "no_such_setting"], {}, 409, "VW564 not proposed, or no longer: no_such_setting"),
        (["result_codes"], {"survey": "20200101T000000Z"}, 404, "This is not the newest survey"),
        (["result_codes"], {"survey": "../x"}, 404, "This is not the newest survey"),
        ([], {}, 422, ""),
        (["x" * 61], {}, 422, ""),
        (["x"] * 101, {}, 422, ""),
    ],
    ids=["only asked", "no setting", "old survey", "no survey", "nothing", "long", "many"],
)
def test_what_is_not_proposed_is_not_taken_over(settings, take_over, chosen, body, status, text):
    answer = take_over(*chosen, **body)
    assert answer.status_code == status
    assert str(answer.json()["detail"]).startswith(text or "[")
    assert stored() == settings


def test_what_would_not_be_valid_is_refused_with_the_field_and_without_its_value(ask, surveyed, settings, take_over):
    survey = json.loads((surveyed / "survey.json").read_text())
    (answer,) = [answer for answer in survey["proposal"]["answers"] if answer["setting"] == "result_codes"]
    answer["value"] = {"1": "hunter2"}
    (surveyed / "survey.json").write_text(json.dumps(survey))
    forget()
    refused = take_over("result_codes")
    assert refused.status_code == 422
    assert "- result_codes.1: " in refused.json()["detail"]
    assert "hunter2" not in refused.text
    assert stored() == settings


@pytest.mark.usefixtures("surveyed")
def test_settings_that_are_not_in_the_database_are_shown_and_not_written(ask, settings, take_over, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(settings))
    forget()
    assert ask("api/survey", "admin").json()["proposal"]["in_database"] is False
    answer = take_over("result_codes")
    assert (answer.status_code, answer.json()["detail"][:6]) == (409, "VW562 ")
    monkeypatch.delenv("AIRFLOW_VAR_VTE_WATS")
    assert stored() == settings


@pytest.mark.usefixtures("surveyed")
def test_who_takes_over_what_is_in_airflows_audit_log_without_values(take_over):
    with create_session() as session:
        session.query(Log).delete()
    take_over("result_codes", user="vic")
    take_over("step_result_codes", "result_codes")
    with create_session() as session:
        rows = [(row.event, row.owner, row.dag_id, json.loads(row.extra)) for row in session.query(Log)]
    chosen = {"site": "", "survey": NAME, "settings": "result_codes, step_result_codes"}
    assert rows == [("vte_wats_take_over", "admin", "vte_wats_survey", chosen)]
