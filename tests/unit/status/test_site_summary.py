from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from vte_wats.alerting.monitor_state import MonitorState
from vte_wats.config.sites import Site
from vte_wats.health import Stored
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.history import History
from vte_wats.status.site_reader import DagRunSnapshot, SiteSnapshot
from vte_wats.status.site_summary import site_status
from vte_wats.wats.rate_limiter import BudgetUsage

NOW_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
SITE = Site()


def a_dag_run(state: str, kind: str = "sync") -> DagRunSnapshot:
    from_at, to_at = NOW_AT - timedelta(minutes=60), NOW_AT - timedelta(minutes=55)
    return DagRunSnapshot(SITE.dag_id(kind), "r", state, "scheduled", from_at, to_at, to_at, to_at, to_at)


def status_of(run: DagRunSnapshot, covered_until: datetime, settle_delay_s: int = 60):
    begin_at = NOW_AT - timedelta(days=1)
    state = State(since_at=begin_at, coverage=(Interval(begin_at, covered_until),))
    history = History(settled_at=NOW_AT, settle_delay_s=settle_delay_s)
    snapshot = SiteSnapshot(Stored(state, history), MonitorState(), BudgetUsage(), None, False, [], [run], [], None)
    return site_status(SITE, snapshot, NOW_AT)


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
