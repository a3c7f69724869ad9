"""History, named runs and dead letters on a real Airflow: what is transferred, what survives, and who goes first."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.airflow_stack import AirflowStack
from sandbox.environment import SandboxEnvironment
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1800)]

SYNC, BACKFILL = "vte_wats_sync", "vte_wats_backfill"
BUDGET = 6_000  # requests a minute
SLICES = 4  # of a part
LONG_AGO = timedelta(days=30)


class Site:
    """A plant with history, and an Airflow whose sync began a quarter of an hour ago."""

    def __init__(self, plant: SandboxEnvironment, airflow: AirflowStack, began_at: datetime) -> None:
        self.plant, self.airflow, self.began_at = plant, airflow, began_at

    def backfill(self, expected: str = "success", **form: Any) -> str:
        """Trigger a backfill, wait until its last part has ended, and return its first run's id."""
        dag_run_id = self.airflow.trigger(BACKFILL, conf=form)
        self.await_parts(dag_run_id, expected)
        return dag_run_id

    def await_parts(self, dag_run_id: str, expected: str = "success") -> None:
        wait_until(
            lambda: (parts := self.parts(dag_run_id)) and not {part.state for part in parts} & {"queued", "running"},
            "the last part to end",
            timeout_s=600,
        )
        assert [found_part.state for found_part in self.parts(dag_run_id)][-1] == expected, self.log(dag_run_id, "plan")

    def parts(self, dag_run_id: str) -> list[Any]:
        return [found_run for found_run in self.airflow.runs(BACKFILL) if found_run.dag_run_id.startswith(dag_run_id)]

    def log(self, dag_run_id: str, task_id: str) -> str:
        return self.airflow.task_log(BACKFILL, dag_run_id, task_id)

    def scheduled(self) -> dict[str, str]:
        """Return the state of each sync of the schedule."""
        return {run.dag_run_id: run.state for run in self.airflow.runs(SYNC) if run.run_type == "scheduled"}

    def sync(self) -> str:
        dag_run_id = self.airflow.trigger(SYNC)
        assert self.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600) == "success"
        return dag_run_id

    def load(self, age: timedelta, runs: int, *, steps: int = 3, oddities: tuple[str, ...] = ()) -> set[str]:
        """Commit runs of the hour that ended so long ago, no second of it still under way; return their GUIDs."""
        before, end = self.plant.source, datetime.now(UTC).replace(microsecond=0) - timedelta(seconds=1) - age
        begin = end - (timedelta(hours=1) if age else timedelta(seconds=30))
        self.plant.factory_data.load(
            self.plant.db, start=begin, end=end, runs=runs, steps=steps, oddities=list(oddities)
        )
        return self.plant.source - before

    @property
    def state(self) -> dict[str, Any]:
        return json.loads(self.airflow.variable("vte_wats_state") or "{}")

    @property
    def progress(self) -> dict[str, Any]:
        return json.loads(self.airflow.variable("vte_wats_backfill") or "{}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, repository: Path, empty_metadata: Path) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("site")
    began_at = datetime.fromtimestamp(time.time() // 300 * 300, UTC) - timedelta(minutes=15)
    plant = SandboxEnvironment(requests_per_minute=BUDGET)
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
                "AIRFLOW__VTE_WATS__RETRIES": "2",
                "AIRFLOW__VTE_WATS__RETRY_DELAY_S": "1",
                "AIRFLOW__VTE_WATS__BACKFILL_SLICES": str(SLICES),
            },
            pools={"wats_api": 1, "vte_wats_state": 1, "vte_read": 2, "vte_survey": 1},
            connections=plant.connections,
            variables={"vte_wats": json.dumps(settings)},
        ) as airflow,
    ):
        assert airflow.import_errors() == []
        airflow.unpause(SYNC)
        airflow.unpause(BACKFILL)
        yield Site(plant, airflow, began_at)


def interval(age: timedelta, hours: float = 3) -> dict[str, str]:
    """Return the form's edges of an interval around the hour that ended so long ago."""
    middle = datetime.now(UTC) - age - timedelta(minutes=30)
    reach = timedelta(hours=hours / 2)
    return {"from": (middle - reach).isoformat(), "to": (middle + reach).isoformat()}


