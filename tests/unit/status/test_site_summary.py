from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vte_wats.alerting.monitor_state import MonitorState
from vte_wats.config.sites import Site
from vte_wats.domain.run import Outcome
from vte_wats.health import Stored
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.history import History
from vte_wats.status.site_reader import DagRunSnapshot, SiteSnapshot
from vte_wats.status.site_summary import site_status, site_summary
from vte_wats.wats.rate_limiter import BudgetUsage

NOW_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
SITE = Site()


def a_dag_run(state: str, kind: str = "sync", **fields: Any) -> DagRunSnapshot:
    from_at, to_at = NOW_AT - timedelta(minutes=60), NOW_AT - timedelta(minutes=55)
    return DagRunSnapshot(
        SITE.dag_id(kind), "r", state, "scheduled", Interval(from_at, to_at), to_at, to_at, to_at, **fields
    )


def a_snapshot(state: State | None, run: DagRunSnapshot, settle_delay_s: int = 60) -> SiteSnapshot:
    history = History(settled_at=NOW_AT, settle_delay_s=settle_delay_s)
    unfinished = [] if run.state == "success" else [run]
    return SiteSnapshot(
        Stored(state, history), MonitorState(), BudgetUsage(), None, False, unfinished, [run], [run], None
    )


def status_of(run: DagRunSnapshot, covered_until: datetime, settle_delay_s: int = 60):
    begin_at = NOW_AT - timedelta(days=1)
    state = State(since_at=begin_at, coverage=(Interval(begin_at, covered_until),))
    return site_status(SITE, a_snapshot(state, run, settle_delay_s), NOW_AT)


@pytest.mark.parametrize(
    ("run", "covered_min", "shown"),
    [
        (a_dag_run("failed"), 56, "healed"),
        (a_dag_run("failed"), 57, "failed"),
        (a_dag_run("running"), 5, "running"),
        (a_dag_run("success"), 5, "success"),
        (a_dag_run("failed", "backfill"), 5, "failed"),
    ],
    ids=["covered since", "not covered", "at work", "well", "another DAG"],
)
def test_a_failed_sync_whose_time_others_covered_is_shown_as_healed(run, covered_min, shown):
    status = status_of(run, NOW_AT - timedelta(minutes=covered_min))
    assert status.recent[0].state == shown


def test_the_settle_delay_is_no_lag():
    assert status_of(a_dag_run("success"), NOW_AT - timedelta(minutes=61), 3_600).lag.behind_s == 60


@pytest.mark.parametrize(
    ("conf", "is_dry_run"),
    [({"dry_run": True}, True), ({"dry_run": False}, False), ({"force": True}, False), ({}, False), (None, False)],
    ids=["dry run", "none by the form", "triggered without it", "triggered without conf", "no conf"],
)
def test_a_dag_run_and_its_comparison_say_whether_they_were_dry_runs(conf, is_dry_run):
    status = status_of(a_dag_run("success", conf=conf, settled={"uploaded": 3, "held": 0}), NOW_AT)
    shown = [(run.dry_run, run.counts) for run in (*status.recent, *status.comparisons)]
    assert shown == [(is_dry_run, {Outcome.UPLOADED: 3})] * 2


@pytest.mark.parametrize(
    ("dry_run", "kinds"), [(True, ["complete", "waiting"]), (False, ["complete", "waiting", "running", "waiting"])]
)
def test_a_dry_run_works_on_no_interval(dry_run, kinds):
    run = a_dag_run("running", conf={"dry_run": dry_run})
    status = status_of(run, NOW_AT - timedelta(minutes=65))
    assert [segment.kind.value for segment in status.coverage.segments] == kinds


@pytest.mark.parametrize(("dry_run", "word"), [(True, "stopped"), (False, "behind")])
def test_a_dry_run_is_no_first_sync(dry_run, word):
    snapshot = a_snapshot(None, a_dag_run("running", conf={"dry_run": dry_run}))
    assert site_summary(SITE, snapshot, NOW_AT).assessment.status == word
