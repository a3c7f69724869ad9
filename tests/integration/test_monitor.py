"""The monitor against real servers on sockets: what it finds, whom it notifies, and what it leaves in its Variable."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.variable import Variable
from airflow.sdk import Variable as SdkVariable
from airflow.utils.session import create_session
from upath import UPath

from sandbox.environment import READER_PASSWORD, SandboxEnvironment
from sandbox.mail import MailCatcher, forms_of
from tests.bucket import AWAY
from tests.integration.fernet_keys import hide
from tests.site.simulated_time import SimulatedTime
from tests.unit.builders import a_run
from vte_wats.alerting.incidents import MissedDeadline
from vte_wats.alerting.monitor_state import MonitorState
from vte_wats.config.sites import Site
from vte_wats.domain.run import DeadLetterKind
from vte_wats.intervals.interval import Interval
from vte_wats.orchestration.notifiers import sender as real_sender
from vte_wats.orchestration.sync_deadline import deadline_missed
from vte_wats.state.coverage import State
from vte_wats.state.proof import DayProof, OddKind, OddRuns, Proof
from vte_wats.status.evidence import gather
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.wats.profile import WatsProfile

SITE = Site()
BEGIN_AT = datetime(2026, 3, 2, tzinfo=UTC)  # the start date of the tests
POOL_OF_PREFLIGHT = {"state": "vte_wats_state", "survey_pool": "vte_survey", "vte": "vte_read", "wats": "wats_api"}


class Monitored:
    """A plant, a mail server, and the DAGs, run task by task in this process."""

    def __init__(
        self, plant: SandboxEnvironment, mail: MailCatcher, bag: DagBag, storage: str, monkeypatch: Any
    ) -> None:
        self.plant, self.mail, self.storage = plant, mail, storage
        self._bag, self._monkeypatch = bag, monkeypatch
        for task in bag.dags["vte_wats_sync"].tasks:
            task.retries = 0

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.plant.factory_data.settings()["source_timezone"])

    def set(self, text: str | None = None, **alerts: Any) -> None:
        """Write the settings: recipients and what a test wants beside them, or a whole text."""
        given = {"recipients": ["ops@factory.example"], "lag_limit_s": 10**9, "no_progress_s": 10**9} | alerts
        settings = self.plant.factory_data.settings(storage_path=self.storage, alerts=given)
        self._monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(settings) if text is None else text)

    def check(self, times: int = 1) -> list[str]:
        """Let the monitor look; return the subjects that came meanwhile."""
        before = len(self.mail.subjects)
        for _ in range(times):
            assert str(self._bag.dags["vte_wats_monitor"].test().state) == "success"
        return [subject.removeprefix("[vte-wats] ") for subject in self.mail.subjects[before:]]

    @staticmethod
    def schedule() -> None:
        """Create the DAG runs of the last intervals, as a scheduler does."""
        now_at = datetime.now(UTC)
        last_at = now_at.replace(minute=now_at.minute // 5 * 5, second=0, microsecond=0)
        with create_session() as session:
            for n in range(1, 13):
                at = last_at - timedelta(minutes=5 * n)
                interval = (at, at + timedelta(minutes=5))
                session.add(
                    DagRun(
                        dag_id="vte_wats_sync",
                        run_id=f"scheduled__{at.isoformat()}",
                        run_type="scheduled",
                        logical_date=at,
                        data_interval=interval,
                        run_after=interval[1],
                        state="success",
                    )
                )

    def sync(self, minute: int) -> str:
        """Sync the five minutes that end then."""
        return str(self._bag.dags["vte_wats_sync"].test(logical_date=BEGIN_AT + timedelta(minutes=minute)).state)

    def preflight(self) -> dict[str, str]:
        """Check before go-live; return what became of each task."""
        done = self._bag.dags["vte_wats_preflight"].test()
        return {instance.task_id: str(instance.state) for instance in done.get_task_instances()}

    def examine_pools(self) -> str:
        """Run this task of the preflight alone, beside what a scheduler has left of the others."""
        alone = self._bag.dags["vte_wats_preflight"].partial_subset("pools")
        (instance,) = alone.test().get_task_instances()
        return str(instance.state)

    def miss(self, minute: int) -> str:
        """Do what the triggerer does when an interval's deadline has passed, inside a task; return what came of it."""
        to_at = BEGIN_AT + timedelta(minutes=minute)
        run = {
            "dag_run_id": f"scheduled__{minute}",
            "state": "failed",
            "data_interval_start": (to_at - timedelta(minutes=5)).isoformat(),
            "data_interval_end": to_at.isoformat(),
        }
        context = {"dag_run": run, "deadline": {"deadline_time": (to_at + timedelta(minutes=10)).isoformat()}}
        notified: list[str] = []

        def call(*_: object, **__: object) -> None:
            notified.append(asyncio.run(deadline_missed("", BEGIN_AT.isoformat(), context)))

        dag = self._bag.dags["vte_wats_monitor"]
        with self._monkeypatch.context() as patched:
            patched.setattr(dag.get_task("watch"), "python_callable", call)
            assert str(dag.test().state) == "success"
        return notified[0]

    def let_nobody_catch_up_for(self, time: timedelta) -> None:
        """Let what was left that long ago be as much as now."""
        state = self.monitor_state
        catch_up = state.catch_up.model_copy(update={"at": state.catch_up.at - time})
        after = state.model_copy(update={"catch_up": catch_up})
        Variable.set(SITE.alerts_variable, after.model_dump_json(by_alias=True))

    @property
    def monitor_state(self) -> MonitorState:
        return MonitorState.model_validate_json(Variable.get(SITE.alerts_variable))