def test_the_preflight_reports_on_vte_and_wats(site):
    dag_run_id = site.airflow.trigger("vte_wats_preflight")
    site.airflow.unpause("vte_wats_preflight")
    assert site.airflow.wait_for_run("vte_wats_preflight", dag_run_id, timeout_s=600) == "success"
    findings = {name: site.airflow.xcom("vte_wats_preflight", dag_run_id, name)["findings"] for name in ("vte", "wats")}
    assert "reads snapshots: takes no locks and waits for none" in [finding["text"] for finding in findings["vte"]]
    assert [wat["level"] for wat in findings["wats"]] == ["good"]
    assert "on IndexData starts with Timestamp" in site.airflow.task_log("vte_wats_preflight", dag_run_id, "vte")


def test_a_wrong_form_is_refused_with_the_reasons_before_anything_is_read(site):
    dag_run_id = site.backfill(
        "failed", **{"from": "2026-03-02T06:00:00Z", "to": "2026-03-01T06:00:00Z"}, dead_letters="all"
    )
    log = site.log(dag_run_id, "plan")
    assert "from and to, dead_letters are given: choose one of them" in log
    assert "nothing was started" in log
    assert not any(task.task_id.startswith("transfer") and task.state == "success" for task in tasks(site, dag_run_id))


def tasks(site: Site, dag_run_id: str) -> list[Any]:
    return site.airflow.task_instances(BACKFILL, dag_run_id)


def test_a_dry_run_counts_estimates_and_shows_what_mapping_would_do(site):
    odd = ("blank_serial", "unmapped_testplan", "overlong_texts")
    loaded = site.load(LONG_AGO, 40, oddities=odd)
    dag_run_id = site.backfill(**interval(LONG_AGO), dry_run=True)
    summary = site.airflow.xcom(BACKFILL, dag_run_id, "trigger_next_part", key="summary")
    assert (summary["runs"], summary["transferred"]) == (len(loaded), len(loaded))
    assert summary["estimate_s"] >= len(loaded) * 60 // BUDGET
    assert summary["preview"]["dead"]["serial is blank"]["examples"][0] in loaded
    assert sum(found_entry["runs"] for found_entry in summary["preview"]["held"].values()) >= 1
    assert sum(entry["runs"] for entry in summary["preview"]["shortened"].values()) >= 1
    assert "held: 2 runs" in site.log(dag_run_id, "trigger_next_part")
    assert not loaded & site.plant.receipts.keys()
    assert site.progress["ended_at"]


def test_an_interval_goes_on_from_part_to_part_and_becomes_coverage_without_moving_last_sync(site):
    site.sync()
    last_sync = site.state["lastSync"]
    form = interval(LONG_AGO)
    dag_run_id = site.backfill(**form, batch_size=4)
    assert len(site.parts(dag_run_id)) >= 2
    due = {guid for guid in site.plant.source if guid not in site.plant.receipts}
    kinds = {dead_letter["kind"] for dead_letter in dead_letters(site).values()}
    assert due == dead_letters(site).keys()
    assert kinds == {"dead", "held"}
    assert set(site.plant.receipts.values()) == {1}
    covered = [(item["from"], item["to"]) for item in site.state["coverage"]]
    begin, end = (datetime.fromisoformat(form[edge]).replace(microsecond=0) for edge in ("from", "to"))
    assert any(datetime.fromisoformat(a) <= begin and end <= datetime.fromisoformat(b) for a, b in covered)
    assert site.state["lastSync"] >= last_sync
    assert datetime.fromisoformat(site.state["lastSync"]) >= site.began_at
    assert site.progress["remaining_s"] == 0
    assert site.progress["transferred"] == site.progress["runs"]


def dead_letters(site: Site) -> dict[str, dict]:
    storage = Path(json.loads(site.airflow.variable("vte_wats"))["storage_path"].removeprefix("file://"))
    return {path.stem: json.loads(path.read_text()) for path in storage.glob("dead_letters/*.json")}


