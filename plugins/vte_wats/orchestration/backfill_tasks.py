"""The tasks of ``vte_wats_backfill`` that no other DAG has: plan a part, and prepare the next DAG run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import Param, get_current_context, task

from vte_wats.config.sites import Site
from vte_wats.messages import VW920
from vte_wats.orchestration.dag_defaults import transfer_params

if TYPE_CHECKING:
    from vte_wats.backfill.progress import Progress
    from vte_wats.backfill.request import Part, Request
    from vte_wats.config.settings import Settings
    from vte_wats.domain.ports import RunSource
    from vte_wats.orchestration.handover import BackfillCourse
    from vte_wats.storage.dead_letters import DeadLetters

log = logging.getLogger(__name__)

CONTINUED = "continued"
SUMMARY_KEY = "summary"


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
        description="Runs per slice, about; empty: the setting batch_size.",
    ),
    **transfer_params(dry_run="Read, map and compare, but post nothing.", section="How"),
}


class TriggerNextPart(TriggerDagRunOperator):
    """Starts the DAG run of the next part. Nothing that it is given is a template: test plans may have any name."""

    template_fields: Sequence[str] = ()


@task
def plan(site_name: str, slices_per_part: int) -> list[dict[str, Any]]:
    """Plan the whole backfill when it starts, and the part of this DAG run; refuse a wrong form first."""
    from vte_wats.backfill.request import read_request
    from vte_wats.orchestration.backfill_progress import change_progress, read_progress
    from vte_wats.orchestration.handover import BackfillCourse, Handover, Planned
    from vte_wats.orchestration.resources import open_vte, read_settings, storage_of
    from vte_wats.orchestration.variables import BACKFILL, Variables
    from vte_wats.orchestration.verified_state import verified_state
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.sync.plan import plan as plan_window
    from vte_wats.sync.plan import plan_named

    context, site = get_current_context(), Site(site_name)
    settings = read_settings(site)
    now_at = datetime.now(UTC)
    request = read_request(context["params"], now_at, settings)
    settings = settings.model_copy(update={"batch_size": request.batch_size})
    dead_letters = DeadLetters(storage_of(site, settings))
    with open_vte(site, settings) as vte:
        state = verified_state(context, site, vte.identity(), settings)
        continued = (context["dag_run"].conf or {}).get(CONTINUED)
        if continued:
            course = BackfillCourse.model_validate(continued)
        else:
            parts = _parts(request, vte, dead_letters, settings, slices_per_part * request.batch_size)
            course = BackfillCourse(parts=tuple(parts), number=1)
        if course.number == 1 or read_progress(context, site) is None:
            Variables(site).save(BACKFILL, _progress(context, site, request, course, now_at))
        part = course.parts[course.number - 1]
        planned = None if request.window is None else plan_window(vte, settings, part.window)
    window = None if planned is None else planned.window
    Handover(planned=Planned.by(context, state, settings, window), course=course).push(context)
    progress = change_progress(context, site, lambda known: known.with_part(course.number, now_at))
    log.info("backfill of %s: %s", request, progress)
    slices = (
        plan_named(part.guids_among(_named(request, dead_letters, starts=False)), settings)
        if planned is None
        else planned.slices
    )
    return [one_slice.to_xcom() for one_slice in slices]


@task
def trigger_next_part(site_name: str, settled: dict[str, Any], slices: Any) -> list[dict[str, Any]]:
    """Log what the part came to; return what the next DAG run is triggered with, nothing after the last part."""
    from vte_wats.backfill.dry_run_report import lines, merge_previews
    from vte_wats.domain.errors import FatalError
    from vte_wats.domain.outcome import Outcome
    from vte_wats.messages import VW501
    from vte_wats.orchestration.backfill_progress import PART, change_progress, first_dag_run_id
    from vte_wats.orchestration.handover import Handover
    from vte_wats.orchestration.transfer import UPLOAD_TASK

    context, site = get_current_context(), Site(site_name)
    planned = sum(part["runs"] for part in slices)
    previews = (left.preview for left in Handover.pull_mapped(context, UPLOAD_TASK, len(slices)))
    found = merge_previews(preview for preview in previews if preview)
    outcomes = {outcome: settled[outcome.value] for outcome in Outcome}
    progress = change_progress(context, site, lambda known: known.with_settled(outcomes, found, datetime.now(UTC)))
    if (absent := planned - sum(outcomes.values())) > 0:
        log.warning("%s %d runs less than planned were found: they are not in VTE, or no longer", VW920, absent)
    for line in lines(found if progress is None else progress.preview):
        log.info("%s", line)
    log.info("%s", progress)
    if progress is not None:
        summary = progress.model_dump(mode="json", exclude={"slices", "settled"})
        context["ti"].xcom_push(key=SUMMARY_KEY, value=summary)
    left = Handover.pull(context, "plan")
    if left is None or left.course is None:
        raise FatalError(VW501, "the plan of this part is lost; the log of plan says why")
    course = left.course
    if course.number == len(course.parts):
        return []
    following = course.model_copy(update={"number": course.number + 1})
    conf = {**_form(context), CONTINUED: following.model_dump(mode="json")}
    return [{"conf": conf, "trigger_run_id": f"{first_dag_run_id(context)}{PART}{following.number}"}]


def _form(context: Any) -> dict[str, Any]:
    """Return the fields of the form alone: what else somebody put into ``conf`` does not travel on."""
    return {name: context["params"][name] for name in context["dag"].params}


def _parts(
    request: Request, vte: RunSource, dead_letters: DeadLetters, settings: Settings, runs_per_part: int
) -> Sequence[Part]:
    from vte_wats.backfill.request import parts_of_guids, parts_of_time
    from vte_wats.intervals.dst import local_ranges

    if request.window is None:
        return parts_of_guids(_named(request, dead_letters, starts=True), runs_per_part)
    hours = list(vte.run_hours(local_ranges(request.window, settings.zone)))
    return parts_of_time(request.window, hours, settings.zone, runs_per_part)


def _named(request: Request, dead_letters: DeadLetters, *, starts: bool) -> list[UUID]:
    from vte_wats.backfill.request import dead_letters_of, redrive

    if request.dead_letters is None:
        return [UUID(text) for text in request.guids]
    return (redrive if starts else dead_letters_of)(dead_letters, request.dead_letters)


def _progress(context: Any, site: Site, request: Request, course: BackfillCourse, now_at: datetime) -> Progress:
    from vte_wats.backfill.progress import Progress
    from vte_wats.backfill.request import estimated_s
    from vte_wats.orchestration.backfill_progress import first_dag_run_id
    from vte_wats.orchestration.resources import wats_connection

    runs = sum(part.runs for part in course.parts)
    return Progress(
        dag_run_id=first_dag_run_id(context),
        asked=str(request),
        dry_run=context["params"]["dry_run"],
        force=context["params"]["force"],
        runs=runs,
        parts=len(course.parts),
        estimate_s=estimated_s(runs, request.batch_size, wats_connection(site).requests_per_minute),
        started_at=now_at,
        updated_at=now_at,
    )