@pytest.fixture
def monitored(bag, tmp_path, monkeypatch) -> Iterator[Monitored]:
    with create_session() as session:
        session.query(TaskInstance).delete()
        session.query(DagRun).delete()
        session.query(Variable).delete()
    plant = SandboxEnvironment()
    plant.factory_data.load(plant.db, start=BEGIN_AT, end=BEGIN_AT + timedelta(minutes=15), runs=9, steps=2)
    with plant, MailCatcher() as mail:
        for name, value in plant.environment_variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(mail.connection))
        monitored = Monitored(plant, mail, bag, f"file://{tmp_path}", monkeypatch)
        monitored.set()
        monitored.schedule()
        yield monitored


@pytest.fixture
def clock(clock, monitored) -> SimulatedTime:
    """The clock that stands still, in SQL Server too: its clock must not differ from Airflow's."""
    monitored.plant.vte.clock = clock
    return clock


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("NO_PROXY", "localhost,fd00::/8", "NO_PROXY"),
        ("SSL_CERT_FILE", "/is/not/there.pem", "SSL_CERT_FILE"),
        ("ALL_PROXY", "socks5://proxy.example:1080", "ALL_PROXY"),
        ("AIRFLOW_CONN_WATS_DEFAULT", "", "wats_default does not exist"),
    ],
)
def test_what_keeps_wats_from_being_asked_is_reported_instead_of_ending_the_monitor(
    monitored, monkeypatch, name, value, named
):
    monkeypatch.setenv(name, value)
    if not value:
        monkeypatch.delenv(name)
    monitored.set(confirm_checks=1)
    assert any("WATS" in subject for subject in monitored.check())
    assert not monitored.monitor_state.wats.ok
    assert named in monitored.monitor_state.wats.problem
    assert monitored.monitor_state.vte.ok


@pytest.mark.parametrize(
    ("extra", "named"),
    [({"encryption": "yes"}, "encryption"), ({"TrustServerCertificate": "yes"}, "TrustServerCertificate")],
)
def test_what_keeps_vte_from_being_asked_is_reported_instead_of_ending_the_monitor(
    monitored, monkeypatch, extra, named
):
    fields = json.loads(monitored.plant.environment_variables["AIRFLOW_CONN_VTE_DEFAULT"])
    monkeypatch.setenv("AIRFLOW_CONN_VTE_DEFAULT", json.dumps(fields | {"extra": extra}))
    monitored.set(confirm_checks=1)
    assert any("VTE" in subject for subject in monitored.check())
    assert not monitored.monitor_state.vte.ok
    assert "VW116" in monitored.monitor_state.vte.problem
    assert monitored.monitor_state.wats.ok


