"""From what is stored to what the page shows. Pure: the clock is an argument."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from vte_wats.alerting.monitor_state import Condition, ServerCheck
from vte_wats.backfill.progress import Progress
from vte_wats.config.sites import Site
from vte_wats.domain.redaction import redact
from vte_wats.domain.run import Outcome
from vte_wats.health import Stored, assess
from vte_wats.intervals.interval import Interval, in_utc
from vte_wats.state.coverage import State
from vte_wats.state.history import History, quantile_ms
from vte_wats.status.api_models import (
    Backfill,
    Budget,
    Connectivity,
    DagRunLink,
    DagRunSummary,
    Lag,
    MeasuredProfile,
    OpenCondition,
    SiteStatus,
    SiteSummary,
    Uploads,
)
from vte_wats.status.charts import Unfinished, coverage_chart
from vte_wats.status.site_reader import KINDS, DagRunSnapshot, SiteSnapshot, of_now
from vte_wats.wats.profile import WatsProfile
from vte_wats.wats.rate_limiter import BudgetUsage

HEALED = "healed"
_AT_WORK = frozenset({"queued", "running"})


def site_summary(site: Site, snapshot: SiteSnapshot, now_at: datetime) -> SiteSummary:
    """Return one line of the list of sites."""
    state = snapshot.stored.state
    return SiteSummary(
        site=site.name,
        assessment=assess(snapshot.stored, now_at, is_paused=snapshot.is_paused, is_running=_is_running(snapshot)),
        last_sync=state and state.last_sync,
    )


def site_status(site: Site, snapshot: SiteSnapshot, now_at: datetime) -> SiteStatus:
    """Return everything about one site but its history and its dead letters, for a user who may see all of it."""
    state, history, monitor_state = snapshot.stored.state, snapshot.stored.history, snapshot.monitor_state
    return SiteStatus(
        site=site.name,
        now_at=now_at,
        assessment=site_summary(site, snapshot, now_at).assessment,
        lag=_lag(snapshot, now_at),
        coverage=state and coverage_chart(state, _unfinished(state, snapshot), now_at),
        uploads=_uploads(history, now_at),
        budget=_budget(snapshot, now_at),
        totals=state.totals if state else {},
        redriven=state.redriven if state else 0,
        dead_letters=history.dead_letters,
        conditions=[_open_condition(key, condition) for key, condition in monitor_state.open_conditions()],
        connectivity=Connectivity(
            checked_at=monitor_state.checked_at,
            vte=_redacted(monitor_state.vte),
            wats=_redacted(monitor_state.wats),
        ),
        recent=[_dag_run_summary(site, run, snapshot.stored) for run in snapshot.recent],
        comparisons=[_dag_run_summary(site, run, snapshot.stored) for run in snapshot.comparisons],
        backfill=_backfill(site, snapshot.backfill),
        problem=snapshot.problem,
        state_problem=snapshot.stored.state_problem,
        wats_profile=snapshot.wats_profile and _measured(snapshot.wats_profile),
    )


def for_user(found: SiteStatus, *, may_redrive: bool, may_read_logs: bool) -> SiteStatus:
    """Return a status as one user may see it: texts of errors and of runs need the right to read the logs of tasks."""
    if may_read_logs:
        return found.model_copy(update={"may_redrive": may_redrive})
    conditions = [
        condition.model_copy(update={"key": condition.key.partition(":")[0], "reason": ""})
        for condition in found.conditions
    ]
    connectivity = found.connectivity.model_copy(
        update={"vte": _code_alone(found.connectivity.vte), "wats": _code_alone(found.connectivity.wats)}
    )
    return found.model_copy(
        update={
            "may_redrive": may_redrive,
            "conditions": conditions,
            "connectivity": connectivity,
        }
    )


def _open_condition(key: str, condition: Condition) -> OpenCondition:
    return OpenCondition(
        key=redact(key),
        summary=redact(of_now(key, condition)),
        reason=redact(condition.reason),
        advice=redact(condition.advice),
        opened_at=condition.opened_at,
    )


def _redacted(check: ServerCheck | None) -> ServerCheck | None:
    return check and check.model_copy(update={"problem": check.problem and redact(check.problem)})


def _code_alone(check: ServerCheck | None) -> ServerCheck | None:
    """Return a check without the text of its error, in which the server and the connection may be named."""
    if check is None or check.problem is None:
        return check
    return check.model_copy(update={"problem": check.code})


def _measured(profile: WatsProfile) -> MeasuredProfile:
    known = profile.known().keys() - {"measured_at", "host", "wats_version"}
    return MeasuredProfile(measured_at=profile.measured_at, wats_version=profile.wats_version, known=len(known))


def _is_running(snapshot: SiteSnapshot) -> bool:
    return any(run.state in _AT_WORK and not run.is_dry_run for run in snapshot.unfinished)


def _lag(snapshot: SiteSnapshot, now_at: datetime) -> Lag:
    """Return the lag as of the last look at VTE: a plan's, or the monitor's, which also sees what was never planned."""
    state, history, monitor_state = snapshot.stored.state, snapshot.stored.history, snapshot.monitor_state
    waiting, seen_until_at = history.runs_waiting(state) if state else 0, history.seen_until_at
    if (
        monitor_state.waiting
        and monitor_state.checked_at
        and (seen_until_at is None or monitor_state.checked_at > seen_until_at)
    ):
        waiting, seen_until_at = monitor_state.waiting.runs, monitor_state.checked_at
    return Lag(
        last_sync=state and state.last_sync,
        behind_s=state and int(history.behind(state, now_at).total_seconds()),
        newest_at=history.newest_at,
        runs_waiting=waiting,
        seen_until_at=seen_until_at,
    )


def _recent_hours(now_at: datetime) -> datetime:
    return now_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)


def _uploads(history: History, now_at: datetime) -> Uploads:
    latency_ms = history.since(_recent_hours(now_at)).latency_ms
    return Uploads(
        reports=sum(latency_ms.values()), p50_ms=quantile_ms(latency_ms, 0.5), p95_ms=quantile_ms(latency_ms, 0.95)
    )


def _last_minute(usage: BudgetUsage, now_at: datetime) -> int:
    since_s = now_at.timestamp() - 60
    return sum(requests for answered_at_s, requests in usage.answered if answered_at_s > since_s)


def _budget(snapshot: SiteSnapshot, now_at: datetime) -> Budget:
    return Budget(
        last_minute=_last_minute(snapshot.budget_usage, now_at),
        per_minute=snapshot.stored.history.budget_per_minute,
    )


def _unfinished(state: State, snapshot: SiteSnapshot) -> Iterator[Unfinished]:
    """Yield what the unfinished syncs are responsible for; one without an interval covers all since lastSync.

    A dry run covers nothing.
    """
    for run in snapshot.unfinished:
        if run.is_dry_run:
            continue
        if run.interval is None and run.state not in _AT_WORK:
            continue  # its time belongs to the next one without an interval
        due_at = in_utc(run.due_at)
        interval = run.interval or Interval(min(state.last_sync, due_at), due_at)
        link = DagRunLink(dag_id=run.dag_id, dag_run_id=run.dag_run_id)
        yield Unfinished(link, interval, is_running=run.state in _AT_WORK)


def _backfill(site: Site, progress: Progress | None) -> Backfill | None:
    if progress is None:
        return None
    return Backfill(
        dag_run=DagRunLink(dag_id=site.dag_id("backfill"), dag_run_id=progress.dag_run_id),
        asked=progress.asked,
        runs=progress.runs,
        transferred=progress.transferred,
        remaining_s=progress.remaining_s,
        started_at=progress.started_at,
        ended_at=progress.ended_at,
        dry_run=progress.dry_run,
    )


def _is_healed(site: Site, run: DagRunSnapshot, stored: Stored) -> bool:
    """Return whether a sync failed and others have covered its time since."""
    if run.state != "failed" or run.dag_id != site.dag_id("sync") or run.interval is None:
        return False
    delay = timedelta(seconds=stored.history.settle_delay_s)
    needed = run.interval.shifted(-delay)
    return stored.state is not None and any(done.covers(needed) for done in stored.state.coverage)


def _dag_run_summary(site: Site, run: DagRunSnapshot, stored: Stored) -> DagRunSummary:
    ended_at, started_at = run.ended_at, run.started_at
    return DagRunSummary(
        dag_run=DagRunLink(dag_id=run.dag_id, dag_run_id=run.dag_run_id),
        dag=next(kind for kind in KINDS if run.dag_id == site.dag_id(kind)),
        state=HEALED if _is_healed(site, run, stored) else run.state,
        started_at=started_at,
        took_s=(ended_at - started_at).total_seconds() if ended_at and started_at else None,
        interval=run.interval,
        counts={outcome: int(run.settled[outcome]) for outcome in Outcome if run.settled.get(outcome)},
        dry_run=run.is_dry_run,
    )
