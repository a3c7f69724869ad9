"""How the tasks of a backfill go from part to part: what a DAG run is told, what it leaves, what is shown meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from airflow.sdk import Variable
from pydantic import ValidationError

from vte_wats.backfill.dry_run_report import lines, merged, preview
from vte_wats.backfill.progress import Progress
from vte_wats.backfill.redrive import lettered, redrive
from vte_wats.backfill.request import (
    Part,
    Request,
    estimated_s,
    parts_of_guids,
    parts_of_time,
    read_request,
)
from vte_wats.intervals.windows import local_ranges
from vte_wats.messages import VW920
from vte_wats.orchestration.resources import open_source, read_settings, storage_of, wats_budget
from vte_wats.orchestration.tasks import UPLOAD_TASK, leave_window, verified_state
from vte_wats.state.coverage import Outcome
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.sync.plan import plan as plan_window
from vte_wats.sync.plan import plan_named

if TYPE_CHECKING:
    from vte_wats.config.settings import Settings
    from vte_wats.config.sites import Site
    from vte_wats.domain.ports import RunSource
    from vte_wats.storage.staging import Staging
    from vte_wats.sync.slices import Slice

log = logging.getLogger(__name__)

CONTINUED = "continued"
PREVIEW_KEY = "preview"
PARTS_KEY = "parts"
SUMMARY_KEY = "summary"
_PART = "__part_"


def plan_part(context: Any, site: Site, slices_per_part: int) -> list[Slice]:
    """Plan the whole backfill when it begins, and the part of this DAG run; refuse a wrong form before all that."""
    settings = read_settings(site)
    now_at = datetime.now(UTC)
    request = read_request(context["params"], now_at, settings)
    settings = settings.model_copy(update={"batch_size": request.batch_size})
    letters = DeadLetters(storage_of(site, settings))
    continued = (context["dag_run"].conf or {}).get(CONTINUED)
    with open_source(site, settings) as source:
        verified_state(context, site, source.identity(), settings)
        if continued:
            parts, number = [Part(**part) for part in continued["parts"]], continued["part"]
        else:
            parts, number = _parts(request, source, letters, settings, slices_per_part * request.batch_size), 1
        if number == 1 or _known(context, site) is None:
            _write(site, _beginning(context, site, request, parts, now_at))
        part = parts[number - 1]
        context["ti"].xcom_push(key=PARTS_KEY, value={"parts": [asdict(one) for one in parts], "part": number})
        log.info("backfill of %s: %s", request, _change(context, site, lambda known: known.with_part(number, now_at)))
        if request.window is None:
            return list(plan_named(part.guids_among(_named(request, letters, begins=False)), settings))
        planned = plan_window(source, settings, part.window)
    leave_window(context, planned.window)
    return list(planned.slices)


def note_slice(context: Any, site: Site, staging: Staging, name: str, read: int) -> None:
    """Tell how far it is, and in a dry run what its mapping would do.

    Uploads that run side by side (``concurrent_tasks``) may overwrite what each other told: what is shown lags behind
    until the part is settled, and nothing else depends on it.
    """
    if context["params"]["dry_run"]:
        context["ti"].xcom_push(key=PREVIEW_KEY, value=preview(staging))
    log.info("%s", _change(context, site, lambda known: known.with_slice(name, read, datetime.now(UTC))))


def end_part(context: Any, site: Site, settled: dict[str, Any], slices: Sequence[Any]) -> list[dict[str, Any]]:
    """Tell what the part came to; return what the next DAG run is triggered with, nothing after the last part."""
    previews = context["ti"].xcom_pull(task_ids=UPLOAD_TASK, key=PREVIEW_KEY, map_indexes=list(range(len(slices))))
    found = merged(one for one in previews or () if one)
    outcomes = {one: settled[one.value] for one in Outcome}
    progress = _change(context, site, lambda known: known.with_settled(outcomes, found, datetime.now(UTC)))
    planned = sum(one["runs"] for one in slices)
    if (absent := planned - sum(outcomes.values())) > 0:
        log.warning("%s %d runs less than planned were found: they are not in VTE, or no longer", VW920, absent)
    for line in lines(found if progress is None else progress.preview):
        log.info("%s", line)
    log.info("%s", progress)
    if progress is not None:
        told = progress.model_dump(mode="json", exclude={"slices", "settled"})
        context["ti"].xcom_push(key=SUMMARY_KEY, value=told)
    course = context["ti"].xcom_pull(task_ids="plan", key=PARTS_KEY)
    if course["part"] == len(course["parts"]):
        return []
    part = course["part"] + 1
    conf = {**context["params"], CONTINUED: course | {"part": part}}
    return [{"conf": conf, "trigger_run_id": f"{_first_run_id(context)}{_PART}{part}"}]


def _parts(
    request: Request, source: RunSource, letters: DeadLetters, settings: Settings, runs_per_part: int
) -> list[Part]:
    if request.window is None:
        return list(parts_of_guids(_named(request, letters, begins=True), runs_per_part))
    hours = list(source.run_hours(local_ranges(request.window, settings.zone)))
    return list(parts_of_time(request.window, hours, settings.zone, runs_per_part))


def _named(request: Request, letters: DeadLetters, *, begins: bool) -> list[UUID]:
    if request.dead_letters is None:
        return [UUID(text) for text in request.guids]
    return (redrive if begins else lettered)(letters, request.dead_letters)


def _beginning(context: Any, site: Site, request: Request, parts: Sequence[Part], now_at: datetime) -> Progress:
    runs = sum(part.runs for part in parts)
    return Progress(
        dag_run_id=_first_run_id(context),
        asked=str(request),
        dry_run=context["params"]["dry_run"],
        force=context["params"]["force"],
        runs=runs,
        parts=len(parts),
        estimate_s=estimated_s(runs, request.batch_size, wats_budget(site)),
        started_at=now_at,
        updated_at=now_at,
    )


def _first_run_id(context: Any) -> str:
    run_id: str = context["dag_run"].run_id
    return run_id.partition(_PART)[0]


def _known(context: Any, site: Site) -> Progress | None:
    """Return how far this backfill is; ``None`` when the Variable tells of another one, or of none."""
    try:
        progress = Progress.model_validate_json(Variable.get(site.backfill_variable, default=None) or "")
    except ValidationError:
        return None
    return progress if progress.dag_run_id == _first_run_id(context) else None


def _change(context: Any, site: Site, change: Callable[[Progress], Progress]) -> Progress | None:
    known = _known(context, site)
    if known is None:  # a task of an older backfill was cleared: what is shown of the newer one stays
        return None
    changed = change(known)
    _write(site, changed)
    return changed


def _write(site: Site, progress: Progress) -> None:
    Variable.set(site.backfill_variable, progress.model_dump_json(indent=1))