def test_a_driver_that_fails_in_its_own_words_is_reported_with_the_kind_of_its_error(monitored, monkeypatch):
    def fail(**_: object) -> None:
        raise MemoryError("out of handles")

    monkeypatch.setattr("pymssql.connect", fail)
    monitored.set(confirm_checks=1)
    assert any("VTE" in subject for subject in monitored.check())
    problem = monitored.monitor_state.vte.problem
    assert problem.startswith("VW299 VTE: unexpected error while connecting")
    assert "MemoryError: out of handles" in problem


def test_when_all_is_well_it_saves_what_it_found_and_notifies_nobody(monitored):
    assert monitored.sync(5) == "success"
    assert monitored.check(3) == []
    monitor_state = monitored.monitor_state
    assert monitor_state.vte.ok
    assert monitor_state.wats.ok
    assert monitor_state.vte.version[0].isdigit()
    assert monitor_state.wats.version[0].isdigit()
    assert monitor_state.vte.round_trip_ms > 0
    assert monitor_state.wats.round_trip_ms > 0
    assert monitor_state.waiting.runs > 0
    assert (
        monitor_state.waiting.newest_local == "2026-03-02T01:14:59"
        or monitor_state.waiting.newest_local < "2026-03-02T01:15:00"
    )
    assert abs(monitor_state.clock_skew_s) < 30
    assert monitor_state.free_mb > 0
    assert monitor_state.failed_syncs == 0
    assert monitor_state.channels == ("mail to 1 recipient",)
    assert monitor_state.conditions == {}
    assert monitor_state.covered_until is not None


def test_wats_down_is_one_mail_and_wats_up_another_that_says_how_long(monitored):
    monitored.plant.wats.stop()
    (opened,) = monitored.check(4)
    assert opened.startswith("PROBLEM: WATS does not answer: ")
    monitored.plant.wats.start()
    (closed,) = monitored.check(4)
    assert closed.startswith("SOLVED after ")
    for form in forms_of(monitored.mail.mails[-1]):
        assert "Missed meanwhile" in form


def test_vte_down_is_reported_with_the_reason_and_without_the_password(monitored):
    monitored.plant.vte.stop()
    (opened,) = monitored.check(3)
    assert opened.startswith("PROBLEM: VTE does not answer: ")
    assert monitored.monitor_state.waiting is None
    assert all(READER_PASSWORD not in form for form in forms_of(monitored.mail.mails[-1]))


def test_a_connection_that_does_not_exist_is_reported(monitored, monkeypatch):
    monkeypatch.delenv("AIRFLOW_CONN_WATS_DEFAULT")
    (opened,) = monitored.check(2)
    assert opened.startswith("PROBLEM: WATS does not answer: ")
    assert "wats_default" in opened


def test_settings_that_are_wrong_are_reported_to_the_recipients_in_them(monitored):
    monitored.set(json.dumps({"source_timezone": "Oslo", "alerts": {"recipients": ["ops@factory.example"]}}))
    (opened,) = monitored.check(2)
    assert opened.startswith("PROBLEM: nothing can run: VW103 2 setting(s) are wrong")


BROKEN = {
    "a trailing comma": ("VW102", '{"alerts": {"recipients": ["ops@factory.example"]},}'),
    "deleted": ("VW101", None),
    "a list": ("VW103", "[]"),
    "a wrong recipient": ("VW103", '{"alerts": {"recipients": ["nobody"]}}'),
}


def broken_checks(monitored: Monitored, checks: int) -> list[str]:
    """Let the monitor look, which fails for it; return the subjects that came meanwhile."""
    before = len(monitored.mail.subjects)
    for _ in range(checks):
        assert str(monitored._bag.dags["vte_wats_monitor"].test().state) == "failed"
    return [subject.removeprefix("[vte-wats] ") for subject in monitored.mail.subjects[before:]]


@pytest.mark.parametrize("name", BROKEN)
def test_settings_that_cannot_be_read_are_reported_to_whom_they_named_last(monitored, monkeypatch, name):
    code, text = BROKEN[name]
    assert monitored.check() == []
    if text is None:
        monkeypatch.delenv("AIRFLOW_VAR_VTE_WATS")
    else:
        monitored.set(text)
    (opened,) = broken_checks(monitored, 3)
    assert opened.startswith(f"PROBLEM: nothing can run: {code} ")
    monitored.set()
    (closed,) = monitored.check(2)
    assert closed.startswith("SOLVED")


