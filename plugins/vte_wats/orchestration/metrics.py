"""What settle writes for people to look at: the history, and metrics through Airflow's own StatsD or OpenTelemetry.

Nothing that is transferred depends on it. docs/metrics.md lists the names of the metrics. StatsD knows no tags, so a
named site's metrics have its name in theirs: ``vte_wats_oslo.runs.uploaded``.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from airflow.sdk.observability import stats

from vte_wats.config.settings import Settings
from vte_wats.config.sites import Site
from vte_wats.domain.report import RequestStats, UploadResult
from vte_wats.health import Stored, health
from vte_wats.intervals.wall_clock import wall_clock
from vte_wats.orchestration.resources import storage_of
from vte_wats.orchestration.variables import HISTORY, Variables
from vte_wats.state.coverage import State
from vte_wats.state.history import History, Tally, quantile_ms
from vte_wats.state.proof import Cause, Proof
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.retention import Removed

_RECENT = timedelta(hours=1)


def sent(site: Site, request_stats: RequestStats) -> None:
    """Count the requests of one task, whether it succeeded or not."""
    stats.incr(_name(site, "requests"), request_stats.requests)
    stats.gauge(_name(site, "budget_per_minute"), request_stats.budget_per_minute)


def transferred(site: Site, result: UploadResult) -> None:
    """Count what became of the runs of one slice."""
    for outcome, runs in result.outcomes.items():
        stats.incr(_name(site, f"runs.{outcome}"), runs)


def settled(site: Site, state: State, history: History, now_at: datetime) -> None:
    """Send how far behind the site is, and how long the uploads of the last hours took."""
    stats.gauge(_name(site, "lag_s"), history.behind(state, now_at).total_seconds())
    stats.gauge(_name(site, "runs_waiting"), history.runs_waiting(state))
    stats.gauge(_name(site, "gaps"), len(state.gaps()))
    stats.gauge(_name(site, "dead_letters"), history.dead_letters)
    latency_ms = history.since(now_at - 2 * _RECENT).latency_ms
    for name, share in {"upload_p50_ms": 0.5, "upload_p95_ms": 0.95}.items():
        latency = quantile_ms(latency_ms, share)
        if latency is not None:
            stats.gauge(_name(site, name), latency)


def compared(site: Site, state: State, proof: Proof, zone: ZoneInfo, now_at: datetime) -> None:
    """Send what the comparisons have proven so far; the age of what is proven counts from the first day without any."""
    since = wall_clock(state.since_at, zone).date()
    through = proof.proven_through(since, zone)
    proven_to = datetime.combine(since if through is None else through + timedelta(days=1), time(), tzinfo=zone)
    stats.gauge(_name(site, "proven_age_s"), (now_at - proven_to).total_seconds())
    stats.gauge(_name(site, "runs_open"), sum(day.open for day in proof.days.values()))
    stats.gauge(_name(site, "runs_gone"), sum(gone.runs for gone in proof.gone.values()))
    stats.gauge(_name(site, "runs_odd"), sum(proof.odd_open.values()))
    causes = proof.differences[max(proof.differences)] if proof.differences else {}
    for cause in Cause:
        stats.gauge(_name(site, f"reports_{cause}"), causes.get(cause, 0))


def removed(site: Site, files: Removed) -> None:
    """Count what was removed because it was older than it may be."""
    for kind, number in asdict(files).items():
        stats.incr(_name(site, f"removed_{kind}"), number)


def _name(site: Site, metric: str) -> str:
    return f"{site.settings_variable}.{metric}"


log = logging.getLogger(__name__)


def settled_history(
    context: Any,
    settings: Settings,
    history: History,
    after: State,
    results: Sequence[UploadResult],
    *,
    is_current: bool,
) -> History:
    """Return the history with what the uploads of this DAG run transferred, counted once.

    ``is_current`` says that it is a sync: a comparison or a backfill is no sign that the sync is alive.
    """
    dag_run, now_at = context["dag_run"], datetime.now(UTC)
    budget = max((result.budget_per_minute for result in results), default=0)
    history = history.settled(
        f"{context['dag'].dag_id}/{dag_run.run_id}", now_at, Tally.of(results), budget_per_minute=budget or None
    ).seen(None, after.coverage)
    if not is_current:
        return history
    from_at, to_at = dag_run.data_interval_start, dag_run.data_interval_end
    interval_s = int((to_at - from_at).total_seconds()) if dag_run.run_type == "scheduled" and from_at else None
    return history.synced(now_at, interval_s, settings.settle_delay_s)


def write_history(context: Any, site: Site, settings: Settings, state: State, history: History) -> None:
    """Write the history and send the metrics; a dry run leaves both alone. Only settle may do so."""
    if context["params"]["dry_run"]:
        return
    dead_letters = len(DeadLetters(storage_of(site, settings)).guids())
    history = history.model_copy(update={"dead_letters": dead_letters})
    Variables(site).save(HISTORY, history)
    now_at = datetime.now(UTC)
    settled(site, state, history, now_at)
    # What a sync knows of the site: whether the monitor checks anything is not its to say.
    log.info("%s", health([Stored(state, history, checked_at=now_at)], now_at))
