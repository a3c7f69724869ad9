"""The monitor's task: measure, evaluate, notify, save. It reports what is down and does not fail for it.

It fails at its end, after it has reported all else, where its own settings or a part of the check were not to be had.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

from airflow.sdk import task
from croniter import croniter

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, VteWatsError
from vte_wats.domain.redaction import redact
from vte_wats.messages import VW549, VW901, VW902, VW903, VW927, VW928
from vte_wats.orchestration.dag_defaults import read_dag_options

if TYPE_CHECKING:
    from vte_wats.alerting.evaluate import Measures
    from vte_wats.alerting.mails import AlertContext
    from vte_wats.alerting.monitor_state import MonitorState, ServerCheck
    from vte_wats.config.alert_settings import AlertSettings
    from vte_wats.config.settings import Settings
    from vte_wats.intervals.interval import Interval
    from vte_wats.state.coverage import State

log = logging.getLogger(__name__)

_RECENT = timedelta(hours=1)
_FEWEST_INTERVALS, _MOST_INTERVALS = 3, 61


class _ErrorCollector:
    """Lets the rest of a check go on after a part that failed; the task fails for the first of them at its end."""

    def __init__(self) -> None:
        self.caught: list[VteWatsError] = []

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        try:
            yield
        except Exception as exc:
            text = str(exc) if isinstance(exc, VteWatsError) else f"{type(exc).__name__}: {_one_line(exc)}"
            self.caught.append(FatalError(VW549, f"{part}: {text}"))
            log.exception("%s", self.caught[-1])

    @property
    def problems(self) -> list[str]:
        """What was caught, a line each."""
        return [str(error).partition("\n")[0] for error in self.caught]


@task(retries=0, multiple_outputs=False)
def watch(site_name: str, sync_schedule: str) -> dict[str, Any]:
    """Check everything once, and notify people of what changed. A part that fails stops no other."""
    from vte_wats.alerting.mails import AlertContext
    from vte_wats.alerting.monitor_state import MonitorState
    from vte_wats.orchestration.alert_context import alerts_of
    from vte_wats.orchestration.variables import MONITOR_STATE, Variables

    site, net, monitor_state = Site(site_name), _ErrorCollector(), MonitorState()
    with net("the state of the monitor"):
        monitor_state = Variables(site).load(MONITOR_STATE) or monitor_state
    alerts, zone, mistake = alerts_of(site, monitor_state)
    if mistake is None:
        readable = {"alerts": alerts, "zone": zone.key, "comparison_limit_h": alerts.comparison_limit_h}
        monitor_state = monitor_state.model_copy(update=readable)
    context = AlertContext(site, datetime.now(UTC), zone, monitor_state)
    context = _checked(context, sync_schedule, alerts, net)
    monitor_state = _notified(context, alerts, net)
    for name, check in (("VTE", monitor_state.vte), ("WATS", monitor_state.wats)):
        if check is not None:
            result = f"{check.version}, {check.round_trip_ms:.0f} ms" if check.ok else check.problem
            log.info("%s: %s", name, result)
    for error in filter(None, [mistake, *net.caught]):
        raise error
    return {"open": sorted(key for key, condition in monitor_state.conditions.items() if condition.is_open)}


def _checked(context: AlertContext, sync_schedule: str, alerts: AlertSettings, net: _ErrorCollector) -> AlertContext:
    """Return what is known of the site now, every condition but that of the check itself one check further."""
    from vte_wats.alerting.evaluate import evaluate, with_measures
    from vte_wats.alerting.notify import with_observations
    from vte_wats.orchestration.alert_context import alert_context

    site, zone, monitor_state, state = context.site, context.zone, context.monitor_state, None
    with net("measuring and judging"):
        measures = measure(site, sync_schedule, read_dag_options().start_date)
        state, monitor_state = measures.state, with_measures(monitor_state, measures)
        observations = evaluate(site, measures, monitor_state, alerts)
        monitor_state = with_observations(monitor_state, observations, alerts, measures.now_at)
    with net("what mails say"):
        context = alert_context(site, zone, monitor_state, state)
    return replace(context, monitor_state=monitor_state, state=state)


def _notified(context: AlertContext, alerts: AlertSettings, net: _ErrorCollector) -> MonitorState:
    """Send and save what is due; return the state after it. What failed of the check is due, too, so it comes last."""
    from vte_wats.alerting.evaluate import check_observation
    from vte_wats.alerting.notify import notify_due, with_observations
    from vte_wats.orchestration.notifiers import channels, sender
    from vte_wats.orchestration.sync_deadline import notify_missed_deadline
    from vte_wats.orchestration.variables import MONITOR_STATE, Variables

    site, monitor_state = context.site, context.monitor_state
    names, send = channels(alerts), sender(alerts)

    def save(after: MonitorState) -> None:
        nonlocal monitor_state
        monitor_state = after
        Variables(site).save(MONITOR_STATE, after)

    with net("notifying of a missed deadline"):
        notify_missed_deadline(alerts, context, left_behind=True)
    if alerts.summary_at is not None and names:
        with net("the summary"):
            save(summarise(site, alerts.summary_at, context, send))
    monitor_state = with_observations(monitor_state, [check_observation(net.problems)], alerts, context.now_at)
    with net("notifying of what is open"):
        monitor_state = notify_due(alerts, replace(context, monitor_state=monitor_state), names, send, save)
    with net("saving the state of the monitor"):
        save(monitor_state)
    if not names:
        log.warning(
            "%s nobody is notified of anything: set alerts.recipients in Variable %s", VW901, site.settings_variable
        )
    return monitor_state


def measure(site: Site, sync_schedule: str, since_at: datetime) -> Measures:
    """Ask settings, state, both servers and the storage, each on its own: one failure hides no other."""
    from vte_wats.alerting.evaluate import Measures
    from vte_wats.orchestration.resources import read_settings, read_state
    from vte_wats.orchestration.variables import PROOF, Variables
    from vte_wats.state.proof import Proof

    now_at = datetime.now(UTC)
    measures = Measures(
        now_at, wats=_wats(site), dag_runs=_dag_runs(site, sync_schedule, now_at), pools_without_slots=_pools(site)
    )
    try:
        settings = read_settings(site)
        measures = _measured_with(measures, site, settings)
        state, proof = read_state(site, since_at), Variables(site).load(PROOF) or Proof()
    except Exception as exc:  # noqa: BLE001 -- settings, state and storage: what is wrong with them is reported
        return replace(measures, setup_problem=str(exc) if isinstance(exc, VteWatsError) else _first_line(exc))
    failed_syncs = _failed_syncs(site, sync_schedule, now_at, state, settings.settle_delay_s)
    return _vte(replace(measures, state=state, failed_syncs=failed_syncs, proof=proof), site, settings, since_at)


def _measured_with(measures: Measures, site: Site, settings: Settings) -> Measures:
    from vte_wats.orchestration.resources import storage_of
    from vte_wats.storage.dead_letter_index import DeadLetterIndex
    from vte_wats.storage.object_storage import is_of_storage, storage_error

    measures = replace(
        measures, clock_skew_limit_s=settings.clock_skew_limit_s, looks_for_changes=settings.near_check_h > 0
    )
    storage = storage_of(site, settings)
    try:
        measures = replace(measures, dead_letters=DeadLetterIndex(storage).summaries())
        if storage.protocol in ("", "file"):
            existing = next(folder for folder in (storage, *storage.parents) if folder.exists())
            measures = replace(measures, free_mb=shutil.disk_usage(existing.path).free // 1_000_000)
    except Exception as exc:  # noqa: BLE001 -- every bucket's client raises errors of its own
        cause = storage_error(exc, storage) if is_of_storage(exc) else exc
        problem = f"the storage cannot be read: {_first_line(cause)}"
        log.error("%s %s", VW902, problem)  # noqa: TRY400 -- the sync's own tasks fail for it, too
        return replace(measures, setup_problem=f"{VW902} {problem}")
    return measures


def _vte(measures: Measures, site: Site, settings: Settings, since_at: datetime) -> Measures:
    from vte_wats.alerting.monitor_state import ServerCheck, Waiting
    from vte_wats.intervals.wall_clock import local_ranges, merge_ranges
    from vte_wats.orchestration.resources import open_vte
    from vte_wats.state.coverage import State

    state = measures.state or State(since_at=since_at)
    settled_at = measures.now_at - timedelta(seconds=settings.settle_delay_s)
    left = state.left_to_do(settled_at)
    ranges = merge_ranges([local for interval in left for local in local_ranges(interval, settings.zone)])
    try:
        with open_vte(site, settings) as vte:
            asked_s, asked_at = time.perf_counter(), datetime.now(UTC)
            found = vte.waiting_runs(ranges)
            took_s = time.perf_counter() - asked_s
    except Exception as exc:  # noqa: BLE001 -- whatever keeps VTE from answering is what the monitor reports
        return replace(measures, vte=_without_answer(exc))
    return replace(
        measures,
        vte=ServerCheck(ok=True, version=found.version, round_trip_ms=round(took_s * 1000, 1)),
        waiting=Waiting(
            runs=found.runs,
            newest_local=found.newest_local,
            lag_s=max(0.0, (settled_at - state.last_sync).total_seconds()),
            left_s=sum((interval.to_at - interval.from_at).total_seconds() for interval in left),
        ),
        clock_skew_s=round((found.server_now_at - asked_at).total_seconds() - took_s / 2, 1),
    )


def _wats(site: Site) -> ServerCheck:
    from vte_wats.alerting.monitor_state import ServerCheck
    from vte_wats.wats.hook import WatsHook

    try:
        found = WatsHook(site.wats_connection).probe()
    except Exception as exc:  # noqa: BLE001 -- whatever keeps WATS from answering is what the monitor reports
        return _without_answer(exc)
    return ServerCheck(ok=True, version=found.version, round_trip_ms=round(found.took_ms, 1))


def _without_answer(exc: Exception) -> ServerCheck:
    from vte_wats.alerting.monitor_state import ServerCheck

    code = exc.code if isinstance(exc, VteWatsError) else VW928.code
    return ServerCheck(ok=False, code=code, problem=_first_line(exc))


def _failed_syncs(
    site: Site, sync_schedule: str, now_at: datetime, state: State | None, settle_delay_s: int
) -> int | None:
    """Count the scheduled intervals of the last hour whose DAG run failed and whose time is not covered since."""
    delay, coverage = timedelta(seconds=settle_delay_s), state.coverage if state else ()
    still_open = [
        interval.from_at
        for interval in _last_intervals(sync_schedule, now_at)
        if not any(done.covers(interval.shifted(-delay)) for done in coverage)
    ]
    return _count(site, logical_dates=still_open, states=["failed"]) if still_open else 0


def _dag_runs(site: Site, sync_schedule: str, now_at: datetime) -> int | None:
    """Count the DAG runs of the sync that are at work, or that Airflow has created for the last intervals."""
    starts = [interval.from_at for interval in _last_intervals(sync_schedule, now_at)]
    return _count(site, logical_dates=starts) or _count(site, states=["queued", "running"])


def _pools(site: Site) -> tuple[str, ...] | None:
    """Return the pools that have no open slot; ``None`` when Airflow does not say."""
    from vte_wats.orchestration.pools import pools_without_slots

    try:
        return pools_without_slots(site)
    except Exception as exc:  # noqa: BLE001 -- whatever keeps Airflow from answering
        log.warning("%s Airflow does not say which tasks wait: %s", VW927, _first_line(exc))
        return None


def _count(site: Site, **which: Any) -> int | None:
    """Count DAG runs of the sync; ``None`` when Airflow does not say: the rest is reported all the same."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    try:
        return RuntimeTaskInstance.get_dr_count(site.dag_id("sync"), **which)
    except Exception as exc:  # noqa: BLE001 -- whatever keeps Airflow from answering
        log.warning("%s Airflow does not say how many syncs there are: %s", VW927, _first_line(exc))
        return None