@pytest.mark.usefixtures("encrypted")
def test_settings_under_another_fernet_key_are_reported_to_whom_they_named_last(monitored, monkeypatch):
    assert monitored.check() == []
    monkeypatch.delenv("AIRFLOW_VAR_VTE_WATS")
    Variable.set("vte_wats", "{}")
    hide("vte_wats", "{}")
    (opened,) = broken_checks(monitored, 2)
    assert opened.startswith("PROBLEM: nothing can run: VW627 ")


def test_without_settings_that_could_ever_be_read_it_says_that_nobody_can_be_notified(monitored, caplog):
    monitored.set("[]")
    assert broken_checks(monitored, 2) == []
    assert "Nobody can be notified of it" in caplog.text
    assert monitored.monitor_state.conditions["setup"].is_open
    monitored.set()
    assert monitored.check(2) != []


@pytest.mark.parametrize(
    "part",
    ["monitor_tasks.measure", "alert_context.alert_context", "sync_deadline.notify_missed_deadline"],
)
def test_a_part_of_the_check_that_fails_is_reported_and_fails_the_task_at_its_end(monitored, monkeypatch, part):
    assert monitored.check() == []

    def fails(*_: Any, **__: Any) -> None:
        raise TypeError("can't compare offset-naive and offset-aware datetimes")

    monkeypatch.setattr(f"vte_wats.orchestration.{part}", fails)
    opened = broken_checks(monitored, 3)
    assert monitored.monitor_state.conditions["check"].is_open
    assert [subject.split(": VW")[0] for subject in opened] == ["PROBLEM: the monitor cannot check everything"]
    assert "VW549" in opened[0]


def test_a_state_that_cannot_be_saved_fails_the_task_after_the_rest_was_reported(monitored, monkeypatch, caplog):
    monitored.plant.wats.stop()
    monitored.check()

    def refuses(*_: Any, **__: Any) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(SdkVariable, "set", refuses)
    (opened,) = broken_checks(monitored, 1)
    assert opened.startswith("PROBLEM: WATS does not answer")
    assert "VW549 notifying of what is open: RuntimeError: no room" in caplog.text


def test_a_bucket_that_is_away_is_reported(monitored, monkeypatch):
    monkeypatch.setenv("AIRFLOW_CONN_BUCKET", json.dumps(AWAY))
    monitored.storage = "s3://bucket@vte-wats/x"
    monitored.set(summary_at="00:00")
    (opened,) = monitored.check(2)
    assert opened.startswith("PROBLEM: nothing can run: VW902 the storage cannot be read: ")
    assert monitored.monitor_state.vte.ok


def test_a_scheduler_that_creates_no_dag_runs_is_reported(monitored):
    assert monitored.sync(5) == "success"
    with create_session() as session:
        session.query(DagRun).delete()
    (opened,) = monitored.check(2)
    assert opened.startswith("PROBLEM: Airflow creates no DAG runs of the sync")
    monitored.schedule()
    assert monitored.check(2)[0].startswith("SOLVED after ")


def leave(task_id: str, state: str, *, kind: str = "sync", is_paused: bool = False) -> None:
    """Leave the instances of a task in one state, as a scheduler does that finds no slot for them."""
    with create_session() as session:
        session.query(DagModel).filter(DagModel.dag_id == SITE.dag_id(kind)).update({"is_paused": is_paused})
        session.query(TaskInstance).filter(TaskInstance.task_id == task_id).update({"state": state})


@pytest.mark.parametrize(
    ("task_id", "pool"),
    [
        ("plan", "vte_read"),
        ("transfer.extract", "vte_read"),
        ("transfer.upload", "wats_api"),
        ("settle", "vte_wats_state"),
    ],
)
def test_a_pool_that_does_not_exist_is_reported_with_its_name(monitored, task_id, pool):
    assert monitored.sync(5) == "success"
    leave(task_id, "scheduled")
    (opened,) = monitored.check(2)
    assert opened == f"PROBLEM: tasks wait for a pool that has no open slot: {pool}"
    assert "airflow pools import include/pools.json" in monitored.monitor_state.conditions["pools"].advice
    leave(task_id, "success")
    assert monitored.check(2)[0].startswith("SOLVED after ")


