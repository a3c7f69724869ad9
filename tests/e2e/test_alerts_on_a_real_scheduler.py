"""The mails of outages, and what other DAGs and people find: on a real Airflow with scheduler and triggerer.

Time runs five times as fast as in production: intervals of one minute, a deadline of some more. The monitor runs when a
test says so; each of its runs is one check.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from sandbox.airflow_stack import AirflowStack
from sandbox.airflow_stack.stack_errors import AirflowApiError
from sandbox.environment import READER_PASSWORD, SandboxEnvironment
from sandbox.mail import MailCatcher, forms_of
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(2400)]

SYNC, MONITOR = "vte_wats_sync", "vte_wats_monitor"
DEADLINE_S = 80
OLD_INTERVALS = 5
CONSUMER = """
from airflow.sdk import DAG, Asset, task

with DAG("reads_wats", schedule=[Asset("vte_wats_reports")]):

    @task
    def look(triggering_asset_events=None):
        return [event.extra for events in triggering_asset_events.values() for event in events]

    look()
"""


class Site:
    """A plant, a mail server and an Airflow between them."""

    def __init__(self, plant: SandboxEnvironment, mail: MailCatcher, airflow: AirflowStack, storage: Path) -> None:
        self.plant, self.mail, self.airflow, self.storage = plant, mail, airflow, storage

    def check(self, times: int = 1) -> None:
        """Let the monitor look."""
        for _ in range(times):
            dag_run_id = self.airflow.trigger(MONITOR)
            assert self.airflow.wait_for_run(MONITOR, dag_run_id, timeout_s=600) == "success"

    def load(self) -> None:
        """Commit runs that ended just now."""
        end = datetime.now(UTC) - timedelta(seconds=2)
        self.plant.factory_data.load(
            self.plant.db, start=end - timedelta(seconds=30), end=end, runs=4, steps=4, oddities=[]
        )

    def done(self) -> list[Any]:
        """The scheduled runs that succeeded, oldest first."""
        return [
            known_run
            for known_run in self.airflow.runs(SYNC)
            if known_run.run_type == "scheduled" and known_run.state == "success"
        ]

    def stored(self, name: str) -> dict[str, Any]:
        return json.loads(self.airflow.variable(name) or "{}")

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.airflow._postgres.url.replace("+psycopg2", ""))
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall()
        finally:
            connection.close()

    def subjects(self, since: int = 0) -> Counter[str]:
        """Count the mails by the first word of their subject."""
        return Counter(
            subject.removeprefix("[vte-wats] ").split()[0].rstrip(":") for subject in self.mail.subjects[since:]
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, repository: Path, empty_metadata: Path) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("alerts")
    dags = home / "dags"
    shutil.copytree(repository / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    (dags / "reads_wats.py").write_text(CONSUMER, encoding="utf-8")
    began_at = datetime.fromtimestamp(time.time() // 60 * 60, UTC) - timedelta(minutes=OLD_INTERVALS)
    plant = SandboxEnvironment()
    alerts = {"recipients": ["ops@factory.example"], "failed_syncs_per_hour": 59, "min_free_mb": 1}
    settings = plant.factory_data.settings(storage_path=f"file://{home}/storage", settle_delay_s=0, alerts=alerts)
    with (
        plant,
        MailCatcher() as mail,
        AirflowStack(
            home=home / "airflow",
            template_folder=empty_metadata,
            dags_folder=dags,
            plugins_folder=repository / "plugins",
            components=("api-server", "scheduler", "dag-processor", "triggerer"),
            env={
                "AIRFLOW__VTE_WATS__START_DATE": began_at.isoformat(),
                "AIRFLOW__VTE_WATS__SCHEDULE": "* * * * *",
                "AIRFLOW__VTE_WATS__MONITOR_SCHEDULE": "0 0 1 1 *",
                "AIRFLOW__VTE_WATS__DEADLINE_S": str(DEADLINE_S),
                "AIRFLOW__VTE_WATS__RETRIES": "1",
                "AIRFLOW__VTE_WATS__RETRY_DELAY_S": "1",
                "PYTHONPATH": str(repository / "plugins"),
            },
            pools={"wats_api": 1, "vte_wats_state": 1, "vte_read": 2},
            connections=plant.connections | {"smtp_default": mail.connection},
            variables={"vte_wats": json.dumps(settings)},
        ) as airflow,
    ):
        assert airflow.import_errors() == []
        for dag_id in (SYNC, MONITOR, "reads_wats"):
            airflow.unpause(dag_id)
        yield Site(plant, mail, airflow, home / "storage")


def is_current(site: Site) -> bool:
    """Tell whether the interval that ended last has been transferred."""
    done = site.done()
    return bool(done) and done[-1].data_interval_end > datetime.now(UTC) - timedelta(seconds=75)


def test_catching_up_old_intervals_notifies_nobody(site):
    wait_until(lambda: is_current(site) and len(site.done()) >= OLD_INTERVALS, "the catch-up to end")
    assert site.query("SELECT count(*) FROM deadline WHERE missed") == [(0,)]
    assert site.mail.mails == []


def test_a_live_interval_has_a_deadline_and_a_backfill_of_old_ones_has_none(site):
    begin = datetime.now(UTC) - timedelta(hours=3)
    site.airflow.backfill(SYNC, begin, begin + timedelta(minutes=3))
    with_deadline = "SELECT count(*) FROM deadline d JOIN dag_run r ON r.id = d.dagrun_id WHERE r.run_type = '%s'"
    wait_until(
        lambda: site.query("SELECT count(*) FROM dag_run WHERE run_type = 'backfill'")[0][0] >= 3,
        "the backfill's runs",
    )
    assert site.query(with_deadline % "backfill") == [(0,)]
    wait_until(lambda: site.query(with_deadline % "scheduled")[0][0], "a deadline of a live run")
    done = "SELECT count(*) FROM dag_run WHERE run_type = 'backfill' AND state NOT IN ('success', 'failed')"
    wait_until(lambda: site.query(done) == [(0,)], "the backfill to end")
    assert site.query(with_deadline % "backfill") == [(0,)]
    assert site.mail.mails == []


@pytest.mark.parametrize("outage", ["the first", "another"])
def test_an_outage_is_one_mail_when_it_opens_one_when_it_is_late_and_one_when_it_is_over(site, outage):
    site.check(2)
    before = len(site.mail.mails)
    wait_until(lambda: is_current(site), "a sync to end in time")
    site.load()
    site.plant.wats.stop()
    site.check(4)
    wait_until(lambda: site.subjects(before)["LATE"], "the mail about the deadline")
    first = site.stored("vte_wats_deadline")
    wait_until(lambda: site.stored("vte_wats_deadline")["until_at"] > first["until_at"], "another missed deadline")
    site.check(2)
    assert site.subjects(before) == {"PROBLEM": 1, "LATE": 1}
    site.plant.wats.start()
    wait_until(lambda: is_current(site), "a sync after the outage")
    site.check(4)
    assert site.subjects(before) == {"PROBLEM": 1, "LATE": 1, "SOLVED": 1}, site.mail.subjects[before:]
    by_kind = {str(mail["subject"]).removeprefix("[vte-wats] ").split()[0]: mail for mail in site.mail.mails[before:]}
    for form in forms_of(by_kind["LATE:"]):
        assert "transfer.upload" in form
        assert "no connection" in form
        assert f"{site.airflow.url}/dags/{SYNC}/runs/" in form
    assert "WATS does not answer" in by_kind["PROBLEM:"]["subject"]
    assert "Lasted" in forms_of(by_kind["SOLVED"])[0]


def test_after_the_outages_coverage_is_whole_without_a_person(site):
    def is_whole() -> bool:
        state = site.stored("vte_wats_state")
        return state["lastSync"] == state["coverage"][-1]["to"] and is_current(site)

    assert [known_run for known_run in site.airflow.runs(SYNC) if known_run.state == "failed"]
    wait_until(is_whole, "coverage to be one interval from the start on")
    assert site.plant.source == site.plant.receipts.keys()


def test_a_dry_run_on_the_grid_of_the_schedule_does_not_stop_it(site):
    at, dag_run_id = wait_until(lambda: triggered_on_the_grid(site), "a run before the scheduler's own")
    assert site.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600) in ("success", "failed")
    wait_until(
        lambda: site.done() and site.done()[-1].data_interval_end >= at + timedelta(minutes=2), "the schedule to go on"
    )


def triggered_on_the_grid(site: Site) -> tuple[datetime, str] | None:
    """Take the logical date that the scheduler creates next, unless the minute ends meanwhile and it comes first."""
    at = datetime.fromtimestamp(time.time() // 60 * 60, UTC)
    try:
        return at, site.airflow.trigger(SYNC, logical_date=at, conf={"dry_run": True})
    except AirflowApiError as error:
        if error.status_code != HTTPStatus.CONFLICT:
            raise
        return None


def test_no_mail_holds_a_secret(site):
    secrets = (READER_PASSWORD, site.plant.wats.token)
    assert site.mail.mails
    assert [
        mail["subject"] for mail in site.mail.mails for form in forms_of(mail) if any(s in form for s in secrets)
    ] == []


def test_dags_of_others_run_when_wats_holds_something_new_and_only_then(site):
    wait_until(lambda: is_current(site), "a sync in time")
    before = uploaded_by_events(site)
    site.load()
    dag_run_id = site.airflow.trigger(SYNC)
    assert site.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600) == "success"
    wait_until(lambda: uploaded_by_events(site) >= before + 4, "the other DAG")
    wait_until(lambda: asset_events(site) == uploading(site), "an event of each sync that uploaded, and of no other")
    assert len(uploading(site)) < len([run for run in site.airflow.runs(SYNC) if run.state == "success"])


def uploaded_by_events(site: Site) -> int:
    """Add up what the other DAG was given to read."""
    return sum(
        extra["uploaded"]
        for reader in site.airflow.runs("reads_wats")
        for extra in site.airflow.xcom("reads_wats", reader.dag_run_id, "look") or []
    )


def asset_events(site: Site) -> set[str]:
    return {dag_run_id for (dag_run_id,) in site.query("SELECT source_run_id FROM asset_event")}


def uploading(site: Site) -> set[str]:
    """Return the syncs that uploaded something."""
    return {
        run.dag_run_id
        for run in site.airflow.runs(SYNC)
        if run.state == "success" and (site.airflow.xcom(SYNC, run.dag_run_id, "settle") or {}).get("uploaded")
    }


def test_every_upload_has_a_button_that_leads_to_a_report_in_wats(site):
    run = next(
        entry
        for entry in site.done()[::-1]
        if any(
            t.task_id == "transfer.upload" and t.map_index == 0 and t.state == "success"
            for t in site.airflow.task_instances(SYNC, entry.dag_run_id)
        )
    )
    links = site.airflow.extra_links(SYNC, run.dag_run_id, "transfer.upload", map_index=0)
    (address,) = links.values()
    guid = address.rpartition("/")[2]
    assert address.startswith(site.plant.wats.url)
    assert guid in site.plant.receipts
