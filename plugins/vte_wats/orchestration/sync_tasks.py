"""The task of ``vte_wats_sync`` that no other DAG has: its plan."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context, task

from vte_wats.config.sites import Site
from vte_wats.domain.errors import RetriableError
from vte_wats.messages import VW523

if TYPE_CHECKING:
    from vte_wats.config.settings import Settings
    from vte_wats.domain.ports import RunSource
    from vte_wats.orchestration.handover import PlannedGap
    from vte_wats.state.coverage import State
    from vte_wats.sync.slices import Slice

log = logging.getLogger(__name__)

_MINUTES_FOR_A_GAP = 2  # of the requests that WATS allows: the next interval comes a few minutes later


@task
def plan(site_name: str) -> list[dict[str, Any]]:
    """Cut the data interval, or the time since lastSync, into slices; behind them those of the oldest gap."""
    from vte_wats.orchestration.handover import Handover, Planned
    from vte_wats.orchestration.resources import open_vte, read_settings, storage_of, wats_connection
    from vte_wats.orchestration.task_context import interval_to_sync
    from vte_wats.orchestration.verified_state import verified_state
    from vte_wats.state.late_arrivals import measured
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.sync.plan import plan_held, plan_seen, plan_snapshot, ranges_to_read, window_of
    from vte_wats.sync.slices import SLICE_LIMIT

    context = get_current_context()
    site = Site(site_name)
    settings = read_settings(site)
    from_at, to_at = interval_to_sync(context, site)
    window = window_of(from_at, to_at, settings.guard_band_s, settings.settle_delay_s)
    with open_vte(site, settings) as vte:
        identity, times = vte.identity_and_run_counts(ranges_to_read(window, settings))
        state = verified_state(context, site, (identity, times.server_now_at), settings)
        planned = plan_seen(times, settings, window)
        most_runs = min(settings.catch_up_runs, _MINUTES_FOR_A_GAP * wats_connection(site).requests_per_minute)
        gap, gap_slices = _gap_before(context, planned.window.from_at, vte, state, settings, most_runs=most_runs)
    late_arrivals = measured(state.late_arrivals, planned.window, planned.seconds, settings)
    state = state.model_copy(update={"late_arrivals": late_arrivals})
    snapshot = plan_snapshot(planned, settings, from_at)
    slices = planned.slices
    if state.settings_hash != settings.fingerprint:
        slices += plan_held(DeadLetters(storage_of(site, settings)), planned, settings)
    if len(slices) + len(gap_slices) > SLICE_LIMIT:
        gap, gap_slices = None, ()
    Handover(planned=Planned.by(context, state, settings, planned.window, snapshot=snapshot, gap=gap)).push(context)
    return [part.to_xcom() for part in (*slices, *gap_slices)]


def _gap_before(
    context: Any, until_at: datetime, vte: RunSource, state: State, settings: Settings, *, most_runs: int
) -> tuple[PlannedGap | None, tuple[Slice, ...]]:
    """Plan a part of the oldest time that is not covered, when the sync is one of an interval and the only one."""
    from vte_wats.orchestration.handover import PlannedGap
    from vte_wats.orchestration.task_context import other_syncs_are_at_work
    from vte_wats.sync.plan import plan_gap

    if context["params"]["dry_run"] or context.get("data_interval_start") is None:
        return None, ()
    gap = state.gap_to_fill(until_at, datetime.now(UTC))
    if gap is None or other_syncs_are_at_work(context):
        return None, ()
    try:
        part, planned = plan_gap(vte, settings, gap, most_runs)
    except RetriableError as exc:
        from_at = gap.interval.from_at
        log.warning("%s not covered yet, a later sync tries it again: from %s on: %s", VW523, from_at, exc)
        return None, ()
    return PlannedGap(part=part, window=planned.window, slices=len(planned.slices)), planned.slices