def _last_intervals(sync_schedule: str, now_at: datetime) -> list[Interval]:
    """Return the intervals of the schedule that ended within the last hour, and three at least."""
    from vte_wats.intervals.interval import Interval, in_utc

    ticks = croniter(sync_schedule, now_at)
    to_at = in_utc(ticks.get_prev(datetime))
    intervals: list[Interval] = []
    while len(intervals) < _MOST_INTERVALS and (len(intervals) < _FEWEST_INTERVALS or now_at - to_at < _RECENT):
        from_at = in_utc(ticks.get_prev(datetime))
        intervals.append(Interval(from_at, to_at))
        to_at = from_at
    return intervals


def summarise(site: Site, summary_at: str, context: AlertContext, send: Any) -> MonitorState:
    """Send the mail about yesterday when its time has come; one that cannot be sent is tried at the next check."""
    from vte_wats.alerting.mails import summary
    from vte_wats.domain.run import Outcome
    from vte_wats.orchestration.variables import PROOF, Variables
    from vte_wats.state.proof import Proof

    monitor_state = context.monitor_state
    day = day_to_sum_up(context.now_at.astimezone(context.zone), summary_at, monitor_state.summary_day)
    if day is None:
        return monitor_state
    totals = {outcome.value: runs for outcome, runs in (context.state.totals if context.state else {}).items()}
    try:
        counts, dead_letters = _day(site, day, context.zone)
        proof = Variables(site).load(PROOF) or Proof()
        since = {
            outcome: max(0, totals.get(outcome.value, 0) - monitor_state.summary_totals.get(outcome.value, 0))
            for outcome in Outcome
        }
        send(summary(day, counts, since, dead_letters, replace(context, proof=proof)))
    except Exception as exc:  # noqa: BLE001 -- VTE, the storage or the mail server is away, each in its own words
        log.error("%s the summary of %s is tried again at the next check: %s", VW903, day, _first_line(exc))  # noqa: TRY400
        return monitor_state
    return monitor_state.model_copy(update={"summary_day": day, "summary_totals": totals})


