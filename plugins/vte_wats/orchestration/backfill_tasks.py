"""The tasks of ``vte_wats_backfill`` that no other DAG has: plan a part, and prepare the next DAG run."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param, get_current_context, task

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW624
from vte_wats.orchestration.dag_defaults import transfer_params

if TYPE_CHECKING:
    from upath import UPath

    from vte_wats.backfill.progress import Progress
    from vte_wats.backfill.request import BackfillPlan, PartReference, Request
    from vte_wats.config.settings import Settings
    from vte_wats.domain.ports import RunSource

log = logging.getLogger(__name__)

SUMMARY_KEY = "summary"
_LONGEST_ID = 250  # characters that Airflow stores of a DAG run's id
_NAMED = 10  # slices that a message lists


BACKFILL_FORM = {
    "from": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="From",
        section="A time range",
        description="The first instant whose runs are transferred.",
    ),
    "to": Param(
        None,
        type=["null", "string"],
        format="date-time",
        title="To",
        section="A time range",
        description="The first instant after them.",
    ),
    "guids": Param(
        [],
        type="array",
        items={"type": "string"},
        title="Runs",
        section="Or named runs",
        description="Index_GUIDs, one a line. They are read from VTE again.",
    ),
    "dead_letters": Param(
        None,
        type=["null", "string"],
        title="Dead letters",
        section="Or dead letters",
        description="all, or the signature of one group. They are read from VTE again, so corrected data goes through.",
    ),
    "batch_size": Param(
        None,
        type=["null", "integer"],
        minimum=1,
        maximum=1_000,
        title="Batch size",
        section="How",
        description="Runs per slice, about; empty: what WATS takes within 25 s, at most the setting batch_size.",
    ),
    **transfer_params(dry_run="Read, map and compare, but post nothing.", section="How"),
}


class TriggerNextPart(TriggerDagRunOperator):
    """Starts the DAG run of the next part. Nothing that it is given is a template."""

    template_fields: Sequence[str] = ()


@task
def plan(site_name: str, slices_per_part: int) -> list[dict[str, Any]]:
    """Plan the whole backfill when it starts, and the part of this DAG run; refuse a wrong form first."""
    from vte_wats.backfill.request import BackfillPlans, read_request
    from vte_wats.orchestration.backfill_progress import change_progress, first_part, part_reference, read_progress
    from vte_wats.orchestration.handover import Handover, Planned
    from vte_wats.orchestration.resources import backlog_settings, open_vte, read_settings, storage_of
    from vte_wats.orchestration.task_context import staging
    from vte_wats.orchestration.variables import BACKFILL, Variables
    from vte_wats.orchestration.verified_state import verified_state
    from vte_wats.sync.plan import plan as plan_window
    from vte_wats.sync.plan import plan_named
    from vte_wats.sync.slices import PLAN, hand_over

    context, site = get_current_context(), Site(site_name)
    settings = backlog_settings(site, read_settings(site))
    now_at = datetime.now(UTC)
    reference = part_reference(context)
    storage = storage_of(site, settings)
    plans = BackfillPlans(storage)
    starts = (
        reference == first_part(context) and plans.load(reference) is None
    )  # a cleared task finds the plan of its first try
    request = read_request(context["params"], now_at, settings) if starts else None
    with open_vte(site, settings) as vte:
        state = verified_state(context, site, vte.identity(), settings)
        if request is not None:
            runs_per_part = slices_per_part * request.batch_size
            dag_run_id = context["dag_run"].run_id
            plans.save(reference, _plan(dag_run_id, request, vte, storage, settings, runs_per_part=runs_per_part))
        whole, part = plans.load_part(reference)
        settings = settings.model_copy(update={"batch_size": whole.batch_size})
        if reference.part == 1 or read_progress(context, site) is None:
            Variables(site).save(BACKFILL, _progress(context, site, reference, whole, now_at))
        planned = plan_window(vte, settings, part.interval) if part.interval is not None else None
    window = None if planned is None else planned.window
    Handover(planned=Planned.by(context, state, settings, window)).push(context)
    progress = change_progress(context, site, lambda known: known.with_part(reference.part, now_at))
    log.info("backfill of %s: %s", whole.asked, progress)
    slices = plan_named(part.guids_among(whole.runs or ()), settings) if planned is None else planned.slices
    return hand_over(staging(site, settings, PLAN), slices)


@task
def trigger_next_part(site_name: str, settled: dict[str, Any], slices: Any) -> list[dict[str, Any]]:
    """Log what the part came to; return what the next DAG run is triggered with, nothing after the last part."""
    from vte_wats.backfill.dry_run_report import lines, merge_previews
    from vte_wats.backfill.request import BackfillPlans
    from vte_wats.orchestration.backfill_progress import CONTINUED, change_progress, part_reference
    from vte_wats.orchestration.handover import Handover, planned_slices, push_shown, settled_outcomes
    from vte_wats.orchestration.resources import read_settings, storage_of
    from vte_wats.orchestration.transfer import UPLOAD_TASK

    context, site = get_current_context(), Site(site_name)
    pulled = Handover.pull_mapped(context, UPLOAD_TASK, len(planned_slices(slices)))
    found = merge_previews(handover.preview for handover in pulled if handover.preview)
    outcomes = settled_outcomes(settled)
    progress = change_progress(context, site, lambda known: known.with_settled(outcomes, found, datetime.now(UTC)))
    for line in lines(found if progress is None else progress.preview):
        log.info("%s", line)
    log.info("%s", progress)
    if progress is not None:
        summary = progress.model_dump(mode="json", exclude={"slices", "settled"})
        push_shown(context, SUMMARY_KEY, summary)
    reference = part_reference(context)
    whole, _ = BackfillPlans(storage_of(site, read_settings(site))).load_part(reference)
    if reference.part == len(whole.parts):
        return []
    following = reference.following()
    params = context["params"]
    conf = {
        "dry_run": bool(params["dry_run"]),
        "force": bool(params["force"]),
        CONTINUED: following.model_dump(mode="json"),
    }
    return [{"conf": conf, "trigger_run_id": dag_run_id_of(whole.dag_run_id, following.part)}]


@task(multiple_outputs=False)
def check_part(site_name: str, settled: dict[str, Any], slices: Any) -> dict[str, int]:
    """Fail when a slice found fewer runs than planned, or a part none of those that the whole plan counted in it.

    The others are transferred, and the next part starts.
    """
    from vte_wats.orchestration.handover import planned_slices
    from vte_wats.orchestration.task_context import uploads_that_succeeded
    from vte_wats.orchestration.transfer import UPLOAD_TASK

    del settled
    context, planned = get_current_context(), planned_slices(slices)
    if not planned:
        _refuse_emptied_part(context, Site(site_name))
    results = list(uploads_that_succeeded(context, range(len(planned)), UPLOAD_TASK).values())
    short = [
        f"{slice_.label}: {result.read:,} of {slice_.runs:,} runs"
        for slice_, result in zip(planned, results, strict=True)
        if result.read < slice_.runs
    ]
    if short:
        more = f"\nand {len(short) - _NAMED} more" if len(short) > _NAMED else ""
        done = "compared, and nothing is posted" if context["params"]["dry_run"] else "transferred"
        raise FatalError(
            VW624,
            f"{len(short)} of {len(planned)} slices found fewer runs than planned: GUIDs that are not in VTE, or runs "
            f"that were deleted there since. The runs that were found are {done}. The log of extract names the "
            "GUIDs. Trigger the backfill again with the right ones; if they were deleted on purpose, mark this task as "
            "success\n- " + "\n- ".join(short[:_NAMED]) + more,
        )
    return {"planned": sum(slice_.runs for slice_ in planned), "read": sum(result.read for result in results)}


def _refuse_emptied_part(context: Any, site: Site) -> None:
    from vte_wats.backfill.request import BackfillPlans
    from vte_wats.orchestration.backfill_progress import part_reference
    from vte_wats.orchestration.resources import read_settings, storage_of

    reference = part_reference(context)
    whole, part = BackfillPlans(storage_of(site, read_settings(site))).load_part(reference)
    if part.runs and part.interval is not None:
        from_at, to_at = part.interval.from_at.isoformat(), part.interval.to_at.isoformat()
        raise FatalError(
            VW624,
            f"part {reference.part} of {len(whole.parts)}, from {from_at} to {to_at}, had {part.runs:,} "
            "runs when the backfill was planned, and VTE has none there now: they were deleted since, or have another "
            "Timestamp. The next part starts all the same. Look for them in VTE, and trigger the backfill of this time "
            "again once they are there; if they were deleted on purpose, mark this task as success",
        )


def dag_run_id_of(first_dag_run_id: str, part: int) -> str:
    """Return the id of the DAG run that processes a part, whatever the id of the first one is."""
    suffix = f"__part_{part}"
    if len(first_dag_run_id) + len(suffix) <= _LONGEST_ID:
        return first_dag_run_id + suffix
    digest = hashlib.sha256(first_dag_run_id.encode()).hexdigest()[:16]
    return f"{first_dag_run_id[:200]}~{digest}{suffix}"


def _plan(
    dag_run_id: str, request: Request, vte: RunSource, storage: UPath, settings: Settings, *, runs_per_part: int
) -> BackfillPlan:
    from vte_wats.backfill.request import BackfillPlan, named_runs, parts_of_guids, parts_of_time
    from vte_wats.intervals.wall_clock import local_ranges
    from vte_wats.storage.dead_letter_index import DeadLetterIndex

    runs = None
    if request.window is None:
        runs = tuple(sorted(set(named_runs(request, DeadLetterIndex(storage, max_new=None).summaries))))
        parts = parts_of_guids(runs, runs_per_part)
    else:
        hours = list(vte.run_hours(local_ranges(request.window, settings.zone)))
        parts = parts_of_time(request.window, hours, settings.zone, runs_per_part)
    return BackfillPlan(
        dag_run_id=dag_run_id,
        asked=str(request),
        batch_size=request.batch_size,
        parts=parts,
        runs=runs,
    )


def _progress(context: Any, site: Site, reference: PartReference, whole: BackfillPlan, now_at: datetime) -> Progress:
    from vte_wats.backfill.progress import Progress
    from vte_wats.backfill.request import estimated_s
    from vte_wats.orchestration.resources import wats_connection

    runs = sum(part.runs for part in whole.parts)
    return Progress(
        dag_run_id=whole.dag_run_id,
        reference=reference.plan,
        asked=whole.asked,
        dry_run=context["params"]["dry_run"],
        force=context["params"]["force"],
        runs=runs,
        parts=len(whole.parts),
        estimate_s=estimated_s(runs, whole.batch_size, wats_connection(site).requests_per_minute),
        started_at=now_at,
        updated_at=now_at,
    )
