"""The tasks of ``vte_wats_reconcile`` that no other DAG has.

They list, compare, plan what is missing, verify a sample, and remove files that are older than they may be.
"""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param, TriggerRule, get_current_context, task

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW501
from vte_wats.orchestration.dag_defaults import transfer_params

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from uuid import UUID

    from upath import UPath

    from vte_wats.config.settings import Settings
    from vte_wats.orchestration.handover import Handover
    from vte_wats.reconcile.missing_runs import Kinds
    from vte_wats.storage.dead_letter_index import DeadLetterSummary
    from vte_wats.storage.staging import Staging

LATE_FROM = "plan_missing"
_SAMPLE = "sample"
_ALTERED_AGAIN = 100  # reports known to be altered that one comparison opens again

RECONCILE_FORM = {
    "days": Param(7, type="integer", minimum=0, title="Days", description="How far back to compare; 0 is all."),
    "sample": Param(
        100,
        type="integer",
        minimum=0,
        maximum=1000,
        title="Sample",
        description="Reports to compare value by value; 0 is none but those that WATS lists otherwise.",
    ),
    **transfer_params(dry_run="Compare and map, but post nothing."),
}


@task
def plan(site_name: str) -> list[str]:
    """List the keys of the runs in VTE, in batches."""
    from vte_wats.intervals.interval import Interval, whole_second
    from vte_wats.intervals.wall_clock import AHEAD, everything_until, wall_clock
    from vte_wats.orchestration.handover import Handover, Planned
    from vte_wats.orchestration.resources import open_vte, read_settings, storage_of
    from vte_wats.orchestration.task_context import staging
    from vte_wats.orchestration.variables import PROOF, Variables
    from vte_wats.orchestration.verified_state import verified_state
    from vte_wats.reconcile.compare import sample_of
    from vte_wats.reconcile.gone_runs import remove_without_row
    from vte_wats.reconcile.keys import (
        OutsideWindows,
        compared_days,
        count_history,
        history_ranges,
        ranges_to_compare,
        stage_keys,
        staged_keys,
        within_days,
    )
    from vte_wats.state.proof import Proof
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.sync.plan import window_of

    context = get_current_context()
    days = context["params"]["days"]
    site = Site(site_name)
    settings = read_settings(site)
    now_at = datetime.now(UTC)
    window = window_of(Interval(now_at - timedelta(days=days), now_at), 0, settings.settle_delay_s)
    proof = Variables(site).load(PROOF) or Proof()
    with open_vte(site, settings) as vte:
        state = verified_state(context, site, vte.identity(), settings)
        ranges, cycle_day = everything_until(window.to_at, settings.zone), None
        if days:
            ranges, cycle_day = ranges_to_compare(window, state, proof, settings)
        never_synced = history_ranges(state, settings.zone)
        history = count_history(vte, never_synced)
        grown = proof.grown_days(history)
        ahead_local = wall_clock(whole_second(now_at) + AHEAD, settings.zone)
        outside = OutsideWindows(ahead_local, within_days(never_synced, grown))
        batches = stage_keys(vte, lambda name: staging(site, settings, name), ranges, outside)
        if not context["params"]["dry_run"]:
            storage = storage_of(site, settings)
            remove_without_row(vte, DeadLetters(storage), _summaries(storage))
    if not context["params"]["dry_run"]:
        Variables(site).change(PROOF, lambda proof: (proof or Proof()).with_history(history))
    guids = (key.guid for name in batches for key in staged_keys(staging(site, settings, name)))
    drawn = sample_of(guids, context["params"]["sample"], context["dag_run"].run_id)
    sample = dict.fromkeys((*proof.altered_runs[:_ALTERED_AGAIN], *drawn))
    # The coverage as it is now: whatever is done meanwhile says nothing about this comparison.
    coverage = state.model_copy(update={"totals": {}, "settled": (), "source": None, "late_arrivals": None})
    Handover(
        planned=Planned.by(context, state, settings),
        coverage=coverage,
        sample=tuple(sample),
        cycle_day=cycle_day,
        days=compared_days(ranges, state, settings),
        grown=grown,
    ).push(context)
    return batches


