"""The tasks that every DAG of this package is made of: carry a slice, and settle the accounts.

A task body opens the edges it needs, calls one verb, and returns a small dict; the verbs live in ``vte_wats.sync``.
Every task is told the name of the site it works for.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, TriggerRule, get_current_context, task, task_group

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW501
from vte_wats.orchestration.dag_options import DagSettings
from vte_wats.orchestration.failure_callback import note_failure
from vte_wats.orchestration.retry import SyncRetryPolicy
from vte_wats.orchestration.wats_link import LINK_KEY, linked_task

if TYPE_CHECKING:
    from uuid import UUID

    from upath import UPath

    from vte_wats.config.settings import Settings
    from vte_wats.domain.ports import Report, SourceIdentity
    from vte_wats.intervals.windows import Window
    from vte_wats.state.coverage import State
    from vte_wats.storage.staging import Staging
    from vte_wats.sync.map_runs import Refusal
    from vte_wats.sync.plan import Plan
    from vte_wats.sync.upload import ReadAgain

WINDOW_KEY = "window"
VERIFIED_STATE_KEY = "recognised"
SETTLED_KEY = "settled"
FOUND_LATER_KEY = "found_later"
PLAN_TRY = "plan_try"
PLANNED_WITH = "planned_with"
SNAPSHOT_KEY = "glimpse"
COVERAGE_KEY = "coverage"
UPLOAD_TASK = "transfer.upload"


class Priority(IntEnum):
    """Whose task goes first when several wait for a slot, of WATS above all: the highest number."""

    LIVE = 300
    RECONCILE = 200
    BACKFILL = 100


def priority_arguments(priority: Priority) -> dict[str, Any]:
    """Return the ``default_args`` that put every task of a DAG into a lane, whatever hangs on the task."""
    return {"priority_weight": priority.value, "weight_rule": "absolute"}


def task_arguments(site: Site, settings: DagSettings) -> dict[str, Any]:
    """Return the ``default_args`` of a DAG: how often a failed task is tried again, and that its reason is noted."""
    note = note_failure(site)
    return {
        "retries": settings.retries,
        "retry_delay": settings.retry_delay,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
        "retry_policy": SyncRetryPolicy(),
        "on_failure_callback": note,
        "on_retry_callback": note,
    }


def transfer_and_settle(site: Site, slices: Any) -> Any:
    """Carry every slice of a plan, each by mapped tasks of its own, then settle; return what that came to."""
    settling = settle.override(pool=site.state_pool, outlets=[AssetAlias(site.asset)])(site.name, slices)
    transfer.partial(site=site).expand(part=slices) >> settling
    return settling


@task_group
def transfer(site: Site, part: dict[str, Any]) -> Any:
    """Carry one slice from VTE to WATS; returns the counts of its outcomes."""
    mapped = map_runs(site.name, extract(site.name, part))  # type: ignore[arg-type]
    return upload.override(pool=site.wats_pool)(site.name, mapped)  # type: ignore[arg-type]


@task(map_index_template="{{ slice_label }}")
def extract(site_name: str, part: dict[str, Any]) -> dict[str, Any]:
    """Read the slice's runs from VTE into staging."""
    from vte_wats.orchestration.resources import open_source, read_settings
    from vte_wats.sync.extract import extract as extract_slice
    from vte_wats.sync.slices import Slice

    site = Site(site_name)
    settings = read_settings(site)
    one = Slice.from_xcom(part)
    get_current_context()["slice_label"] = one.label  # type: ignore[typeddict-unknown-key]
    with open_source(site, settings) as source:
        read = extract_slice(source, staging(site, settings, one.name), one, settings)
    return {"slice": one.name, "label": one.label, "read": read}


@task(map_index_template="{{ slice_label }}")
def map_runs(site_name: str, extracted: dict[str, Any]) -> dict[str, Any]:
    """Turn the staged runs into staged reports."""
    from vte_wats.orchestration.resources import read_settings
    from vte_wats.sync.map_runs import map_runs as map_slice

    site = Site(site_name)
    settings = read_settings(site)
    get_current_context()["slice_label"] = extracted["label"]  # type: ignore[typeddict-unknown-key]
    return extracted | map_slice(staging(site, settings, extracted["slice"]), settings)


