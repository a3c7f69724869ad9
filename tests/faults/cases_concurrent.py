"""Several syncs at once: out of order, side by side, over the same hours, under two schedulers."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from random import Random

from tests.faults.accounts import Explained
from tests.faults.case import Case
from tests.faults.cases_sql import STEPS
from tests.faults.cases_wats import POST
from tests.faults.site import SYNC, Site

INTERVAL = timedelta(seconds=4)


def _three_intervals(site: Site) -> list[tuple[datetime, datetime]]:
    """Commit runs into three intervals that follow the watermark, which are over when this returns."""
    site.set(guard_band_s=0)  # so that no interval looks into the one before
    site.sync()
    begin_at = datetime.fromisoformat(site.last_sync or "")
    end_at = begin_at + 3 * INTERVAL
    time.sleep(max(0.0, (end_at - datetime.now(UTC)).total_seconds() + 1))
    site.load_between(begin_at, end_at, runs=30)
    return [(begin_at + n * INTERVAL, begin_at + (n + 1) * INTERVAL) for n in range(3)]


def _instant(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _gap(site: Site, random: Random) -> Explained:
    """An interval fails between two that succeed: the watermark waits before it, and the next sync fills the gap."""
    intervals = _three_intervals(site)
    (first_from, first_to), _, (_, last_to) = intervals
    for number, interval in enumerate(intervals):
        if number == 1:
            site.break_wats("status", status=403, method="POST", path=POST)
        dag_run_id = site.start_interval(*interval)
        state = site.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600)
        site.story.states.append(state)
        site.fix()
        if state != ("failed" if number == 1 else "success"):
            site.violations.append(f"interval {number + 1} ended as {state}")
        if site.last_sync != _instant(last_to if number == 2 else first_to):
            site.violations.append(f"lastSync is {site.last_sync} after interval {number + 1}, from {first_from}")
    site._watermark = site.last_sync
    return Explained()


def _out_of_order(site: Site, random: Random) -> Explained:
    """Three intervals at once, and the first one ends last."""
    intervals = _three_intervals(site)
    first_from = intervals[0][0]
    local = first_from.astimezone(site.zone).replace(tzinfo=None).isoformat()
    site.break_vte("deadlock", match=rf"{STEPS}[\s\S]*{local}", times=3)
    first, *others = [site.start_interval(*interval) for interval in intervals]
    for dag_run_id in reversed(others):
        site.story.states.append(site.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600))
    before = site.last_sync
    site.story.states.append(site.airflow.wait_for_run(SYNC, first, timeout_s=600))
    if set(site.story.states[1:]) != {"success"}:
        site.violations.append("not every sync succeeded")
    if before != _instant(first_from):
        site.violations.append(f"lastSync was {before} while the first interval was under way")
    if site.last_sync != _instant(intervals[-1][1]):
        site.violations.append(f"lastSync is {site.last_sync} at the end")
    return Explained()


def _twins_side_by_side(site: Site, random: Random) -> Explained:
    """Two runs that WATS takes for one are uploaded at the same moment, by two tasks."""
    site.airflow.set_pool("wats_api", 2)
    site.connect(timeout_s=60, concurrent_tasks=2)
    site.set(batch_size=1)
    site.load(1, oddities=("natural_key_twins",))
    twins = frozenset(guid.lower() for guid in site.loaded.guids_by_oddity["natural_key_twins"])
    earlier, later = sorted(twins)
    (ended,) = site.plant.db.query('SELECT "Timestamp" FROM "IndexData" WHERE "Index_GUID" = ?', [later])[0]
    ended = ended.replace(microsecond=0)
    for guid, back_s in ((later, 0), (earlier, 5)):  # one start, but not one second, so not one slice
        site.plant.db.query(
            'UPDATE "IndexData" SET "Timestamp" = ?, "TestTime" = ? WHERE "Index_GUID" = ?',
            [ended - timedelta(seconds=back_s), 20.0 - back_s, guid],
        )
    site.break_wats("stall", path="serialnumber in", delay_s=30.0, times=3)
    dag_run_id = site.sync()
    uploads = [
        instance for instance in site.airflow.task_instances(SYNC, dag_run_id) if instance.task_id == "transfer.upload"
    ]
    moments = sorted((upload.start, upload.end) for upload in uploads if upload.start and upload.end)
    if not any(first[1] > second[0] for first, second in pairwise(moments)):
        site.violations.append("no two uploads ran at the same time, so the case shows nothing")
    dead = frozenset(site.dead_letters)
    if not dead or not dead <= twins:
        site.violations.append(f"dead letters are {sorted(dead)}")
    for guid in dead:
        (other,) = twins - {guid}
        if other not in site.dead_letters[guid]["reason"]:
            site.violations.append("a dead letter does not name the other run")
    return Explained(dead=dead)


def _two_schedulers(site: Site, random: Random) -> Explained:
    """Two schedulers share the work of three syncs; one of them is killed in the middle, with its tasks."""
    site.set(batch_size=10)
    intervals = _three_intervals(site)
    site.set(batch_size=10, guard_band_s=0)
    second = site.second_scheduler()
    second.start()
    try:
        site.airflow._wait_for_heartbeats(newer_than=time.time())
        number = site.break_wats("stall", path=POST, after=5, times=4, delay_s=2.0)
        runs = [site.start_interval(*interval) for interval in intervals]
        site.wait_for_wats_fault(number)
        site.airflow.kill_component("scheduler")
        site.story.states += [site.airflow.wait_for_run(SYNC, dag_run_id, timeout_s=600) for dag_run_id in runs]
        site.airflow.start_component("scheduler")
    finally:
        second.stop(grace_s=60)
    if set(site.story.states[1:]) != {"success"}:
        site.violations.append("not every sync succeeded")
    if site.last_sync != _instant(intervals[-1][1]):
        site.violations.append(f"lastSync is {site.last_sync} at the end")
    return Explained(again=dict.fromkeys(site.plant.source, 2))


def _backfill(site: Site, random: Random) -> Explained:
    """Scheduled syncs every minute, three at once, and a backfill over the very same minutes while stations write."""
    end_at = datetime.now(UTC).replace(second=0, microsecond=0)
    begin_at = end_at - timedelta(minutes=6)
    site.load_between(begin_at, end_at, runs=90)
    site.airflow.unpause(SYNC)
    site.backfill(begin_at, end_at)
    for _ in range(4):
        site.load(10)
        time.sleep(10)
    loaded_at = _instant(datetime.now(UTC).replace(microsecond=0))
    site.wait_until(lambda: (site.last_sync or "") > loaded_at, "lastSync to pass what was written", timeout_s=600)
    site.wait_until(lambda: not site.busy_with("backfill"), "the backfill to end", timeout_s=600)
    site.airflow.pause(SYNC)  # what is queued stays so
    site.wait_until(lambda: not site.busy_with("scheduled", "running"), "the syncs to end", timeout_s=600)
    runs = [
        known_run
        for known_run in site.airflow.runs(SYNC)
        if known_run.start and known_run.start > begin_at and known_run.state != "queued"
    ]
    again = [found_run for found_run in runs if found_run.run_type == "backfill"]
    site.story.states.append(f"{len(runs) - len(again)} scheduled, {len(again)} by backfill")
    if not again:
        site.violations.append("the backfill ran nothing")
    if failed := [run.dag_run_id for run in runs if run.state != "success"]:
        site.violations.append(f"not every sync succeeded: {failed}")
    return Explained(again=dict.fromkeys(site.plant.source, 4))


CASES = (
    Case("concurrent.gap", "an interval fails between two that succeed", _gap, short=True),
    Case("concurrent.out-of-order", "three intervals at once, the first ends last", _out_of_order),
    Case(
        "concurrent.twins",
        "two runs that WATS takes for one, uploaded at the same moment",
        _twins_side_by_side,
        short=True,
    ),
    Case("concurrent.two-schedulers", "two schedulers; one is killed in mid upload", _two_schedulers),
    Case(
        "concurrent.backfill",
        "a backfill over the minutes of the live syncs, while stations write",
        _backfill,
        live=True,
    ),
)