@task(map_index_template="{{ batch_label }}", multiple_outputs=False)
def read_expected(site_name: str, batch: str) -> dict[str, Any]:
    """Read the runs of one batch, and map them to know what WATS should hold."""
    from vte_wats.orchestration.resources import open_vte, read_settings, storage_of
    from vte_wats.orchestration.task_context import staging
    from vte_wats.reconcile.compare import stage_expected
    from vte_wats.storage.dead_letters import DeadLetters

    get_current_context()["batch_label"] = batch  # type: ignore[typeddict-unknown-key]
    site = Site(site_name)
    settings = read_settings(site)
    with open_vte(site, settings) as vte:
        read = stage_expected(vte, staging(site, settings, batch), DeadLetters(storage_of(site, settings)), settings)
    return {"batch": batch, "read": read}


@task(map_index_template="{{ batch_label }}", multiple_outputs=False)
def compare(site_name: str, read: Any) -> dict[str, int]:
    """Ask WATS which runs of one batch it does not have, or has with other content."""
    from vte_wats.orchestration.handover import read_batch
    from vte_wats.orchestration.resources import open_wats, read_settings, storage_of
    from vte_wats.orchestration.task_context import staging
    from vte_wats.orchestration.variables import PROOF, Variables
    from vte_wats.reconcile.missing_runs import compare as compare_batch
    from vte_wats.state.proof import Proof
    from vte_wats.storage.unseen_reports import DROPPED, UnseenReports

    batch = read_batch(read)
    get_current_context()["batch_label"] = batch  # type: ignore[typeddict-unknown-key]
    site = Site(site_name)
    settings = read_settings(site)
    storage = storage_of(site, settings)
    kinds, awaited = _kinds(storage), UnseenReports(storage, DROPPED).tries().keys()
    proof = Variables(site).load(PROOF) or Proof()
    with open_wats(site, settings) as wats:
        return compare_batch(
            wats,
            staging(site, settings, batch),
            kinds,
            settings.zone,
            datetime.now(UTC),
            awaited=awaited,
            excluded_runs=settings.excluded_runs,
            altered=frozenset(proof.altered_runs),
            equal_as_listed=frozenset(proof.equal_as_listed),
        )


@task(trigger_rule=TriggerRule.NONE_FAILED)
def plan_missing(site_name: str, batches: Any) -> list[dict[str, Any]]:
    """Cut what is missing or has other content into slices, and keep the numbers of the days."""
    from vte_wats.orchestration.handover import Handover, batch_names
    from vte_wats.orchestration.resources import backlog_settings, read_settings, storage_of
    from vte_wats.orchestration.task_context import staging
    from vte_wats.orchestration.variables import PROOF, Variables
    from vte_wats.reconcile.missing_runs import days_of, note_missing, odd_of, runs_to_transfer, suspects_of
    from vte_wats.state.late_arrivals import found_later
    from vte_wats.state.proof import Proof, days_without_runs
    from vte_wats.storage.in_flight_keys import confirmed_uploads
    from vte_wats.storage.unseen_reports import DROPPED, UnseenReports
    from vte_wats.sync.plan import plan_named
    from vte_wats.sync.slices import PLAN, hand_over

    context = get_current_context()
    site = Site(site_name)
    settings = read_settings(site)
    compared = [staging(site, settings, name) for name in batch_names(batches)]
    pulled, now_at = Handover.pull(context, "plan"), datetime.now(UTC)
    days, today = days_without_runs(pulled.days if pulled else (), now_at) | days_of(compared), now_at.date()
    odd = odd_of(compared, pulled.grown if pulled else {})
    storage = storage_of(site, settings)
    confirmed = {report.report_id for upload in confirmed_uploads(storage) for report in upload.confirmed}
    missing = runs_to_transfer(compared, _kinds(storage), settings.odd_timestamps, confirmed=confirmed)
    if not context["params"]["dry_run"]:
        note_missing(compared, UnseenReports(storage, DROPPED))
        Variables(site).change(PROOF, lambda proof: (proof or Proof()).with_days(days, today, missing.causes, odd))
    coverage = pulled.coverage if pulled is not None else None
    late = found_later(missing.times_local, coverage, settings) if coverage is not None else {}
    Handover(late=late, suspects=suspects_of(compared, context["dag_run"].run_id)).push(context)
    slices = plan_named(missing.runs, backlog_settings(site, settings))
    return hand_over(staging(site, settings, PLAN), slices)