def test_a_pool_whose_tasks_wait_for_others_or_are_paused_is_fine(monitored):
    assert monitored.sync(5) == "success"
    leave("transfer.upload", "scheduled")
    leave("transfer.extract", "running")
    assert monitored.check(3) == []
    leave("transfer.extract", "success", is_paused=True)
    assert monitored.check(3) == []


def test_preflight_advises_on_a_profile_of_another_wats(monitored, monkeypatch, caplog):
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS_PROFILE", WatsProfile(host="another.example").model_dump_json())
    with caplog.at_level("INFO", logger="vte_wats.orchestration.preflight_tasks"):
        assert monitored.preflight()["wats"] == "success"
    assert [line for line in caplog.messages if line.startswith("ADVICE") and "VW567" in line]


def test_the_handover_says_what_came_of_what_ran(monitored, tmp_path):
    assert monitored.sync(5) == "success"
    monitored.preflight()
    with create_session() as session:
        found = gather(session, SITE, tmp_path, datetime.now(UTC))
    assert {"runs/sync.json", "runs/preflight.json", "status.json", "settings.json"} <= found.keys()
    assert "runs/reconcile.json" not in found
    assert found["runs/sync.json"].result.startswith("success at ")
    assert "4 uploaded" in found["runs/sync.json"].result
    assert "lastSync 2026-03-02 00:0" in found["status.json"].result


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr("vte_wats.orchestration.preflight_tasks._PATIENCE_S", 0.0)


@pytest.mark.usefixtures("impatient")
def test_preflight_names_a_pool_that_gives_no_slot(monitored):
    assert monitored.sync(5) == monitored.examine_pools() == "success"
    leave("settle", "scheduled")
    assert monitored.examine_pools() == "failed"


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("task_id", "pool"), POOL_OF_PREFLIGHT.items())
def test_preflight_names_the_one_pool_that_is_missing_while_its_other_tasks_are_at_work(monitored, task_id, pool):
    """A scheduler starts all its tasks at once, and leaves the one whose pool does not exist as *scheduled*."""
    assert monitored.preflight().keys() == {"pools", *POOL_OF_PREFLIGHT}
    for other in POOL_OF_PREFLIGHT:
        leave(other, "scheduled" if other == task_id else "running", kind="preflight")
    assert monitored.examine_pools() == "failed"
    assert f"VW630 {pool}: " in Variable.get(SITE.failure_variable)


@pytest.mark.usefixtures("impatient")
def test_preflight_does_not_name_a_pool_whose_slots_are_taken(monitored):
    monitored.preflight()
    assert monitored.sync(5) == "success"
    leave("vte", "scheduled", kind="preflight")
    leave("transfer.extract", "running")
    assert monitored.examine_pools() == "success"


def test_a_go_live_that_catches_up_disturbs_nobody(monitored):
    assert monitored.sync(5) == "success"
    monitored.set(lag_limit_s=3_600)
    assert monitored.check(3) == []
    assert monitored.monitor_state.waiting.left_s > 86_400


def test_lag_is_reported_with_the_runs_that_wait_and_closes_once_they_are_transferred(monitored):
    assert monitored.sync(5) == "success"
    monitored.set(lag_limit_s=3_600)
    monitored.check()
    monitored.let_nobody_catch_up_for(timedelta(minutes=31))
    (opened,) = monitored.check(2)
    assert "behind" in opened
    assert "runs are waiting in VTE" in opened
    assert monitored.sync(20) == "success"
    Variable.set(
        SITE.state_variable,
        Variable.get(SITE.state_variable).replace(
            '"to": "2026-03-02T00:19:00Z"', f'"to": "{datetime.now(UTC).isoformat()}"'
        ),
    )
    assert monitored.check(2)[0].startswith("SOLVED after ")


