"""The tasks of ``vte_wats_reconcile`` that no other DAG has: list, compare, plan what is missing, verify a sample."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import TriggerRule, get_current_context, task

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW501

LATE_FROM = "plan_missing"


@task
def plan(site_name: str) -> list[str]:
    """List the keys of the runs in VTE, in batches."""
    from vte_wats.intervals.dst import local_ranges
    from vte_wats.intervals.wall_clock import everything_until, with_reset_clocks
    from vte_wats.orchestration.handover import Handover, Planned
    from vte_wats.orchestration.resources import open_vte, read_settings
    from vte_wats.orchestration.task_context import staging
    from vte_wats.orchestration.verified_state import verified_state
    from vte_wats.reconcile.compare import sample_of
    from vte_wats.reconcile.missing_runs import stage_keys, staged_guids
    from vte_wats.sync.plan import window_of

    context = get_current_context()
    days = context["params"]["days"]
    site = Site(site_name)
    settings = read_settings(site)
    now_at = datetime.now(UTC)
    window = window_of(now_at - timedelta(days=days), now_at, 0, settings.settle_delay_s)
    recent = with_reset_clocks(local_ranges(window, settings.zone))
    ranges = recent if days else everything_until(window.to_at, settings.zone)
    with open_vte(site, settings) as vte:
        state = verified_state(context, site, vte.identity(), settings)
        batches = stage_keys(vte, lambda name: staging(site, settings, name), ranges)
    guids = (guid for name in batches for guid in staged_guids(staging(site, settings, name)))
    sample = sample_of(guids, context["params"]["sample"], context["dag_run"].run_id)
    # The coverage as it is now: whatever is done meanwhile says nothing about this comparison.
    coverage = state.model_copy(update={"totals": {}, "settled": (), "source": None, "late_arrivals": None})
    Handover(planned=Planned.by(context, state, settings), coverage=coverage, sample=tuple(sample)).push(context)
    return batches


@task(map_index_template="{{ batch_label }}")
def compare(site_name: str, batch: str) -> dict[str, int]:
    """Ask WATS which runs of one batch it does not have."""
    from vte_wats.orchestration.resources import open_wats, read_settings
    from vte_wats.orchestration.task_context import staging
    from vte_wats.reconcile.missing_runs import compare as compare_batch

    get_current_context()["batch_label"] = batch  # type: ignore[typeddict-unknown-key]
    site = Site(site_name)
    settings = read_settings(site)
    with open_wats(site, settings) as wats:
        return compare_batch(wats, staging(site, settings, batch), settings.zone)


@task(trigger_rule=TriggerRule.NONE_FAILED)
def plan_missing(site_name: str, batches: Any) -> list[dict[str, Any]]:
    """Cut what is missing into slices."""
    from vte_wats.orchestration.handover import Handover, batch_names
    from vte_wats.orchestration.resources import read_settings, storage_of
    from vte_wats.orchestration.task_context import staging
    from vte_wats.reconcile.missing_runs import runs_to_transfer
    from vte_wats.state.late_arrivals import found_later
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.sync.plan import plan_named

    context = get_current_context()
    site = Site(site_name)
    settings = read_settings(site)
    compared = (staging(site, settings, name) for name in batch_names(batches))
    missing = runs_to_transfer(compared, DeadLetters(storage_of(site, settings)))
    left = Handover.pull(context, "plan")
    if left is not None and left.coverage is not None:
        Handover(late=found_later(missing.times_local, left.coverage, settings)).push(context)
    return [part.to_xcom() for part in plan_named(missing.runs, settings)]


@task
def verify(site_name: str) -> dict[str, int]:
    """Compare the sampled runs with their reports in WATS, value by value."""
    from vte_wats.orchestration.handover import Handover
    from vte_wats.orchestration.resources import open_vte, open_wats, read_settings, storage_of
    from vte_wats.orchestration.task_context import staging
    from vte_wats.reconcile.compare import refuse_altered
    from vte_wats.reconcile.compare import verify as verify_sample
    from vte_wats.storage.staging import discard
    from vte_wats.sync.extract import extract
    from vte_wats.sync.map_runs import map_runs
    from vte_wats.sync.slices import Slice

    context = get_current_context()
    site = Site(site_name)
    settings = read_settings(site)
    left = Handover.pull(context, "plan")
    if left is None:
        raise FatalError(VW501, "the sample that plan drew is lost, so nothing was compared; the log of plan says why")
    if not (sample := left.sample):
        return {"equal": 0, "outdated": 0, "altered": 0, "absent": 0}
    staged = staging(site, settings, "sample")
    with open_vte(site, settings) as vte:
        extract(vte, staged, Slice("sample", len(sample), guids=sample), settings)
    map_runs(staged, settings)
    with open_wats(site, settings) as wats:
        found = verify_sample(staged, wats)
    discard(storage_of(site, settings), context["dag"].dag_id, context["dag_run"].run_id)
    refuse_altered(found, site.dag_id("backfill"))
    return {"equal": found.equal, "outdated": len(found.outdated), "altered": 0, "absent": found.absent}
