"""The task of ``vte_wats_sync`` that no other DAG has: its plan."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, get_current_context, task

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.messages import VW523, VW530
from vte_wats.orchestration.dag_defaults import transfer_params

if TYPE_CHECKING:
    from vte_wats.config.settings import Settings
    from vte_wats.domain.ports import RunSource
    from vte_wats.orchestration.handover import PlannedGap
    from vte_wats.state.coverage import Gap, State
    from vte_wats.state.seen_content import NearPlan
    from vte_wats.sync.plan import Plan
    from vte_wats.sync.slices import Slice

log = logging.getLogger(__name__)

_MINUTES_BESIDE = 2  # of the requests that WATS allows: the next interval comes a few minutes later

SYNC_FORM = {
    **transfer_params(dry_run="Read and map, but post nothing."),
    "accept_identity": Param(
        False,
        type="boolean",
        title="Accept identity",
        description="Accept this database, this WATS and the state as they are, after plan refused them.",
    ),
}


@task
def plan(site_name: str) -> list[dict[str, Any]]:
    """Cut the data interval, or the time since lastSync, into slices.

    Behind them come slices of the oldest gap, of runs that changed in VTE after they were transferred, and of runs
    whose report WATS confirmed and does not show.
    """
    from vte_wats.orchestration.handover import Handover, Planned
    from vte_wats.orchestration.resources import backlog_settings, open_vte, read_settings, storage_of
    from vte_wats.orchestration.task_context import interval_to_sync, other_syncs_are_at_work, staging
    from vte_wats.orchestration.verified_state import verified_state
    from vte_wats.state.late_arrivals import measured
    from vte_wats.storage.dead_letter_index import DeadLetterIndex
    from vte_wats.sync.confirmed_check import plan_unseen
    from vte_wats.sync.plan import plan_held, plan_seen, plan_snapshot, ranges_to_read, window_of
    from vte_wats.sync.slices import PLAN, SLICE_LIMIT, hand_over

    context = get_current_context()
    site = Site(site_name)
    settings = read_settings(site)
    beside = backlog_settings(site, settings)
    interval = interval_to_sync(context, site)
    window = window_of(interval, settings.guard_band_s, settings.settle_delay_s)
    with open_vte(site, settings) as vte:
        identity, times = vte.identity_and_run_counts(ranges_to_read(window, settings))
        state = verified_state(context, site, (identity, times.server_now_at), settings)
        planned = plan_seen(times, settings, window)
        does_more = not context["params"]["dry_run"] and context.get("data_interval_start") is not None
        is_alone = does_more and not other_syncs_are_at_work(context)
        oldest = state.gap_to_fill(planned.window.from_at, datetime.now(UTC)) if is_alone else None
        gap, gap_slices = _planned_gap(vte, site, beside, oldest) if oldest else (None, ())
        near: NearPlan | None = None
        near_slices: tuple[Slice, ...] = ()
        if settings.near_check_h and not context["params"]["dry_run"]:
            near, near_slices = _planned_near(vte, site, beside, state, planned, gap=gap, is_alone=is_alone)
    late_arrivals = measured(state.late_arrivals, planned.window, planned.seconds, settings)
    state = state.model_copy(update={"late_arrivals": late_arrivals})
    snapshot = plan_snapshot(planned, settings, interval.from_at)
    slices = planned.slices
    if state.settings_hash != settings.fingerprint:
        slices += plan_held(DeadLetterIndex(storage_of(site, settings), max_new=None).summaries(), planned, beside)
    if len(slices) + len(gap_slices) > SLICE_LIMIT:
        gap, gap_slices, near = None, (), near and near.model_copy(update={"gap": {}, "waits": True})
    if len(slices) + len(gap_slices) + len(near_slices) > SLICE_LIMIT:
        near, near_slices = near and near.model_copy(update={"slices": (), "waits": True}), ()
    extra = (*gap_slices, *near_slices)
    unseen = plan_unseen(storage_of(site, settings), settings, datetime.now(UTC)) if is_alone else ()
    if (slices or extra) and not any(slice_.runs for slice_ in unseen):
        unseen = ()  # each upload asks WATS for what it confirmed before
    handed = Planned.by(
        context, state, settings, planned.window, snapshot=snapshot, gap=gap, near=near, again=len(unseen)
    )
    Handover(planned=handed).push(context)
    return hand_over(staging(site, settings, PLAN), (*slices, *extra, *unseen))


def _planned_gap(
    vte: RunSource, site: Site, settings: Settings, gap: Gap
) -> tuple[PlannedGap | None, tuple[Slice, ...]]:
    """Plan a part of a gap; what keeps it from being planned must not stop the current interval."""
    from vte_wats.orchestration.handover import PlannedGap
    from vte_wats.sync.plan import plan_gap

    try:
        interval, planned = plan_gap(vte, settings, gap, _most_runs(site, settings))
    except RetriableError as exc:
        from_at = gap.interval.from_at
        log.warning("%s not covered yet, a later sync tries it again: from %s on: %s", VW523, from_at, exc)
        return None, ()
    return PlannedGap(interval=interval, window=planned.window, slices=len(planned.slices)), planned.slices


def _planned_near(
    vte: RunSource,
    site: Site,
    settings: Settings,
    state: State,
    planned: Plan,
    *,
    gap: PlannedGap | None,
    is_alone: bool,
) -> tuple[NearPlan, tuple[Slice, ...]]:
    """Look for runs that changed since their transfer; what keeps it from that must not stop the current interval.

    A sync by hand and one beside others look for nothing: what others read is not kept yet. They keep how the minutes
    looked that they read themselves, so that no check reads them once more.
    """
    from vte_wats.orchestration.variables import SEEN_CONTENT, Variables
    from vte_wats.state.seen_content import NearPlan, SeenContent
    from vte_wats.sync.near_check import is_due, plan_near, question, question_of_own_window

    seen = Variables(site).load(SEEN_CONTENT) or SeenContent()
    if not is_due(seen, datetime.now(UTC)):
        return NearPlan(waits=True), ()
    filled = gap.window if gap is not None else None
    if is_alone:
        asked = question(seen, planned.window, state.coverage, settings, filled)
    else:
        asked = question_of_own_window(seen, planned.window, settings)
    began_s = time.monotonic()
    try:
        contents = vte.minute_contents(asked.ranges)
    except (RetriableError, FatalError) as exc:
        log.warning("%s the near check was skipped: %s", VW530, exc)
        look = asked.look(seen, datetime.now(UTC), time.monotonic() - began_s) if is_alone else None
        return NearPlan(look=look, waits=True), ()
    look = asked.look(seen, datetime.now(UTC), time.monotonic() - began_s)
    most_runs = _most_runs(site, settings)
    near, slices = plan_near(seen, asked, contents, planned.window, settings, gap=filled, most_runs=most_runs)
    log.info("near check: %d minutes asked in %.2f s, %d slices", look.asked_min, look.took_s, len(slices))
    return near.model_copy(update={"look": look} if is_alone else {"waits": True}), slices


def _most_runs(site: Site, settings: Settings) -> int:
    """Return how many runs a sync may transfer beside its interval, for a gap and for changed runs each."""
    from vte_wats.orchestration.resources import wats_connection

    return min(settings.catch_up_runs, _MINUTES_BESIDE * wats_connection(site).requests_per_minute)