@linked_task(map_index_template="{{ slice_label }}")
def upload(site_name: str, mapped: dict[str, Any]) -> dict[str, Any]:
    """Compare the staged reports with WATS, post what is missing or changed, write dead letters."""
    from dataclasses import asdict

    from vte_wats.orchestration import metrics
    from vte_wats.orchestration.backfill_tasks import note_slice
    from vte_wats.orchestration.resources import open_wats, read_settings, report_page, storage_of
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.storage.in_flight_keys import InFlightKeys
    from vte_wats.sync.upload import UploadOptions, first_achieved
    from vte_wats.sync.upload import upload as upload_slice

    site = Site(site_name)
    settings = read_settings(site)
    context = get_current_context()
    context["slice_label"] = mapped["label"]  # type: ignore[typeddict-unknown-key]
    params = context["params"]
    options = UploadOptions(datetime.now(UTC), force=params["force"], dry_run=params["dry_run"])
    storage, staged = storage_of(site, settings), staging(site, settings, mapped["slice"])
    dag_id, run_id = context["dag"].dag_id, context["dag_run"].run_id
    letters = DeadLetters(storage, dag_id=dag_id, dag_run_id=run_id)
    name = f"{dag_id} {run_id} {mapped['slice']}"
    with open_wats(site, settings) as wats, InFlightKeys(storage, name, options.now_at) as claims:
        try:
            counts = upload_slice(
                staged, wats, letters, settings, options, claims=claims, read_again=_reader(site, settings)
            )
        finally:
            metrics.sent(site, wats.request_stats())
    if (shown := first_achieved(staged)) is not None:
        context["ti"].xcom_push(key=LINK_KEY, value=report_page(site, shown))
    if not options.dry_run:
        metrics.transferred(site, counts)
    if context["dag"].dag_id == site.dag_id("backfill"):
        note_slice(context, site, staged, mapped["slice"], counts["read"])
    return counts | asdict(wats.request_stats())


def _reader(site: Site, settings: Settings) -> ReadAgain:
    """Return what reads runs from VTE once more; nothing is dialled unless it is asked."""
    from vte_wats.orchestration.resources import open_source
    from vte_wats.sync.map_runs import read_again

    def reader(guids: Sequence[UUID]) -> list[Report | Refusal]:
        with open_source(site, settings) as source:
            return read_again(source, settings, guids)

    return reader


@task(trigger_rule=TriggerRule.ALL_DONE)
def settle(site_name: str, slices: Any) -> dict[str, Any]:
    """Balance the accounts of all slices; only a complete window extends coverage and moves ``lastSync``."""
    from vte_wats.orchestration.history_writer import history_settled, history_so_far, publish_history
    from vte_wats.orchestration.resources import read_settings, storage_of, write_state
    from vte_wats.state.coverage import Outcome
    from vte_wats.storage.staging import discard
    from vte_wats.sync.settle import settle as settle_slices
    from vte_wats.sync.upload import REDRIVEN

    context = get_current_context()
    if slices is None:
        raise FatalError(VW501, "nothing was planned, so nothing was carried; the log of the failed task says why")
    site = Site(site_name)
    settings = read_settings(site)
    window, (state, begins) = planned_window(context), state_to_settle(context, site)
    results = uploads_that_succeeded(context, len(slices))
    history = history_so_far(context, site, state)
    planned = context["ti"].xcom_pull(task_ids="plan", key=VERIFIED_STATE_KEY)
    tried_held = context["dag"].dag_id != site.dag_id("backfill")  # then by the settings of the plan, not by later ones
    try:
        after = settle_slices(
            state,
            window,
            len(slices),
            results,
            planned[PLANNED_WITH] if tried_held else state.settings_hash,
            key=_sync_key(context, planned),
            late=_found_later(context),
        )
    except FatalError:
        publish_history(context, site, settings, state, history)
        raise
    discard(storage_of(site, settings), context["dag"].dag_id, context["dag_run"].run_id)
    publish_history(context, site, settings, after, history_settled(context, site, history, after, results))
    if not context["params"]["dry_run"] and not (begins and window is None):  # only a sync of time begins a state
        write_state(site, after)  # it knows this sync by now, should this try end before it can say so
        context["ti"].xcom_push(key=SETTLED_KEY, value=after.receipt())
    outcomes = {name: sum(result[name] for result in results) for name in (*Outcome, REDRIVEN)}
    if not context["params"]["dry_run"]:
        tell_other_dags(context, site, outcomes)
    return {"last_sync": after.last_sync.isoformat(), **outcomes}