@task(multiple_outputs=False)
def read_sample(site_name: str) -> dict[str, int]:
    """Read the sampled runs and those whose report WATS lists otherwise, and map them."""
    from vte_wats.orchestration.resources import open_vte, read_settings
    from vte_wats.orchestration.task_context import staging
    from vte_wats.sync.extract import extract
    from vte_wats.sync.map_runs import map_runs
    from vte_wats.sync.slices import Slice

    site = Site(site_name)
    settings = read_settings(site)
    context = get_current_context()
    sample = tuple(dict.fromkeys((*_planned(context).sample, *_suspects(context))))
    if not sample:
        return {"reports": 0, "dead": 0, "held": 0}
    staged = staging(site, settings, _SAMPLE)
    with open_vte(site, settings) as vte:
        extract(vte, staged, Slice(_SAMPLE, len(sample), guids=sample), settings)
    return map_runs(staged, settings)


@task(multiple_outputs=False)
def list_reports(site_name: str) -> dict[str, int]:
    """List the reports that WATS has of the compared days."""
    from vte_wats.orchestration.handover import Handover
    from vte_wats.orchestration.resources import open_wats, read_settings
    from vte_wats.reconcile.gone_runs import stage_listed

    context = get_current_context()
    site = Site(site_name)
    settings = read_settings(site)
    pulled = Handover.pull(context, "plan")
    with open_wats(site, settings) as wats:
        days = stage_listed(wats, _listed(context, site, settings), pulled.days if pulled else (), settings.zone)
    return {"days": days}


@task(multiple_outputs=False)
def find_gone(site_name: str) -> dict[str, int]:
    """Look for listed reports of runs that VTE no longer has, and keep the numbers of each day."""
    from vte_wats.orchestration.handover import Handover
    from vte_wats.orchestration.resources import open_vte, read_settings, storage_of
    from vte_wats.orchestration.variables import PROOF, Variables
    from vte_wats.reconcile.gone_runs import find_gone as find_runs
    from vte_wats.reconcile.gone_runs import whole_days
    from vte_wats.state.proof import Proof
    from vte_wats.storage.staging import discard

    context = get_current_context()
    site = Site(site_name)
    settings = read_settings(site)
    pulled = Handover.pull(context, "plan")
    days = pulled.days if pulled else ()
    with open_vte(site, settings) as vte:
        gone = find_runs(vte, _listed(context, site, settings), days)
    if gone is not None and not context["params"]["dry_run"]:
        found = gone
        Variables(site).change(PROOF, lambda proof: (proof or Proof()).with_gone(whole_days(days), found))
    discard(storage_of(site, settings), context["dag"].dag_id, _listed_by(context))
    return {"gone": sum(runs.runs for runs in (gone or {}).values())}


def _listed(context: Any, site: Site, settings: Settings) -> Staging:
    """Return where the reports are listed: apart from the DAG run's own staging, which may be removed before."""
    from vte_wats.orchestration.resources import storage_of
    from vte_wats.storage.staging import staging_of

    return staging_of(storage_of(site, settings), context["dag"].dag_id, _listed_by(context), "reports")


def _listed_by(context: Any) -> str:
    return f"{context['dag_run'].run_id} list_reports"