def day_to_sum_up(local: datetime, summary_at: str, summed_up: date | None) -> date | None:
    """Return the day whose summary is due at a wall-clock time, ``None`` when ``summed_up`` is that day.

    Until the hour has come, the summary that was due yesterday counts: no check may have come between that hour and
    midnight. The first summary of all waits for its hour.
    """
    has_come = f"{local:%H:%M}" >= summary_at
    day = local.date() - timedelta(days=1 if has_come else 2)
    return None if summed_up == day or (summed_up is None and not has_come) else day


def _day(site: Site, day: Any, zone: ZoneInfo) -> tuple[dict[tuple[str, str], int], dict[str, int]]:
    """Return the day's runs in VTE by product and result, and how many dead letters there are of each kind."""
    from vte_wats.intervals.interval import Interval, in_utc
    from vte_wats.intervals.wall_clock import local_ranges
    from vte_wats.orchestration.resources import open_vte, read_settings, storage_of
    from vte_wats.storage.dead_letter_index import DeadLetterIndex
    from vte_wats.sync.plan import window_of

    settings = read_settings(site)
    starts_at = datetime(day.year, day.month, day.day, tzinfo=zone)
    window = window_of(Interval(in_utc(starts_at), in_utc(starts_at + timedelta(days=1))), 0, 0)
    counts: Counter[tuple[str, str]] = Counter()
    with open_vte(site, settings) as vte:
        for (product, code), runs in vte.day_counts(local_ranges(window, zone)).items():
            result = settings.result_codes.get(code) if code is not None else None
            counts[product, result.value if result else f"code {code}"] += runs
    index = DeadLetterIndex(storage_of(site, settings))
    dead_letters = Counter(summary.kind.value for summary in index.summaries())
    return dict(counts), dict(dead_letters)


def _one_line(exc: Exception) -> str:
    return redact(str(exc)).partition("\n")[0]


def _first_line(exc: Exception) -> str:
    """Return the first line of an error of ours; of any other its kind as well, for its text alone says little."""
    text = _one_line(exc)
    return text if isinstance(exc, VteWatsError) else f"{VW928} {type(exc).__name__}: {text}"