def tell_other_dags(context: Any, site: Site, outcomes: Mapping[str, int]) -> None:
    """Emit the site's asset when WATS holds something new; DAGs of other teams may run on it."""
    new = {name: outcomes[name] for name in ("uploaded", "replaced") if outcomes[name]}
    if new:
        context["outlet_events"][AssetAlias(site.asset)].add(Asset(site.asset), extra=new)


def uploads_that_succeeded(context: Any, planned: int) -> list[dict[str, int]]:
    """Return the results of the uploads of this very try.

    What an earlier try left in XCom stays there when a cleared task fails before it starts, so the states decide which
    results count. Airflow also hands over a bare value instead of a list when there is one slice; asking for map
    indexes always gives a list.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    run_id = context["dag_run"].run_id
    states = RuntimeTaskInstance.get_task_states(
        dag_id=context["dag"].dag_id, run_ids=[run_id], task_group_id="transfer"
    ).get(run_id, {})
    succeeded = [index for index in range(planned) if states.get(f"{UPLOAD_TASK}_{index}") == "success"]
    return list(context["ti"].xcom_pull(task_ids=UPLOAD_TASK, map_indexes=succeeded)) if succeeded else []


def verified_state(context: Any, site: Site, seen: tuple[SourceIdentity, datetime], settings: Settings) -> State:
    """Return what has been synced with this source and this WATS, and leave both for :func:`settle`.

    ``seen`` is the identity of the source, and its clock at that moment.
    Raises FatalError when the state is not theirs, unless the run was triggered with ``accept_identity``.
    """
    from vte_wats.orchestration.resources import read_state, wats_host
    from vte_wats.state.coverage import State
    from vte_wats.state.state_guard import SyncEnvironment, refuse_lost_state, verify_state

    accepted = context["params"].get("accept_identity", False)
    # Asked before the state is read: a sync that settles in between may make the state newer, never older.
    settled = last_receipt(context)
    since_at = context["dag"].start_date
    state = read_state(site, since_at)
    if not accepted:
        refuse_lost_state(site, state, settled)
    identity, server_now_at = seen
    here = SyncEnvironment(site, identity, wats_host(site), server_now_at, datetime.now(UTC))
    state = verify_state(state or State(since_at=since_at.astimezone(UTC)), here, settings, accepted=accepted)
    _publish_state(context, state, settings)
    return state


def last_receipt(context: Any) -> dict[str, Any] | None:
    """Return the greatest receipt that settle left in the DAG runs before, as far as Airflow finds them.

    Airflow orders earlier runs by their logical date. PostgreSQL puts a manual run, which has none, before all others,
    so the run that succeeded last is asked by its id, too.
    """
    ti = context["ti"]
    wanted = {"task_ids": "settle", "key": SETTLED_KEY, "map_indexes": -1}
    receipts = [ti.xcom_pull(**wanted, include_prior_dates=True)]
    if (before := ti.get_previous_dagrun(state="success")) is not None:
        receipts.append(ti.xcom_pull(**wanted, run_id=before.run_id))
    return max(
        (one for one in receipts if one is not None),
        key=lambda one: (datetime.fromisoformat(one["started"]), one["syncs"]),
        default=None,
    )


def _publish_state(context: Any, state: State, settings: Settings) -> None:
    known = state.model_dump(mode="json", by_alias=True, exclude={"coverage", "totals", "settled"})
    planned = {PLAN_TRY: context["ti"].try_number, PLANNED_WITH: settings.fingerprint}
    context["ti"].xcom_push(key=VERIFIED_STATE_KEY, value=known | planned)


def _sync_key(context: Any, planned: Mapping[str, Any]) -> str:
    """Return what names this sync: the DAG run and the try of its plan, for a cleared one carries its slices anew."""
    name = f"{context['dag'].dag_id} {context['dag_run'].run_id} {planned[PLAN_TRY]}"
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def leave_coverage(context: Any, state: State) -> None:
    """Leave what was done when the comparison was planned: whatever is done meanwhile says nothing about it."""
    context["ti"].xcom_push(
        key=COVERAGE_KEY, value=state.model_dump(mode="json", by_alias=True, include={"since_at", "coverage"})
    )


def coverage_as_planned(context: Any) -> State:
    """Return the state that :func:`leave_coverage` left."""
    from vte_wats.state.coverage import State

    return State.model_validate(context["ti"].xcom_pull(task_ids="plan", key=COVERAGE_KEY))


def publish_found_later(late: dict[int, int]) -> None:
    """Leave for :func:`settle` how many runs a comparison found that came too late for every sync."""
    get_current_context()["ti"].xcom_push(key=FOUND_LATER_KEY, value={str(age): runs for age, runs in late.items()})


def _found_later(context: Any) -> dict[int, int]:
    found = context["ti"].xcom_pull(task_ids="cut", key=FOUND_LATER_KEY) or {}
    return {int(age): runs for age, runs in found.items()}


def state_to_settle(context: Any, site: Site) -> tuple[State, bool]:
    """Return the state as it is now, recognised as the plan did, and whether it begins with this very sync."""
    from vte_wats.orchestration.resources import read_state
    from vte_wats.state.coverage import State
    from vte_wats.state.state_guard import refuse_lost_state

    planned = State.model_validate(context["ti"].xcom_pull(task_ids="plan", key=VERIFIED_STATE_KEY))
    stored = read_state(site, context["dag"].start_date)
    if stored is None and planned.syncs:
        refuse_lost_state(site, None, planned.receipt())
    state = stored or State(since_at=planned.since_at)
    return state.verified_as(planned), stored is None


def interval_to_sync(context: Any, site: Site) -> tuple[datetime, datetime]:
    """Return the data interval; a manual run without one covers the time from the watermark to its trigger."""
    from vte_wats.orchestration.resources import read_state

    from_at, to_at = context.get("data_interval_start"), context.get("data_interval_end")
    if from_at is None or to_at is None:
        since_at, until_at = context["dag"].start_date, context["dag_run"].run_after
        state = read_state(site, since_at)
        return min(state.last_sync if state else since_at, until_at), until_at  # a state of the future is refused later
    since_at = context["dag"].start_date
    is_first = since_at < from_at < since_at + (to_at - from_at)  # a start date need not lie on a tick of the schedule
    return since_at if is_first else from_at, to_at


def publish_window(context: Any, planned: Plan, from_at: datetime, state: State, settings: Settings) -> None:
    """Leave for :func:`settle` the planned window, what was seen in it, and how late runs appeared.

    ``from_at`` is where the data interval begins, behind the guard band.
    """
    from vte_wats.state.late_arrivals import measured
    from vte_wats.sync.plan import plan_snapshot

    window = planned.window
    leave_window(context, window)
    seen = plan_snapshot(planned, settings, from_at)
    context["ti"].xcom_push(key=SNAPSHOT_KEY, value=seen.model_dump(mode="json", by_alias=True))
    late_arrivals = measured(state.late_arrivals, window, planned.seconds, settings)
    _publish_state(context, state.model_copy(update={"late_arrivals": late_arrivals}), settings)


def leave_window(context: Any, window: Window) -> None:
    """Leave for :func:`settle` which stretch of time is done once its slices are."""
    context["ti"].xcom_push(key=WINDOW_KEY, value=[window.from_at.isoformat(), window.to_at.isoformat()])


def planned_window(context: Any) -> Any:
    """Return the window that :func:`leave_window` left; ``None`` when this DAG run covers no stretch of time."""
    from vte_wats.intervals.windows import Window

    edges = context["ti"].xcom_pull(task_ids="plan", key=WINDOW_KEY)
    return edges and Window(*(datetime.fromisoformat(edge).astimezone(UTC) for edge in edges))


def staging(site: Site, settings: Settings, slice_name: str) -> Staging:
    """Return the staging of one slice of the DAG run at hand."""
    from vte_wats.orchestration.resources import storage_of
    from vte_wats.storage.staging import staging_of

    context = get_current_context()
    storage: UPath = storage_of(site, settings)
    return staging_of(storage, context["dag"].dag_id, context["dag_run"].run_id, slice_name)
