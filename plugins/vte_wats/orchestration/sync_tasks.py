"""The task of ``vte_wats_sync`` that no other DAG has: its plan."""

from __future__ import annotations

from typing import Any

from airflow.sdk import get_current_context, task

from vte_wats.config.sites import Site


@task
def plan(site_name: str) -> list[dict[str, Any]]:
    """Cut the data interval, or the time since lastSync, into slices."""
    from vte_wats.orchestration.handover import Handover, Planned
    from vte_wats.orchestration.resources import open_vte, read_settings, storage_of
    from vte_wats.orchestration.task_context import interval_to_sync
    from vte_wats.orchestration.verified_state import verified_state
    from vte_wats.state.late_arrivals import measured
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.sync.plan import plan_held, plan_seen, plan_snapshot, ranges_to_read, window_of

    context = get_current_context()
    site = Site(site_name)
    settings = read_settings(site)
    from_at, to_at = interval_to_sync(context, site)
    window = window_of(from_at, to_at, settings.guard_band_s, settings.settle_delay_s)
    with open_vte(site, settings) as vte:
        identity, times = vte.identity_and_run_counts(ranges_to_read(window, settings))
    state = verified_state(context, site, (identity, times.server_now_at), settings)
    planned = plan_seen(times, settings, window)
    late_arrivals = measured(state.late_arrivals, planned.window, planned.seconds, settings)
    state = state.model_copy(update={"late_arrivals": late_arrivals})
    snapshot = plan_snapshot(planned, settings, from_at)
    Handover(planned=Planned.by(context, state, settings, planned.window, snapshot)).push(context)
    slices = planned.slices
    if state.settings_hash != settings.fingerprint:
        slices += plan_held(DeadLetters(storage_of(site, settings)), planned, settings)
    return [part.to_xcom() for part in slices]