def test_what_was_transferred_behind_a_gap_does_not_wait(monitored):
    assert monitored.sync(5) == "success"
    state = State.model_validate_json(Variable.get(SITE.state_variable))
    behind = Interval(from_at=BEGIN_AT + timedelta(minutes=9), to_at=datetime.now(UTC))
    with_gap = state.model_copy(update={"coverage": (*state.coverage, behind)})
    Variable.set(SITE.state_variable, with_gap.model_dump_json(by_alias=True))
    monitored.check()
    assert monitored.monitor_state.waiting.runs > 0
    assert "2026-03-02T01:04:00" <= monitored.monitor_state.waiting.newest_local < "2026-03-02T01:09:00"


def test_a_comparison_that_is_too_old_is_one_mail_and_the_next_one_another(monitored):
    assert monitored.sync(5) == "success"
    now_at = datetime.now(UTC)
    Variable.set(SITE.proof_variable, Proof(compared_at=now_at - timedelta(hours=40)).model_dump_json())
    (opened,) = monitored.check(2)
    assert opened == "PROBLEM: the last comparison with WATS ended 1 day and 16 hours ago"
    assert monitored.monitor_state.comparison_limit_h == 36
    Variable.set(SITE.proof_variable, Proof(compared_at=now_at).model_dump_json())
    (closed,) = monitored.check(2)
    assert closed.startswith("SOLVED after")


def test_runs_outside_every_window_are_reported_until_a_comparison_finds_them_dealt_with(monitored):
    assert monitored.sync(5) == "success"
    for numbers, begins in (
        ({"in_vte": 2}, "PROBLEM: 2 runs in VTE are outside every window"),
        ({"in_vte": 2, "held": 2}, "SOLVED"),
    ):
        odd = OddRuns(numbers=DayProof(verified_at=datetime.now(UTC), **numbers))
        proof = Proof(compared_at=datetime.now(UTC), odd={OddKind.NO_TIMESTAMP: odd})
        Variable.set(SITE.proof_variable, proof.model_dump_json())
        (subject,) = monitored.check(2)
        assert subject.startswith(begins)


def test_dead_letters_and_held_groups_are_reported(monitored):
    dead_letters = DeadLetters(UPath(monitored.storage))
    now_at = datetime.now(UTC)
    for number in range(3):
        dead_letters.put(a_run(number), DeadLetterKind.DEAD, "serial must not be blank", "serial is blank", now_at)
    dead_letters.put(a_run(10), DeadLetterKind.HELD, "no process", "unmapped test plan '<b>A</b>'", now_at)
    monitored.set(dead_letters_per_hour=3)
    subjects = monitored.check(2)
    assert sorted(subject.partition(";")[0] for subject in subjects) == [
        "PROBLEM: 1 run waits for a setting: unmapped test plan '<b>A</b>'",
        "PROBLEM: 3 dead letters in the last hour: most often: serial is blank (3)",
    ]
    assert all("<b>A" not in forms_of(mail)[1] for mail in monitored.mail.mails)
    dead_letters.remove(a_run(10).index_guid)
    assert [subject.partition(" after")[0] for subject in monitored.check(2)] == ["SOLVED"]


def test_a_mail_that_cannot_be_sent_is_sent_later_and_once(monitored):
    monitored.mail.refuses = True
    monitored.plant.wats.stop()
    assert monitored.check(3) == []
    assert monitored.mail.refused >= 2
    monitored.mail.refuses = False
    assert len(monitored.check(3)) == 1


def test_without_recipients_it_says_so_and_does_not_fail(monitored, caplog):
    monitored.set(recipients=[])
    monitored.plant.wats.stop()
    assert monitored.check(2) == []
    assert "nobody is notified of anything: set alerts.recipients in Variable vte_wats" in caplog.text
    assert monitored.monitor_state.channels == ()


def test_the_summary_comes_once_a_day_with_the_counts_of_the_day_before(monitored, clock):
    yesterday = clock() - timedelta(days=1)
    monitored.plant.factory_data.load(
        monitored.plant.db, start=yesterday, end=yesterday + timedelta(seconds=1), runs=7, steps=2
    )
    monitored.set(summary_at="00:00")
    (subject,) = monitored.check(3)
    assert "7 runs tested" in subject
    assert monitored.monitor_state.summary_day is not None
    assert re.search(r"Dead letters now +none", forms_of(monitored.mail.mails[-1])[0])
    assert "Proven through" not in forms_of(monitored.mail.mails[-1])[0]  # nothing was synced


