"""The status page's application inside Airflow's own: logins, permissions, JSON, and what a request costs."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from airflow import settings
from airflow.api_fastapi.app import create_app as create_airflow
from airflow.api_fastapi.app import purge_cached_app
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.log import Log
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from fastapi.testclient import TestClient
from sqlalchemy import event
from upath import UPath

from tests.bucket import AWAY
from tests.integration.fernet_keys import hide
from tests.unit.builders import a_run
from tests.waiting import wait_until
from vte_wats.alerting.monitor_state import Condition, MonitorState, ServerCheck, Waiting
from vte_wats.backfill.progress import Progress
from vte_wats.domain.run import DeadLetterKind, Outcome, VteProduct
from vte_wats.intervals.interval import Interval
from vte_wats.messages import VW411, VW627
from vte_wats.state.coverage import State
from vte_wats.state.history import History, PlanSnapshot, Tally
from vte_wats.state.proof import DayProof, OddKind, OddRun, OddRuns, OpenRun, Proof, days_without_runs
from vte_wats.state.seen_content import SeenContent
from vte_wats.status.access import CSRF_HEADER
from vte_wats.status.api_models import SiteStatus
from vte_wats.status.app import create_app, without_login
from vte_wats.status.cached_status import CALENDARS, HEALTH, HISTORIES, STATUSES, SUMMARIES
from vte_wats.status.dead_letter_groups import LISTED
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.wats.profile import WatsProfile
from vte_wats.wats.response_errors import RESPONSE_ERRORS

CLOCK: dict[str, datetime] = {}
PASSWORDS = {"admin": "adminpw", "vic": "viewerpw"}
HOSTILE = '<img src=x onerror="alert(1)">'
REDRIVE = "vte_wats_backfill"


@pytest.fixture(autouse=True)
def _now() -> None:
    """Each test has a now of its own: the ones before it may have taken long."""
    CLOCK["now_at"] = datetime.now(UTC).replace(microsecond=0)


def ago(minutes: float) -> datetime:
    return CLOCK["now_at"] - timedelta(minutes=minutes)


@pytest.fixture(scope="module")
def airflow(tmp_path_factory, metadata) -> Iterator[TestClient]:
    """Airflow's own application with the plugin mounted, an admin and a viewer."""
    passwords = tmp_path_factory.mktemp("auth") / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "admin:admin,vic:viewer")
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(passwords))
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a secret of these tests, long enough for HMAC with SHA-512" * 2)
        DagBundlesManager().sync_bundles_to_db()
        bundle = next(iter(DagBundlesManager().get_all_dag_bundles()))
        sync_bag_to_db(BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name), bundle.name, None)
        purge_cached_app()
        with TestClient(create_airflow(), base_url="http://airflow.test") as client:
            yield client


@pytest.fixture
def ask(airflow) -> Callable[..., object]:
    """Ask as somebody: nobody, the viewer or the admin."""

    def ask(path: str, user: str | None = "admin", method: str = "GET", **arguments):
        airflow.cookies.clear()
        if user is not None:
            token = airflow.post("/auth/token", json={"username": user, "password": PASSWORDS[user]}).json()
            airflow.cookies.set("_token", token["access_token"])
        return airflow.request(method, f"/vte-wats/{path}", **arguments)

    return ask


@pytest.fixture(autouse=True)
def storage(tmp_path, monkeypatch) -> Path:
    for name in ("state", "history", "budget", "alerts", "backfill", "profile", "proof", "seen"):
        Variable.delete(f"vte_wats_{name}")
    Variable.set("vte_wats_alerts", MonitorState(checked_at=ago(1)).model_dump_json())
    with create_session() as session:
        session.query(DagRun).delete()
        session.query(DagModel).update({"is_paused": True})
    answers = {"source_timezone": "Europe/Oslo", "process_map": {"*": 100}, "storage_path": f"file://{tmp_path}"}
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(answers))
    forget()
    return tmp_path


def forget() -> None:
    """Let the next request read again, as the one after some seconds would."""
    for reads in (HEALTH, SUMMARIES, STATUSES, HISTORIES, CALENDARS, LISTED):
        reads.forget()


