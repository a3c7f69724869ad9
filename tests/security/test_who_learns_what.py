"""Attacks on what the page says: people without the rights, and secrets in what is stored."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from airflow.models.variable import Variable
from upath import UPath

from tests.security.conftest import configure
from tests.unit.builders import a_run
from vte_wats.alerting.monitor_state import Condition, MonitorState, ServerCheck
from vte_wats.domain.run import DeadLetterKind
from vte_wats.state.coverage import State
from vte_wats.state.proof import DayProof, OpenRun, Proof
from vte_wats.storage.dead_letters import DeadLetters

NOW_AT = datetime.now(UTC)
PLANT = "Secret product 7"
GUID = "5c2a17f0-0000-4000-8000-000000000007"
SECRET = "hunter2"
ADDRESS = f"https://ann:{SECRET}@wats.example/api"


@pytest.fixture
def site(storage):
    """A site with a dead letter and an open condition, whose texts come from the plant and from errors."""
    DeadLetters(UPath(storage)).put(
        a_run(1), DeadLetterKind.DEAD, f"{PLANT}: refused at {ADDRESS}", f"signature of {PLANT}", NOW_AT
    )
    held = Condition(
        opened_at=NOW_AT - timedelta(hours=1), summary="1 run waits for a setting", reason=f"{PLANT} {ADDRESS}"
    )
    state = MonitorState(
        checked_at=NOW_AT,
        wats=ServerCheck(ok=False, code="VW317", problem=f"VW317 WATS: wrong at {ADDRESS} for {PLANT}"),
        conditions={f"held:{PLANT}": held},
    )
    Variable.set("vte_wats_alerts", state.model_dump_json())
    yesterday = NOW_AT.date() - timedelta(days=1)
    day = DayProof(in_vte=1, verified_at=NOW_AT, open_runs=(OpenRun(index_guid=GUID, reason=f"not in WATS {PLANT}"),))
    Variable.set("vte_wats_proof", Proof(days={yesterday: day}).model_dump_json())
    Variable.set("vte_wats_state", State(since_at=NOW_AT - timedelta(days=2)).model_dump_json(by_alias=True))


PATHS = ("health", "api/sites", "api/status", "api/dead-letters", "api/history", "api/proof", "api/proof.csv")


def everything(ask, user: str | None) -> str:
    return "\n".join(ask(path, user).text for path in PATHS)


@pytest.mark.usefixtures("site")
def test_who_may_not_read_task_logs_sees_counts_and_codes_and_no_text_of_the_plant(ask):
    assert all(ask(path, "vic").text.count(PLANT) for path in ("api/status", "api/dead-letters", "api/proof"))
    seen = everything(ask, "guest")
    assert PLANT not in seen
    assert "wats.example" not in seen
    found = ask("api/dead-letters", "guest").json()
    assert (found["dead"], found["groups"], found["counts_alone"]) == (1, [], True)
    assert GUID not in seen
    assert GUID in ask("api/proof", "vic").text
    assert [day["open"] for day in ask("api/proof", "guest").json()["days"]] == [None, 1]
    status = ask("api/status", "guest").json()
    assert status["connectivity"]["wats"]["problem"] == "VW317"
    assert [(condition["key"], condition["summary"]) for condition in status["conditions"]] == [
        ("held", "1 run waits for a setting")
    ]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize("user", ["admin", "vic", "guest", None])
def test_nobody_sees_the_user_part_of_an_address(ask, user):
    seen = everything(ask, user)
    assert SECRET not in seen
    assert "ann" not in seen.replace("channel", "")


@pytest.mark.parametrize(
    "answers",
    [
        {"wats_password": SECRET},
        {"alerts": {"smtp": {"password": SECRET}}},
        {"storage_path": f"s3://ann:{SECRET}@bucket"},
        {"process_map": {"*": SECRET}},
        {"source_timezone": SECRET},
    ],
    ids=["unknown field", "unknown group", "address", "value of a number", "value of a text"],
)
@pytest.mark.parametrize("user", ["admin", "vic", "guest", None])
def test_wrong_settings_are_named_on_the_page_by_field_and_rule_alone(ask, storage, monkeypatch, answers, user):
    configure(monkeypatch, **answers)
    seen = everything(ask, user)
    assert SECRET not in seen
    if user is not None:
        assert f"- {next(iter(answers))}" in json.loads(ask("api/dead-letters", user).text)["detail"]


def test_a_variable_that_is_damaged_is_named_without_what_is_in_it(ask, storage):
    for key in ("vte_wats_state", "vte_wats_history", "vte_wats_alerts", "vte_wats_budget", "vte_wats_backfill"):
        Variable.set(key, json.dumps({"password": SECRET, "since_at": SECRET}))
    for user in ("admin", "guest", None):
        assert SECRET not in everything(ask, user)


def test_the_open_health_address_names_no_site_and_no_reason(ask, storage, monkeypatch):
    monkeypatch.setenv("AIRFLOW__VTE_WATS__SITES", "Plant-7")
    assert "lant" not in ask("health", None).text
