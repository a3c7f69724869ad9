"""The main job on a real Airflow: scheduler, API server, PostgreSQL, SQL Server wire, WATS wire."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from sandbox.airflow_stack import AirflowStack
from sandbox.environment import SandboxEnvironment
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

SYNC = "vte_wats_sync"
RUNS = 40


class Site:
    """A plant and an Airflow that syncs it, and what a test asks about both."""

    def __init__(self, plant: SandboxEnvironment, airflow: AirflowStack, storage: Path) -> None:
        self.plant, self.airflow, self.storage = plant, airflow, storage

    def sync(self, expected: str = "success", **conf: bool) -> dict[str, int]:
        """Trigger a sync from the watermark to now; return the counts of its settle task."""
        dag_run_id = self.airflow.trigger(SYNC, conf=conf)
        state = self.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600)
        assert state == expected, self.failure(dag_run_id)
        return self.airflow.xcom(SYNC, dag_run_id, "settle") or {}

    def failure(self, dag_run_id: str) -> str:
        return "\n".join(
            self.airflow.task_log(SYNC, dag_run_id, instance.task_id, instance.map_index, instance.try_number)[-2000:]
            for instance in self.airflow.task_instances(SYNC, dag_run_id)
            if instance.state == "failed"
        )

    @property
    def dead_letters(self) -> dict[str, dict]:
        return {path.stem: json.loads(path.read_text()) for path in self.storage.glob("dead_letters/*.json")}

    @property
    def last_sync(self) -> str:
        return json.loads(self.airflow.variable("vte_wats_state"))["lastSync"]

    def load(self, minutes_ago: float, runs: int = 5, oddities: tuple[str, ...] = ()) -> set[str]:
        """Commit runs of the minute that ended then, before the second that is not over yet; return their GUIDs."""
        before = self.plant.source
        end = datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1, minutes=minutes_ago)
        self.plant.factory_data.load(
            self.plant.db, start=end - timedelta(minutes=1), end=end, runs=runs, steps=6, oddities=list(oddities)
        )
        return self.plant.source - before


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, repository: Path, empty_metadata: Path) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("site")
    began_at = datetime.fromtimestamp(time.time() // 300 * 300, UTC) - timedelta(minutes=15)
    plant = SandboxEnvironment()
    plant.factory_data.load(plant.db, start=began_at, end=datetime.now(UTC), runs=RUNS, steps=6)
    settings = plant.factory_data.settings(storage_path=f"file://{home}/storage", settle_delay_s=0)
    with (
        plant,
        AirflowStack(
            home=home / "airflow",
            template_folder=empty_metadata,
            dags_folder=repository / "dags",
            plugins_folder=repository / "plugins",
            env={
                "AIRFLOW__VTE_WATS__START_DATE": began_at.isoformat(),
                "AIRFLOW__VTE_WATS__SCHEDULE": _three_intervals_since(began_at),
                "AIRFLOW__VTE_WATS__RETRIES": "1",
                "AIRFLOW__VTE_WATS__RETRY_DELAY_S": "1",
            },
            pools={"wats_api": 1, "vte_wats_state": 1, "vte_read": 2},
            connections=plant.connections,
            variables={"vte_wats": json.dumps(settings)},
        ) as airflow,
    ):
        assert airflow.import_errors() == []
        airflow.unpause(SYNC)
        yield Site(plant, airflow, home / "storage")


def _three_intervals_since(began_at: datetime) -> str:
    """Return a schedule whose intervals are over: a new one in the middle of a test would do what the test is about."""
    edges = [began_at + timedelta(minutes=5 * n) for n in range(4)]
    fields = (sorted({getattr(at, unit) for at in edges}) for unit in ("minute", "hour", "day", "month"))
    return " ".join(",".join(map(str, values)) for values in fields) + " *"


def test_catchup_transfers_the_fresh_runs_of_every_interval(site):
    wait_until(lambda: len(done_intervals(site)) >= 3, "three intervals")
    zone = ZoneInfo(site.plant.factory_data.timezone)
    until = datetime.fromisoformat(site.last_sync).astimezone(zone).replace(tzinfo=None)
    due = site.plant.db.query('SELECT "Index_GUID" FROM "IndexData" WHERE "Timestamp" < ?', [until])
    assert {str(guid).lower() for (guid,) in due} <= site.plant.receipts.keys()
    site.sync()
    assert site.plant.receipts.keys() == site.plant.source
    assert set(site.plant.receipts.values()) == {1}


def done_intervals(site: Site) -> list[str]:
    return [run.dag_run_id for run in site.airflow.runs(SYNC) if run.state == "success" and run.run_type == "scheduled"]


def test_a_second_sync_uploads_nothing(site):
    before = site.plant.receipts
    dag_run_id = done_intervals(site)[-1]
    site.airflow.clear(SYNC, dag_run_id)
    assert site.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600) == "success"
    counts = site.airflow.xcom(SYNC, dag_run_id, "settle")
    assert counts["unchanged"] > 0
    assert counts["uploaded"] == counts["replaced"] == 0
    assert site.plant.receipts == before


def test_a_run_already_uploaded_is_skipped_with_one_line_that_names_it(site):
    dag_run_id = done_intervals(site)[-1]
    log = site.airflow.task_log(SYNC, dag_run_id, "transfer.upload", map_index=0, try_number=tries(site, dag_run_id))
    guid = next(guid for guid in site.plant.source if f"Run {guid}" in log)
    assert f"Run {guid} already uploaded, skipping" in log


def tries(site: Site, dag_run_id: str) -> int:
    return next(
        found_instance.try_number
        for found_instance in site.airflow.task_instances(SYNC, dag_run_id)
        if found_instance.task_id == "transfer.upload"
    )


def test_a_late_run_is_picked_up_by_the_guard_band(site):
    late = site.load(minutes_ago=5)
    assert not late & site.plant.receipts.keys()
    site.sync()
    assert late <= site.plant.receipts.keys()


def test_a_run_whose_steps_came_later_is_replaced_under_the_same_id(site):
    guid = min(site.load(minutes_ago=0, runs=1))
    site.sync()
    steps = len(site.plant.wats.store.report(guid)["root"]["steps"])
    site.plant.db.insert_rows(
        {"TestDataNumeric": [{"Index_GUID": guid, "TestStepNumber": 900, "TestName": "Late", "TestResult": 1.0}]}
    )
    assert site.sync()["replaced"] == 1
    assert len(site.plant.wats.store.report(guid)["root"]["steps"]) == steps + 1
    assert site.plant.receipts[guid] == 2
    assert Counter(site.plant.receipts.keys())[guid] == 1


def test_a_bad_run_becomes_a_dead_letter_while_the_rest_goes_on(site):
    loaded = site.load(minutes_ago=0, runs=4, oddities=("blank_serial", "unmapped_testplan"))
    counts = site.sync()
    dead_letters = {guid: dead_letter for guid, dead_letter in site.dead_letters.items() if guid in loaded}
    assert {dead_letter["kind"] for dead_letter in dead_letters.values()} == {"dead", "held"}
    assert counts["dead"] >= 1
    assert counts["held"] >= 1
    assert loaded - dead_letters.keys() <= site.plant.receipts.keys()
    assert not dead_letters.keys() & site.plant.receipts.keys()


def test_a_held_run_goes_through_by_itself_once_the_setting_is_there(site):
    held = {guid for guid, dead_letter in site.dead_letters.items() if dead_letter["kind"] == "held"}
    assert held
    settings = json.loads(site.airflow.variable("vte_wats"))
    settings["process_map"]["*"] = 100
    site.airflow.set_variable("vte_wats", json.dumps(settings))
    site.sync()
    assert held <= site.plant.receipts.keys()
    assert not held & site.dead_letters.keys()


def test_wats_down_leaves_the_watermark_and_wats_up_again_loses_nothing(site):
    site.sync()
    watermark = site.last_sync
    waiting = site.load(minutes_ago=0)
    site.plant.wats.stop()
    site_run = site.airflow.trigger(SYNC)
    assert site.airflow.wait_for_run(SYNC, site_run, timeout_s=600) == "failed"
    assert site.last_sync == watermark
    site.plant.wats.start()
    site.airflow.clear(SYNC, site_run, only_failed=True)
    assert site.airflow.wait_for_run(SYNC, site_run, timeout_s=600) == "success"
    assert waiting <= site.plant.receipts.keys()
    assert site.last_sync > watermark


def test_a_dry_run_posts_nothing_and_moves_nothing(site):
    site.sync()
    site.load(minutes_ago=0)
    before, watermark = site.plant.receipts, site.last_sync
    dag_run_id = site.airflow.trigger(SYNC, conf={"dry_run": True})
    assert site.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600) == "success"
    assert site.airflow.xcom(SYNC, dag_run_id, "settle")["uploaded"] == 5
    assert site.plant.receipts == before
    assert site.last_sync == watermark


def test_force_posts_unchanged_reports_again(site):
    site.sync()
    before = site.plant.receipts
    counts = site.sync(force=True)
    assert counts["replaced"] > 0
    assert sum(site.plant.receipts.values()) >= sum(before.values()) + counts["replaced"]


def test_a_run_older_than_every_window_is_found_by_the_daily_comparison(site):
    ancient = site.load(minutes_ago=60 * 24 * 365 * 20)
    dag_run_id = site.airflow.trigger("vte_wats_reconcile", conf={"days": 0})
    site.airflow.unpause("vte_wats_reconcile")
    assert site.airflow.wait_for_run("vte_wats_reconcile", dag_run_id, timeout_s=600) == "success"
    assert ancient <= site.plant.receipts.keys()


def test_a_dead_letter_goes_through_once_its_run_is_corrected_and_driven_again(site):
    guid, dead_letter = next(
        (g, dead_letter)
        for g, dead_letter in site.dead_letters.items()
        if dead_letter["signature"] == "serial is blank"
    )
    unit = site.plant.db.query('SELECT "Uut_GUID" FROM "IndexData" WHERE "Index_GUID" = ?', [guid])[0][0]
    site.plant.db.query('UPDATE "UutData" SET "Serial" = ? WHERE "Uut_GUID" = ?', ["SN-CORRECTED", unit])
    dag_run_id = site.airflow.trigger("vte_wats_backfill", conf={"dead_letters": dead_letter["signature"]})
    site.airflow.unpause("vte_wats_backfill")
    assert site.airflow.wait_for_run("vte_wats_backfill", dag_run_id, timeout_s=600) == "success"
    assert guid not in site.dead_letters
    assert site.plant.wats.store.report(guid)["sn"] == "SN-CORRECTED"


def test_both_connections_answer_the_test_button(site):
    for conn_id in ("vte_default", "wats_default"):
        worked, message = site.airflow.test_connection(conn_id)
        assert worked, message


def test_at_the_end_every_run_is_in_wats_once_or_a_dead_letter(site):
    site.sync()
    assert site.plant.receipts.keys() | site.dead_letters.keys() == site.plant.source
    assert not site.plant.receipts.keys() & site.dead_letters.keys()
    assert site.plant.wats.store.quarantined() == []