def keep(state: State | None = None, history: History | None = None, proof: Proof | None = None) -> None:
    forget()
    begin = ago(60 * 24 * 400)
    done = (Interval(from_at=begin, to_at=ago(5)),)
    state = state or State(since_at=begin, coverage=done, totals={Outcome.UPLOADED: 9})
    history = history or History(settled_at=ago(1), interval_s=300, dead_letters=2, newest_at=ago(2))
    Variable.set("vte_wats_state", state.model_dump_json(by_alias=True))
    Variable.set("vte_wats_history", history.model_dump_json(by_alias=True, exclude_defaults=True))
    Variable.set("vte_wats_proof", (proof or Proof(compared_at=ago(60))).model_dump_json(exclude_defaults=True))


def a_year() -> History:
    """Return a history as full as a busy site leaves it."""
    tally = Tally(
        outcomes=dict.fromkeys(Outcome, 9_999), requests=99_999, latency_ms={20: 5_000, 50: 3_000, 100: 90, 1_000: 9}
    )
    return History(
        hours={ago(60 * n): tally for n in range(360)},
        days={ago(60 * 24 * n).date(): tally for n in range(366)},
        counted=tuple(f"{n:08}" for n in range(5_000)),
        settled_at=ago(1),
        interval_s=300,
        waiting=tuple(PlanSnapshot(interval=Interval(ago(10 * n), ago(10 * n - 5)), runs=9) for n in range(60, 500)),
    )


# Who may


@pytest.mark.parametrize(
    ("path", "anonymous", "viewer", "admin"),
    [
        ("health", 200, 200, 200),
        ("page", 401, 200, 200),
        ("page/page.js", 401, 200, 200),
        ("page/page.css", 401, 200, 200),
        ("page/page.html", 401, 404, 404),
        ("page/..%2fapp.py", 404, 404, 404),
        ("api/sites", 401, 200, 200),
        ("api/status", 401, 200, 200),
        ("api/status?site=oslo", 401, 404, 404),
        ("api/history?span=year", 401, 200, 200),
        ("api/history?span=century", 401, 422, 422),
        ("api/dead-letters", 401, 200, 200),
        ("api/proof", 401, 200, 200),
        ("api/proof?site=oslo", 401, 404, 404),
        ("api/proof.csv", 401, 200, 200),
        ("api/proof.csv?site=oslo", 401, 404, 404),
        ("api/openapi.json", 401, 200, 200),
        ("openapi.json", 404, 404, 404),
        ("docs", 404, 404, 404),
    ],
)
def test_everything_but_health_needs_the_login(ask, path, anonymous, viewer, admin):
    keep()
    assert [ask(path, user).status_code for user in (None, "vic", "admin")] == [anonymous, viewer, admin]


def test_every_route_but_health_is_behind_the_login():
    """A route that somebody adds to the wrong router is open; this fails then."""
    assert [route.path for route in without_login.routes] == ["/health"]
    paths = {route.path for route in create_app().routes if hasattr(route, "path")}
    assert paths >= {"/health", "/page", "/api/status", "/api/redrive", "/api/openapi.json"}


