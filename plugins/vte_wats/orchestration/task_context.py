"""What a task asks Airflow about its DAG run."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context

from vte_wats.config.settings import Settings
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.domain.report import UploadResult
from vte_wats.intervals.interval import Interval, in_utc
from vte_wats.messages import VW625
from vte_wats.orchestration.handover import pull_returned, upload_result
from vte_wats.orchestration.resources import read_state, storage_of
from vte_wats.storage.staging import Staging, staging_of

if TYPE_CHECKING:
    from upath import UPath

_NAMED = 10  # tasks that a message lists


def staging(site: Site, settings: Settings, slice_name: str) -> Staging:
    """Return the staging of one slice of this DAG run."""
    context = get_current_context()
    storage: UPath = storage_of(site, settings)
    return staging_of(storage, context["dag"].dag_id, context["dag_run"].run_id, slice_name)


def interval_to_sync(context: Any, site: Site) -> Interval:
    """Return the data interval; a manual run without one covers the time from the watermark to its trigger."""
    from_at, to_at = context.get("data_interval_start"), context.get("data_interval_end")
    since_at = context["dag"].start_date
    if from_at is None or to_at is None:
        until_at = context["dag_run"].run_after
        state = read_state(site, since_at)
        from_at, to_at = min(state.last_sync if state else since_at, until_at), until_at
        return Interval(in_utc(from_at), in_utc(to_at))  # a state of the future is refused later
    is_first = since_at < from_at < since_at + (to_at - from_at)  # a start date need not lie on a tick of the schedule
    return Interval(in_utc(since_at if is_first else from_at), in_utc(to_at))


def sync_key(context: Any, attempt: int) -> str:
    """Return what names this sync: the DAG run and the try of its plan. A cleared one transfers its slices again."""
    name = f"{context['dag'].dag_id} {context['dag_run'].run_id} {attempt}"
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def other_syncs_are_at_work(context: Any) -> bool:
    """Return whether other DAG runs of this DAG have not ended: time that is not covered yet may be theirs."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    dag_id, active = context["dag"].dag_id, ["queued", "running"]
    return RuntimeTaskInstance.get_dr_count(dag_id=dag_id, states=active) > 1


def uploads_that_succeeded(context: Any, planned: range, task_id: str) -> dict[int, UploadResult]:
    """Return the results of the uploads of this very try, for some of the planned slices, by map index, ascending.

    What an earlier try left in XCom stays there when a cleared task fails before it starts, so the states decide which
    results count. Airflow also hands over a bare value instead of a list when there is one slice; asking for map
    indexes always gives a list. Raises FatalError for uploads that succeeded without a result: a person marked them.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    dag_run_id = context["dag_run"].run_id
    states = RuntimeTaskInstance.get_task_states(
        dag_id=context["dag"].dag_id, run_ids=[dag_run_id], task_group_id=task_id.partition(".")[0]
    ).get(dag_run_id, {})
    succeeded = [index for index in planned if states.get(f"{task_id}_{index}") == "success"]
    pulled = [upload_result(plain) for plain in pull_returned(context, task_id, succeeded)]
    results = {index: result for index, result in zip(succeeded, pulled, strict=True) if result is not None}
    marked = [f"{task_id}[{index}]" for index in succeeded if index not in results]
    if marked:
        raise FatalError(
            VW625,
            f"{', '.join(marked[:_NAMED])}{' …' if len(marked) > _NAMED else ''}: success, but without a result that "
            "can be read. Somebody marked them, or the XCom backend lost it: what became of their runs is unknown, so "
            "the window stays open. Clear them with the tasks after them: runs that are in WATS are skipped",
        )
    return results