@task(multiple_outputs=False)
def verify(site_name: str) -> dict[str, int]:
    """Compare the sampled runs with their reports in WATS, value by value."""
    from vte_wats.orchestration import metrics
    from vte_wats.orchestration.resources import open_wats, read_settings, storage_of
    from vte_wats.orchestration.task_context import staging
    from vte_wats.orchestration.variables import PROOF, Variables
    from vte_wats.reconcile.compare import Comparison, refuse_altered, repair
    from vte_wats.reconcile.compare import verify as verify_sample
    from vte_wats.state.proof import Proof
    from vte_wats.storage.staging import discard

    context = get_current_context()
    site = Site(site_name)
    settings = read_settings(site)
    pulled = _planned(context)
    found = left_over = Comparison((), (), (), {})
    suspects = _suspects(context)
    looked_into = {*pulled.sample, *suspects}
    if looked_into:
        sample = staging(site, settings, _SAMPLE)
        with open_wats(site, settings) as wats:
            found = left_over = verify_sample(sample, wats, settings.excluded_runs)
            if found.altered and settings.repair_altered and not context["params"]["dry_run"]:
                left_over = repair(sample, wats, found)
    now_at, altered, cycle_day = datetime.now(UTC), len(found.altered), pulled.cycle_day
    if not context["params"]["dry_run"]:  # which transferred nothing, so the next one must look at the same days

        def change(proof: Proof | None) -> Proof:
            as_listed = (suspects[guid] for guid in found.equal if guid in suspects)
            after = (proof or Proof()).found_equal(found.equal, as_listed)
            after = after.looked_into(looked_into, left_over.altered.keys(), {*found.outdated, *found.absent})
            return after.ended(now_at, now_at.date(), altered, cycle_day)

        Variables(site).change(PROOF, change)
        if pulled.coverage is not None:
            metrics.compared(site, pulled.coverage, Variables(site).load(PROOF) or Proof(), settings.zone, now_at)
    discard(storage_of(site, settings), context["dag"].dag_id, context["dag_run"].run_id)
    refuse_altered(left_over, site.dag_id("backfill"))
    return {"equal": len(found.equal), "outdated": len(found.outdated), "altered": altered, "absent": len(found.absent)}


def _kinds(storage: UPath) -> Kinds:
    """Return of which kind each dead letter is; what another task has read of them is not read again."""
    return {summary.index_guid: summary.kind for summary in _summaries(storage)}


def _summaries(storage: UPath) -> Iterable[DeadLetterSummary]:
    from vte_wats.storage.dead_letter_index import DeadLetterIndex

    return DeadLetterIndex(storage, max_new=None).summaries()


def _suspects(context: Any) -> Mapping[UUID, str]:
    """Return the runs that WATS lists otherwise and that are to be compared value by value, with how it lists them."""
    from vte_wats.orchestration.handover import Handover

    pulled = Handover.pull(context, "plan_missing")
    return pulled.suspects if pulled else {}


def _planned(context: Any) -> Handover:
    """Return what plan left. Raises FatalError when it is lost."""
    from vte_wats.orchestration.handover import Handover

    pulled = Handover.pull(context, "plan")
    if pulled is None:
        raise FatalError(VW501, "the sample that plan drew is lost, so nothing was compared; the log of plan says why")
    return pulled


@task(multiple_outputs=False)
def remove_old_files(site_name: str) -> dict[str, int]:
    """Remove dead letters and what failures left in staging, as the settings say; return how many."""
    from vte_wats.orchestration import metrics
    from vte_wats.orchestration.resources import read_settings, storage_of
    from vte_wats.orchestration.variables import BACKFILL, Variables
    from vte_wats.storage.retention import Retention, remove_old

    site = Site(site_name)
    settings = read_settings(site)
    backfill = Variables(site).load(BACKFILL)
    days = settings.dead_letter_retention_days
    retention = Retention(
        dead_letters=None if days is None else timedelta(days=days),
        staging=timedelta(days=settings.staging_retention_days),
        plan=None if backfill is None or backfill.ended_at is not None else backfill.reference,
    )
    removed = remove_old(storage_of(site, settings), retention, datetime.now(UTC))
    metrics.removed(site, removed)
    return asdict(removed)