def test_the_page_loads_nothing_from_elsewhere_and_may_be_framed_by_airflow_alone(ask):
    answer = ask("page", "vic")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    for name in ("page.html", "page.css", "page.js"):
        text = (Path(__file__).parents[2] / "plugins" / "vte_wats" / "status" / "page" / name).read_text()
        assert "//" not in text.replace("http://www.w3.org/2000/svg", "").replace("// ", "").replace("//#", "")
        assert not any(word in text for word in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval("))


@pytest.mark.parametrize(("hours", "looks", "word"), [(3, True, "degraded"), (1, True, "ok"), (3, False, "ok")])
def test_changes_that_nobody_looks_for_are_said_by_page_and_health(ask, hours, looks, word):
    keep()
    Variable.set("vte_wats_seen", SeenContent(behind_since=ago(60 * hours)).model_dump_json())
    monitor_state = MonitorState(checked_at=ago(1), looks_for_changes=looks)
    Variable.set("vte_wats_alerts", monitor_state.model_dump_json())
    assert ask("health").json()["status"] == word
    with create_session() as session:
        session.query(DagModel).update({"is_paused": False})
    (site,) = ask("api/sites", "vic").json()
    assert (site["assessment"]["status"], "Changes in VTE" in site["assessment"]["reason"]) == (word, word != "ok")


def test_runs_outside_every_window_stand_beside_the_days(ask):
    odd = OddRuns(
        numbers=DayProof(in_vte=1, verified_at=ago(60)), examples=(OddRun(index_guid="g", timestamp_local=None),)
    )
    keep(proof=Proof(compared_at=ago(60), odd={OddKind.NO_TIMESTAMP: odd}))
    (runs,) = ask("api/proof", "admin").json()["odd"]
    assert (runs["kind"], runs["in_vte"], runs["open"]) == ("no_timestamp", 1, 1)
    assert runs["examples"] == [{"index_guid": "g", "timestamp_local": None}]


def test_the_openapi_document_names_the_models(ask):
    document = ask("api/openapi.json").json()
    assert set(document["paths"]) == {
        "/health", "/api/sites", "/api/status", "/api/history", "/api/dead-letters", "/api/redrive", "/api/proof",
        "/api/proof.csv", "/api/survey", "/api/survey/take-over",
    }  # fmt: skip
    named = {
        "Health",
        "SiteStatus",
        "DagRunSummary",
        "HistoryChart",
        "DeadLetterList",
        "ProofCalendar",
        "StartedRedrive",
        "SurveyStatus",
    }
    schemas = document["components"]["schemas"]
    assert named <= schemas.keys()
    assert "dry_run" in schemas["DagRunSummary"]["required"]


# Health


def test_health_answers_503_until_something_was_synced_and_again_when_it_stands_still(ask):
    assert ask("health", None).status_code == 503
    keep()
    answer = ask("health", None)
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "ok", "last_sync": ago(5).isoformat().replace("+00:00", "Z"), "runs_processed": 9, "errors": 2,
        "runs_per_minute": 0.0,
    }  # fmt: skip
    keep(history=History(settled_at=ago(61), interval_s=300))
    assert (ask("health", None).status_code, ask("health", None).json()["status"]) == (503, "failing")


def test_health_is_degraded_without_a_comparison_unless_nobody_wants_to_know(ask):
    keep(proof=Proof(compared_at=ago(60 * 37)))
    assert ask("health", None).json()["status"] == "degraded"
    Variable.set("vte_wats_alerts", MonitorState(checked_at=ago(1), comparison_limit_h=0).model_dump_json())
    forget()
    assert ask("health", None).json()["status"] == "ok"


def test_health_is_degraded_while_the_monitor_never_checked(ask):
    Variable.delete("vte_wats_alerts")
    keep()
    assert ask("health", None).json()["status"] == "degraded"


def test_health_says_to_the_log_when_it_changes_and_nothing_for_a_request(ask, caplog):
    ask("health", None)
    caplog.set_level(logging.INFO)
    keep()
    for _ in range(3):
        forget()
        ask("health", None)
    assert caplog.text.count("health ok: last sync") == 1


def test_health_says_one_word_where_the_deployment_wants_no_more(ask, monkeypatch):
    monkeypatch.setenv("AIRFLOW__VTE_WATS__HEALTH_DETAILS", "false")
    assert ask("health", None).json() == {"status": "failing"}
    keep()
    assert ask("health", None).json() == {"status": "ok"}


def test_what_many_ask_is_read_once(ask, airflow):
    keep()
    paths = ("health", "api/sites", "api/status", "api/history", "api/proof", "api/proof.csv")
    for path in paths:
        ask(path)
    with statements() as sent:
        for path in paths * 3:
            assert airflow.get(f"/vte-wats/{path}").status_code == 200
    assert not [statement for statement in sent if "FROM variable" in statement or "FROM dag_run" in statement]


@pytest.mark.parametrize("path", ["health", "api/sites", "api/status", "api/nothing", "api/dead-letters"])
@pytest.mark.parametrize("user", [None, "vic"])
def test_no_answer_is_stored_or_taken_for_another_kind(ask, path, user):
    headers = ask(path, user).headers
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")


def test_the_files_of_the_page_are_kept_and_checked(ask):
    headers = ask("page/page.js", "vic").headers
    assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-cache", "nosniff")


def test_health_keeps_the_text_of_a_wrong_option_to_the_log(ask, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    monkeypatch.setenv("AIRFLOW__VTE_WATS__SITES", "Plant 7")
    answer = ask("health", None)
    assert answer.status_code == 503
    assert "Plant 7" not in answer.text
    assert "VW924" in caplog.text
    assert "Plant 7" in caplog.text


def test_health_asks_the_database_once_whatever_a_year_has_left(ask, airflow):
    keep(history=a_year())
    ask("health", None)
    forget()
    with statements() as sent:
        assert airflow.get("/vte-wats/health").status_code == 200
    assert len(sent) == 1
    assert "variable" in sent[0]


class statements:  # noqa: N801 -- reads as a verb
    """The SQL that Airflow's engine sends within the block."""

    def __enter__(self) -> list[str]:
        self.sent: list[str] = []
        self._engine = settings.engine
        event.listen(self._engine, "before_cursor_execute", self._note)
        return self.sent

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "before_cursor_execute", self._note)

    def _note(self, _connection, _cursor, statement, *_: object) -> None:
        self.sent.append(statement)


# What it says


def test_a_site_that_never_synced_says_so(ask):
    status = SiteStatus.model_validate(ask("api/status").json())
    assert status.assessment.reason == "The sync is paused in Airflow."
    assert (status.coverage, status.recent, status.dead_letters) == (None, [], 0)
    assert ask("api/dead-letters").json()["groups"] == []
    assert all(point["read"] == 0 for point in ask("api/history").json()["points"])


def test_a_damaged_state_is_named_and_nothing_breaks(ask):
    Variable.set("vte_wats_state", "{")
    Variable.set("vte_wats_history", "[]")
    status = ask("api/status")
    assert status.status_code == 200
    assert "vte_wats_state is damaged" in status.json()["problem"]
    assert "vte_wats_history is damaged" in status.json()["problem"]
    assert ask("health", None).status_code == 503


@pytest.mark.report("P11")
@pytest.mark.usefixtures("encrypted")
@pytest.mark.parametrize("name", ["state", "history", "proof", "alerts", "seen"])
def test_a_variable_under_another_fernet_key_is_not_called_absent(ask, name):
    keep()
    Variable.set("vte_wats_alerts", MonitorState(checked_at=ago(1)).model_dump_json())
    Variable.set("vte_wats_seen", SeenContent().model_dump_json())
    assert ask("api/status").json()["problem"] is None
    hide(f"vte_wats_{name}", "{}")
    forget()
    problem = ask("api/status").json()["problem"]
    assert problem == f"The Variable vte_wats_{name} cannot be read (VW627): it was encrypted with another key."


@pytest.fixture
def running_site(storage) -> None:
    with create_session() as session:
        session.query(DagModel).update({"is_paused": False})


@pytest.mark.usefixtures("encrypted", "running_site")
def test_the_headline_says_of_a_state_under_another_key_what_to_do(ask):
    keep()
    hide("vte_wats_state", "{}")
    status = ask("api/status").json()
    assert status["assessment"]["reason"] == status["state_problem"]
    assert status["state_problem"].startswith("The Variable vte_wats_state cannot be read (VW627)")
    assert VW627.advice in status["state_problem"]


@pytest.mark.usefixtures("running_site")
def test_the_headline_says_of_a_damaged_state_what_to_do(ask):
    Variable.set("vte_wats_state", "{")
    reason = ask("api/status").json()["assessment"]["reason"]
    assert reason.startswith("The Variable vte_wats_state is damaged (VW516). Restore it from a backup, or delete")


@pytest.mark.usefixtures("encrypted")
def test_settings_under_another_fernet_key_are_not_called_absent_where_the_dead_letters_are(ask, monkeypatch):
    text = os.environ["AIRFLOW_VAR_VTE_WATS"]
    monkeypatch.delenv("AIRFLOW_VAR_VTE_WATS")
    Variable.set("vte_wats", text)
    assert ask("api/dead-letters").status_code == 200
    hide("vte_wats", text)
    forget()
    answer = ask("api/dead-letters")
    assert answer.status_code == 503
    assert answer.json()["detail"].startswith("VW830 Dead letters cannot be read: VW627 ")


def test_wrong_settings_are_shown_where_the_dead_letters_are(ask, monkeypatch):
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", "{}")
    answer = ask("api/dead-letters")
    assert answer.status_code == 503
    assert "source_timezone: required" in answer.json()["detail"]


def test_the_status_has_lag_waiting_runs_and_the_gap_with_its_dag_run(ask):
    begin = ago(60 * 24)
    state = State(
        since_at=begin,
        coverage=(Interval(from_at=begin, to_at=ago(60)), Interval(from_at=ago(40), to_at=ago(5))),
        totals={Outcome.UPLOADED: 9},
    )
    waiting = (PlanSnapshot(interval=Interval(ago(60), ago(40)), runs=4),)
    keep(state, History(settled_at=ago(1), interval_s=300, waiting=waiting, newest_at=ago(2), seen_until_at=ago(1)))
    dag_run_id = interval("failed", ago(60), ago(40))
    status = SiteStatus.model_validate(ask("api/status").json())
    assert (status.lag.last_sync, status.lag.runs_waiting, status.lag.newest_at) == (ago(60), 4, ago(2))
    gap = next(segment for segment in status.coverage.segments if segment.kind == "gap")
    assert (gap.interval.from_at, gap.interval.to_at, gap.dag_run.dag_run_id) == (ago(60), ago(40), dag_run_id)


def test_open_conditions_are_shown_with_what_to_do(ask):
    keep()
    monitor_state = MonitorState(
        checked_at=ago(0),
        vte=ServerCheck(ok=True, version="Microsoft SQL Server 2012", round_trip_ms=4.5),
        wats=ServerCheck(ok=False, problem=f"refused {HOSTILE}"),
        waiting=Waiting(runs=17, lag_s=300),
        conditions={
            "wats": Condition(opened_at=ago(9), summary="WATS does not answer", advice="check WATS"),
            "vte": Condition(opened_at=ago(99), closed_at=ago(50), summary="VTE did not answer", notified_at=ago(98)),
            "disk": Condition(streak=1, turned_at=ago(1)),
        },
    )
    Variable.set("vte_wats_alerts", monitor_state.model_dump_json())
    status = SiteStatus.model_validate(ask("api/status").json())
    assert (status.connectivity.vte.version, status.connectivity.vte.round_trip_ms) == (
        "Microsoft SQL Server 2012",
        4.5,
    )
    assert (status.connectivity.wats.ok, status.connectivity.wats.problem) == (False, f"refused {HOSTILE}")
    assert [(condition.key, condition.advice) for condition in status.conditions] == [("wats", "check WATS")]
    assert status.lag.runs_waiting == 17
    assert ask("health", None).json()["status"] == "degraded"
    assert ask("health", None).status_code == 200


def test_no_figure_that_the_monitor_remembers_stands_beside_one_of_now(ask):
    keep()
    lag = Condition(opened_at=ago(40), summary="lastSync is 40 minutes behind; 3 runs are waiting in VTE")
    Variable.set("vte_wats_alerts", MonitorState(checked_at=ago(1), conditions={"lag": lag}).model_dump_json())
    status = ask("api/status").json()
    texts = [status["assessment"]["reason"], *(condition["summary"] for condition in status["conditions"])]
    assert texts == ["The sync is paused in Airflow.", "lastSync is further behind than its limit"]


def test_the_profile_of_wats_is_shown_with_its_date_and_a_damaged_one_is_reported(ask):
    keep()
    assert SiteStatus.model_validate(ask("api/status").json()).wats_profile is None
    profile = WatsProfile(measured_at=ago(90), wats_version="2025.3.9.824", renames=False, answer_form="array")
    Variable.set("vte_wats_profile", profile.model_dump_json())
    forget()
    shown = SiteStatus.model_validate(ask("api/status").json()).wats_profile
    assert (shown.measured_at, shown.wats_version, shown.known) == (ago(90), "2025.3.9.824", 2)
    Variable.set("vte_wats_profile", '{"renames": "perhaps"}')
    forget()
    status = SiteStatus.model_validate(ask("api/status").json())
    assert status.wats_profile is None
    assert "The Variable vte_wats_profile is damaged." in status.problem


def test_what_is_proven_is_there_as_json_and_as_csv(ask):
    yesterday = (ago(0) - timedelta(days=1)).date()
    first = ago(60 * 24 * 400).date()
    one_open = DayProof(in_vte=3, proven=2, verified_at=ago(0), open_runs=(OpenRun(index_guid="g", reason=HOSTILE),))
    days = days_without_runs([(first, yesterday)], ago(0)) | {yesterday: one_open}
    keep(proof=Proof(days=days, compared_at=ago(0)))
    found = ask("api/proof").json()
    assert found["proven_through"] == (yesterday - timedelta(days=1)).isoformat()
    assert (len(found["days"]), found["days"][-1]["status"]) == (365, "open")
    assert found["days"][-1]["open_runs"] == [{"index_guid": "g", "reason": HOSTILE}]
    answer = ask("api/proof.csv", "vic")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="vte-wats-proof.csv"'
    rows = answer.text.splitlines()
    assert (len(rows), rows[1].split(",")[0]) == (1 + 400, first.isoformat())
    assert rows[-1].startswith(f"{yesterday},3,2,0,0,1,")


def test_a_damaged_proof_is_named_and_proves_nothing(ask):
    keep()
    Variable.set("vte_wats_proof", '{"days": 3}')
    assert "The Variable vte_wats_proof is damaged." in ask("api/status").json()["problem"]
    found = ask("api/proof").json()
    assert (found["proven_through"], {day["status"] for day in found["days"]}) == (None, {"not_compared"})


def test_a_backfill_shows_how_far_it_is(ask):
    keep()
    progress = Progress(
        dag_run_id="manual__1", asked="2025", dry_run=False, force=False, runs=100, parts=2, part=1, slices={"s1": 25},
        estimate_s=999, started_at=ago(10), updated_at=ago(5),
    )  # fmt: skip
    Variable.set("vte_wats_backfill", progress.model_dump_json())
    backfill = SiteStatus.model_validate(ask("api/status").json()).backfill
    assert (backfill.dag_run.dag_id, backfill.dag_run.dag_run_id) == ("vte_wats_backfill", "manual__1")
    assert (backfill.runs, backfill.transferred, backfill.remaining_s, backfill.ended_at) == (100, 25, 900, None)


def test_a_dag_run_says_that_it_was_a_dry_run(ask):
    keep()
    interval("success", ago(10), ago(5))
    interval("success", ago(20), ago(15), conf={"dry_run": True})
    interval("success", ago(30), ago(25), "vte_wats_reconcile", {"dry_run": True})
    status = ask("api/status", "vic").json()
    assert [run["dry_run"] for run in status["recent"]] == [False, True, True]
    assert [run["dry_run"] for run in status["comparisons"]] == [True]


def interval(
    state: str,
    from_at: datetime,
    to_at: datetime,
    dag_id: str = "vte_wats_sync",
    conf: dict[str, object] | None = None,
) -> str:
    dag_run_id = f"scheduled__{to_at.isoformat()}"
    with create_session() as session:
        session.add(
            DagRun(
                dag_id=dag_id, run_id=dag_run_id, run_type="scheduled", state=state, logical_date=from_at,
                data_interval=(from_at, to_at), run_after=to_at, conf=conf,
            )
        )  # fmt: skip
    return dag_run_id


def test_what_a_status_costs_does_not_depend_on_how_much_there_is(ask, airflow):
    keep()
    ask("api/status")
    forget()
    with statements() as few:
        assert airflow.get("/vte-wats/api/status").status_code == 200
    keep(history=a_year())
    for n in range(40):
        interval("failed", ago(5 * n + 5), ago(5 * n))
    with statements() as many:
        assert airflow.get("/vte-wats/api/status").status_code == 200
    assert len(many) == len(few) <= 12


# Dead letters


def test_a_bucket_that_is_away_is_shown_where_the_dead_letters_are(ask, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_DEAD_LETTERS", json.dumps(AWAY))
    answers = {
        "source_timezone": "Europe/Oslo",
        "process_map": {"*": 100},
        "storage_path": "s3://dead_letters@vte-wats/x",
    }
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(answers))

    def is_shown() -> bool:
        answer = ask("api/dead-letters")
        assert answer.status_code == 503
        return answer.json()["detail"].startswith("VW830 Dead letters cannot be read: ")

    wait_until(is_shown, "the reason; a busy machine loads the client of the bucket longer than a request waits")


def dead_letter(storage: Path, number: int = 1, signature: str = "serial is blank", **run) -> None:
    DeadLetters(UPath(storage)).put(a_run(number, **run), DeadLetterKind.DEAD, "because", signature, ago(0))


def test_dead_letters_come_in_groups_with_examples(ask, storage):
    dead_letter(storage, 1, product=VteProduct(name=HOSTILE))
    dead_letter(storage, 2)
    dead_letter(storage, 3, HOSTILE)
    found = ask("api/dead-letters").json()
    assert [(group["signature"], group["dead_letters"]) for group in found["groups"]] == [
        ("serial is blank", 2),
        (HOSTILE, 1),
    ]
    assert HOSTILE in {example["product"] for example in found["groups"][0]["examples"]}


def test_each_group_says_what_its_message_means_and_what_to_do(ask, storage):
    rejected = RESPONSE_ERRORS[0].message
    for number, reason in enumerate((f"{VW411} serial must not be blank", f"{rejected} no", f"VW000 {HOSTILE}"), 1):
        DeadLetters(UPath(storage)).put(a_run(number), DeadLetterKind.DEAD, reason, reason, ago(0))
    found = ask("api/dead-letters").json()
    assert {group["code"] for group in found["groups"]} == {"VW411", rejected.code, "VW000"}
    assert found["messages"] == {
        message.code: {"meaning": message.meaning, "advice": message.advice} for message in (VW411, rejected)
    }


OURS = {CSRF_HEADER: "redrive"}


@pytest.mark.parametrize(
    ("user", "headers", "status"),
    [
        (None, OURS, 401),
        ("vic", OURS, 403),
        ("admin", {}, 403),
        ("admin", OURS | {"Origin": "http://evil.test"}, 403),
        ("admin", OURS | {"Origin": "null"}, 403),
        ("admin", OURS | {"Sec-Fetch-Site": "cross-site"}, 403),
        ("admin", OURS | {"Sec-Fetch-Site": "same-site"}, 403),
        ("admin", OURS | {"Origin": "http://airflow.test", "Sec-Fetch-Site": "same-origin"}, 202),
        ("admin", OURS, 202),
    ],
    ids=[
        "anonymous", "viewer", "no header", "foreign origin", "opaque origin", "cross-site", "same-site", "page", "tool",
    ],
)  # fmt: skip
def test_a_group_is_redriven_by_who_may_trigger_and_by_nobody_elses_page(ask, storage, user, headers, status):
    dead_letter(storage)
    answer = ask("api/redrive", user, "POST", json={"signature": "serial is blank"}, headers=headers)
    assert answer.status_code == status
    with create_session() as session:
        runs = session.query(DagRun).filter(DagRun.dag_id == REDRIVE).all()
        assert [(run.conf, run.triggering_user_name) for run in runs] == (
            [({"dead_letters": "serial is blank"}, "admin")] if status == 202 else []
        )
        if status == 202:
            assert answer.json() == {"dag_run": {"dag_id": REDRIVE, "dag_run_id": runs[0].run_id}, "is_paused": True}


def test_what_is_redriven_already_is_not_redriven_twice(ask, storage):
    dead_letter(storage)
    arguments = {"json": {"signature": "serial is blank"}, "headers": OURS}
    assert [ask("api/redrive", method="POST", **arguments).status_code for _ in range(2)] == [202, 409]
    with create_session() as session:
        for run in session.query(DagRun).filter(DagRun.dag_id == REDRIVE):
            run.state = "success"
    assert ask("api/redrive", method="POST", **arguments).status_code == 202


def test_a_group_that_is_not_there_is_not_redriven(ask, storage):
    dead_letter(storage)
    answer = ask("api/redrive", method="POST", json={"signature": "something else"}, headers=OURS)
    assert answer.status_code == 404
    with create_session() as session:
        assert not session.query(DagRun).count()


def test_who_asks_for_a_redrive_is_in_airflows_audit_log(ask, storage):
    dead_letter(storage)
    with create_session() as session:
        session.query(Log).delete()
    for user, signature in (("vic", "not allowed"), ("admin", "serial is blank"), ("admin", "something else")):
        ask("api/redrive", user, "POST", json={"signature": signature}, headers=OURS)
    with create_session() as session:
        rows = [
            (row.event, row.owner, row.dag_id, json.loads(row.extra)) for row in session.query(Log).order_by(Log.id)
        ]
    assert rows == [
        ("vte_wats_redrive", "admin", REDRIVE, {"site": "", "signature": "serial is blank"}),
        ("vte_wats_redrive", "admin", REDRIVE, {"site": "", "signature": "something else"}),
    ]


@pytest.mark.parametrize("body", [{}, {"signature": ""}, {"signature": 3}, {"signature": "x" * 2_001}])
def test_a_redrive_without_a_signature_is_refused(ask, body):
    assert ask("api/redrive", method="POST", json=body, headers=OURS).status_code == 422


def test_a_form_of_another_site_cannot_send_what_the_page_sends(ask):
    answer = ask("api/redrive", method="POST", content=b'{"signature": "x"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 403