def test_named_runs_are_transferred_and_one_that_is_not_in_vte_is_reported(site):
    loaded = site.load(timedelta(days=60), 6)
    unknown = "00000000-0000-0000-0000-00000000dead"
    dag_run_id = site.backfill(guids=[*sorted(loaded)[:3], unknown], expected="failed")
    assert set(sorted(loaded)[:3]) <= site.plant.receipts.keys()
    assert not set(sorted(loaded)[3:]) & site.plant.receipts.keys()
    assert "VW624 1 of 1 slices found fewer runs than planned" in site.log(dag_run_id, "check_part")


def test_a_backfill_goes_on_after_the_scheduler_and_all_its_tasks_were_killed(site):
    age = timedelta(days=45)
    loaded = site.load(age, 60)
    dag_run_id = site.airflow.trigger(BACKFILL, conf={**interval(age), "batch_size": 5})
    wait_until(lambda: len(loaded & site.plant.receipts.keys()) >= 10, "ten reports")
    site.airflow.kill_component("scheduler")
    assert not loaded <= site.plant.receipts.keys()
    site.airflow.start_component("scheduler")
    site.await_parts(dag_run_id)
    assert loaded <= site.plant.receipts.keys()
    assert site.progress["transferred"] == len(loaded)


def test_airflows_own_backfill_transfers_intervals_from_before_the_start_date(site):
    end = site.began_at - timedelta(hours=2)
    before = site.plant.source
    site.plant.factory_data.load(site.plant.db, start=end - timedelta(minutes=14), end=end, runs=12, steps=3)
    loaded = site.plant.source - before
    edges = [
        "--from-date",
        (end - timedelta(minutes=15)).isoformat(),
        "--to-date",
        (end - timedelta(minutes=5)).isoformat(),
    ]
    site.airflow.command("backfill", "create", "--dag-id", SYNC, *edges, "--max-active-runs", "2")

    def transferred() -> list[str]:
        return [run.state for run in site.airflow.runs(SYNC) if run.run_type == "backfill"]

    wait_until(lambda: len(transferred()) == 3 and set(transferred()) <= {"success", "failed"}, "three intervals")
    assert transferred() == ["success"] * 3
    assert loaded <= site.plant.receipts.keys()
    assert len(site.state["coverage"]) >= 2


def test_ten_thousand_runs_of_history_leave_the_live_sync_its_place(site):
    """Whoever goes first shows in what WATS received between a live report being ready and its arrival."""
    age, size = timedelta(days=90), 1_000
    history = site.load(age, 10_000, steps=2)
    site.plant.wats.log.clear()
    dag_run_id = site.airflow.trigger(BACKFILL, conf={**interval(age), "batch_size": size})
    wait_until(
        lambda: site.progress.get("dag_run_id") == dag_run_id and site.progress["transferred"] > 0, "a slice of history"
    )
    waited = []
    while len(waited) < 3:
        scheduled = site.scheduled()
        live = site.load(timedelta(), 5)
        sync_id = site.sync()
        assert live <= site.plant.receipts.keys()
        if site.progress["ended_at"]:
            break  # nothing of the history was waiting any more
        if site.scheduled() == scheduled and "running" not in scheduled.values():  # it may upload live runs, too
            waited.append(posts_of_history_before(site, sync_id, live))
    assert waited, "the backfill was over too early for this test to show anything"
    site.await_parts(dag_run_id)
    assert history <= site.plant.receipts.keys()
    assert max(waited) <= 2 * size, waited  # the slice under way, and one that was chosen at the same moment
    assert site.plant.wats.log.requests_in_worst_minute() <= BUDGET
    assert site.plant.wats.log.find(status=429) == []


def posts_of_history_before(site: Site, sync_id: str, live: set[str]) -> int:
    """Count the reports that arrived after the live ones were mapped and before the first of them did."""
    mapped = [
        instance for instance in site.airflow.task_instances(SYNC, sync_id) if instance.task_id == "transfer.map_runs"
    ]
    ready_at = max(known_entry.end for known_entry in mapped)
    posts = [request for request in site.plant.wats.log if request.method == "POST"]
    first_at = min(found_post.at for found_post in posts if found_post.report_id in live)
    return sum(1 for post in posts if ready_at <= post.at < first_at)