def test_the_summary_says_what_the_comparisons_have_proven(monitored, clock):
    assert monitored.sync(5) == "success"
    yesterday = clock().astimezone(monitored.zone).date() - timedelta(days=1)
    day = DayProof(in_vte=5, proven=4, verified_at=datetime.now(UTC))
    Variable.set(SITE.proof_variable, Proof(days={yesterday: day}).model_dump_json())
    monitored.set(summary_at="00:00")
    monitored.check()
    text = forms_of(monitored.mail.mails[-1])[0]
    assert re.search(rf"{yesterday} +5 in VTE: 4 proven, 1 open, 0 dead letters, 0 held; 0 gone from VTE", text)
    assert re.search(r"Proven through +no day yet", text)


def test_the_failed_task_is_saved_and_reported(monitored):
    monitored.plant.wats.stop()
    assert monitored.sync(5) == "failed"
    noted = json.loads(Variable.get(SITE.failure_variable))
    assert noted["task_id"] == "transfer.upload"
    assert "WATS" in noted["reason"]
    monitored.check(2)
    assert noted["reason"][:60] in " ".join(forms_of(monitored.mail.mails[-1])[0].split())


def test_a_missed_deadline_is_one_mail_an_outage_and_none_for_what_was_transferred(monitored):
    assert monitored.sync(5) == "success"
    assert monitored.miss(5) == "transferred by another sync meanwhile"
    assert monitored.miss(10).startswith("sent: [vte-wats] LATE: the sync of ")
    assert monitored.miss(15) == "the same outage as scheduled__10, people are notified already"
    assert monitored.check() == []
    assert monitored.sync(15) == "success"
    assert monitored.miss(20).startswith("sent: ")
    assert len(monitored.mail.mails) == 2


@pytest.mark.parametrize(("minutes", "mails"), [(2, 1), (1.9, 0)])
def test_the_monitor_leaves_a_deadline_that_has_just_passed_to_its_callback(monitored, clock, minutes, mails):
    due_at = clock() - timedelta(minutes=minutes)
    times = {"interval": Interval(due_at, due_at), "until_at": due_at, "due_at": due_at}
    Variable.set(SITE.deadline_variable, MissedDeadline(dag_run_id="r", run_state="running", **times).model_dump_json())
    assert len(monitored.check()) == mails
    noted = MissedDeadline.model_validate_json(Variable.get(SITE.deadline_variable))
    assert (noted.notified_at is not None) == bool(mails)


def test_what_is_missed_while_a_mail_is_on_its_way_is_not_forgotten(monitored, monkeypatch):
    due_at = datetime.now(UTC) - timedelta(minutes=5)
    missed = MissedDeadline(
        dag_run_id="r", interval=Interval(due_at, due_at), until_at=due_at, due_at=due_at, run_state="running"
    )
    longer = missed.model_copy(update={"until_at": due_at + timedelta(minutes=4)})
    Variable.set(SITE.deadline_variable, missed.model_dump_json())

    def sender(alerts: Any) -> Any:
        send = real_sender(alerts)

        def slowly(message: Any) -> None:
            send(message)
            SdkVariable.set(SITE.deadline_variable, longer.model_dump_json())

        return slowly

    with monkeypatch.context() as patched:
        patched.setattr("vte_wats.orchestration.notifiers.sender", sender)
        assert len(monitored.check()) == 1
    noted = MissedDeadline.model_validate_json(Variable.get(SITE.deadline_variable))
    assert noted.until_at == longer.until_at
    assert noted.notified_at is not None


def test_a_missed_deadline_that_cannot_be_reported_is_reported_by_the_monitor_once(monitored):
    monitored.mail.refuses = True
    assert monitored.miss(5).startswith("not sent, the monitor tries again: ")
    monitored.mail.refuses = False
    (subject,) = monitored.check(2)
    assert subject.startswith("LATE: the sync of ")
