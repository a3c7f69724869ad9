"""The tasks that every transferring DAG is made of: transfer a slice from VTE to WATS, and settle the accounts.

A task body opens the resources it needs, calls one verb, and returns a small dict; the verbs live in ``vte_wats.sync``.
Every task gets the name of the site it works for.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetAlias, TriggerRule, get_current_context, task, task_group

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.messages import VW501, VW532, VW920
from vte_wats.orchestration.wats_link import LINK_KEY, linked_task

if TYPE_CHECKING:
    from uuid import UUID

    from vte_wats.config.settings import Settings
    from vte_wats.domain.report import Refusal, Report, UploadResult
    from vte_wats.domain.run import Outcome
    from vte_wats.orchestration.handover import Planned, PlannedGap
    from vte_wats.state.coverage import SettledSync, State
    from vte_wats.state.seen_content import NearPlan
    from vte_wats.storage.settled_syncs import SettledSyncs
    from vte_wats.sync.settle import GapResult, Settled
    from vte_wats.sync.upload import ReadAgain

log = logging.getLogger(__name__)

UPLOAD_TASK = "transfer.upload"


@dataclass(frozen=True, slots=True)
class SettleOptions:
    """What the DAGs let their settle task do. Each field is one difference between them.

    ``is_current``: the DAG run is a sign that the sync is alive. ``retries_held``: held runs were tried by the settings
    of the plan. ``late_from``: the task that counted runs which came too late for every sync.
    """

    is_current: bool = False
    retries_held: bool = True
    late_from: str | None = None


def transfer_and_settle(site: Site, slices: Any, settling: SettleOptions, *, shows_progress: bool = False) -> Any:
    """Transfer every slice of a plan, each by mapped tasks of its own, then settle; return what that came to."""
    settled = settle.override(pool=site.state_pool, outlets=[AssetAlias(site.asset)])(
        site.name, slices, asdict(settling)
    )
    transfer.partial(site=site, shows_progress=shows_progress).expand(slice_=slices) >> settled
    return settled


@task_group
def transfer(site: Site, slice_: dict[str, Any], *, shows_progress: bool) -> Any:
    """Transfer one slice from VTE to WATS; returns the counts of its outcomes."""
    mapped = map_runs(site.name, extract.override(pool=site.vte_pool)(site.name, slice_))  # type: ignore[arg-type]
    return upload.override(pool=site.wats_pool)(site.name, mapped, shows_progress=shows_progress)  # type: ignore[arg-type]


@contextmanager
def _once_beside(slice_name: str) -> Iterator[None]:
    """Let a slice beside the current interval fail at once: it goes on, and a later sync tries the slice again."""
    from vte_wats.sync.slices import AGAIN, GAP, NEAR

    try:
        yield
    except RetriableError as exc:
        if not slice_name.startswith((GAP, NEAR, AGAIN)):
            raise
        raise FatalError(exc.message, exc.detail) from exc


@task(map_index_template="{{ slice_label }}", multiple_outputs=False)
def extract(site_name: str, slice_: dict[str, Any]) -> dict[str, Any]:
    """Read the slice's runs from VTE into staging."""
    from vte_wats.orchestration.handover import planned_slice
    from vte_wats.orchestration.resources import open_vte, read_settings, storage_of
    from vte_wats.orchestration.task_context import staging
    from vte_wats.storage.unseen_reports import UnseenReports
    from vte_wats.sync.extract import absent_runs
    from vte_wats.sync.extract import extract as extract_slice
    from vte_wats.sync.slices import AGAIN, PLAN, with_runs

    site = Site(site_name)
    settings = read_settings(site)
    a_slice = planned_slice(slice_)
    get_current_context()["slice_label"] = a_slice.label  # type: ignore[typeddict-unknown-key]
    a_slice = with_runs(staging(site, settings, PLAN), a_slice)
    staged = staging(site, settings, a_slice.name)
    with _once_beside(a_slice.name), open_vte(site, settings) as vte:
        read = extract_slice(vte, staged, a_slice, settings)
    if absent := absent_runs(staged, a_slice, read):
        if a_slice.name.startswith(AGAIN):
            UnseenReports(storage_of(site, settings)).forget(absent)
        log.warning("%s not in VTE, or no longer: %s", VW920, ", ".join(map(str, absent)))
    return {"slice": a_slice.name, "label": a_slice.label, "read": read}


@task(map_index_template="{{ slice_label }}", multiple_outputs=False)
def map_runs(site_name: str, extracted: dict[str, Any]) -> dict[str, Any]:
    """Turn the staged runs into staged reports."""
    from vte_wats.orchestration.handover import StagedSlice
    from vte_wats.orchestration.resources import read_settings
    from vte_wats.orchestration.task_context import staging
    from vte_wats.sync.map_runs import map_runs as map_slice

    site = Site(site_name)
    settings = read_settings(site)
    a_slice = StagedSlice.from_xcom("transfer.extract", extracted)
    get_current_context()["slice_label"] = a_slice.label  # type: ignore[typeddict-unknown-key]
    return extracted | map_slice(staging(site, settings, a_slice.name), settings)


@linked_task(map_index_template="{{ slice_label }}", multiple_outputs=False)
def upload(site_name: str, mapped: dict[str, Any], *, shows_progress: bool) -> dict[str, Any]:
    """Compare the staged reports with WATS, post what is missing or changed, write dead letters."""
    from vte_wats.domain.report import UploadResult
    from vte_wats.orchestration import metrics
    from vte_wats.orchestration.backfill_progress import save_slice
    from vte_wats.orchestration.handover import StagedSlice, push_shown
    from vte_wats.orchestration.resources import open_wats, read_settings, storage_of, wats_connection
    from vte_wats.orchestration.task_context import staging
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.storage.in_flight_keys import InFlightKeys
    from vte_wats.sync.confirmed_check import check_confirmed
    from vte_wats.sync.upload import UploadOptions, first_achieved
    from vte_wats.sync.upload import upload as upload_slice

    site = Site(site_name)
    settings = read_settings(site)
    context = get_current_context()
    a_slice = StagedSlice.from_xcom("transfer.map_runs", mapped)
    context["slice_label"] = a_slice.label  # type: ignore[typeddict-unknown-key]
    params = context["params"]
    options = UploadOptions(datetime.now(UTC), force=params["force"], dry_run=params["dry_run"])
    storage, staged = storage_of(site, settings), staging(site, settings, a_slice.name)
    dag_id, dag_run_id = context["dag"].dag_id, context["dag_run"].run_id
    dead_letters = DeadLetters(storage, dag_id=dag_id, dag_run_id=dag_run_id)
    name = f"{dag_id} {dag_run_id} {a_slice.name}"
    with (
        _once_beside(a_slice.name),
        open_wats(site, settings) as wats,
        InFlightKeys(storage, name, partial(datetime.now, UTC), wats.behaviour().shown_after_s) as keys,
    ):
        try:
            if not options.dry_run:
                check_confirmed(wats, storage, options.now_at)
            counts = upload_slice(
                staged,
                wats,
                dead_letters,
                settings,
                options,
                read=a_slice.read,
                in_flight=keys,
                read_again=_reader(site, settings),
            )
        finally:
            metrics.sent(site, wats.request_stats())
    if (shown := first_achieved(staged)) is not None:
        push_shown(context, LINK_KEY, wats_connection(site).page_of(shown))
    result = UploadResult(**counts, **asdict(wats.request_stats()))
    if not options.dry_run:
        metrics.transferred(site, result)
    if shows_progress:
        save_slice(context, site, staged, a_slice.name, result.read)
    return result.model_dump(mode="json")


def _reader(site: Site, settings: Settings) -> ReadAgain:
    """Return what reads runs from VTE again; it connects only when it is asked."""
    from vte_wats.orchestration.resources import open_vte
    from vte_wats.sync.map_runs import read_again

    def reader(guids: Sequence[UUID]) -> Iterator[Report | Refusal]:
        with open_vte(site, settings) as vte:
            yield from read_again(vte, settings, guids)

    return reader


@task(trigger_rule=TriggerRule.ALL_DONE, multiple_outputs=False)
def settle(site_name: str, slices: Any, settling: dict[str, Any]) -> dict[str, Any]:
    """Balance the accounts of all slices; only a complete window extends coverage and moves ``lastSync``."""
    from vte_wats.domain.run import Outcome
    from vte_wats.orchestration.handover import Handover, planned_slices
    from vte_wats.orchestration.metrics import settled_history, write_history
    from vte_wats.orchestration.resources import read_history, read_settings, storage_of
    from vte_wats.storage.settled_syncs import SettledSyncs
    from vte_wats.storage.staging import discard

    context = get_current_context()
    pulled = Handover.pull(context, "plan")
    if slices is None or pulled is None or pulled.planned is None:
        raise FatalError(VW501, "nothing was planned, so nothing was transferred; the log of the failed task says why")
    site, rules = Site(site_name), SettleOptions(**settling)
    settings = read_settings(site)
    noted = SettledSyncs(storage_of(site, settings))
    settled = _settled(context, site, pulled.planned, len(planned_slices(slices)), rules, noted=noted)
    after, results = settled.state, settled.results
    history = read_history(site).seen(pulled.planned.snapshot, after.coverage)
    if settled.failure is not None:
        write_history(context, site, settings, after, history)
        raise settled.failure
    discard(storage_of(site, settings), context["dag"].dag_id, context["dag_run"].run_id)
    history = settled_history(context, settings, history, after, results, is_current=rules.is_current)
    write_history(context, site, settings, after, history)
    outcomes = {outcome: sum(result.outcomes[outcome] for result in results) for outcome in Outcome}
    if not context["params"]["dry_run"]:
        _announce(context, site, outcomes)
    counts = {outcome.value: runs for outcome, runs in outcomes.items()}
    redriven = sum(result.redriven for result in results)
    return {"last_sync": after.last_sync.isoformat(), **counts, "redriven": redriven}


def _settled(
    context: Any, site: Site, planned: Planned, slices: int, rules: SettleOptions, *, noted: SettledSyncs
) -> Settled:
    """Settle the slices of this DAG run and write the state, unless it is a dry run."""
    from vte_wats.orchestration.handover import Handover
    from vte_wats.orchestration.resources import read_state
    from vte_wats.orchestration.task_context import sync_key, uploads_that_succeeded
    from vte_wats.orchestration.verified_state import state_to_settle, write_settled
    from vte_wats.sync.settle import settle as settle_slices
    from vte_wats.sync.settle import settle_beside

    again_from = slices - planned.again
    near_from = again_from - (len(planned.near.slices) if planned.near else 0)
    live = near_from - (planned.gap.slices if planned.gap else 0)
    results = list(uploads_that_succeeded(context, range(live), UPLOAD_TASK).values())
    gap = _gap_result(context, site, planned.gap, range(live, near_from)) if planned.gap else None
    near = _results_beside(context, range(near_from, again_from))
    again = _results_beside(context, range(again_from, slices))
    late = Handover.pull(context, rules.late_from) if rules.late_from else None
    since_at, key = context["dag"].start_date, sync_key(context, planned.attempt)

    def settle_live(state: State) -> SettledSync:
        return settle_slices(
            planned.window,
            live,
            results,
            planned.settings_hash if rules.retries_held else state.settings_hash,  # of the plan, not of later settings
            key=key,
            late=late.late if late else {},
        )

    def settle_from(state: State) -> Settled:
        return settle_beside(settle_live, state, results, gap, [*near.values(), *again.values()], key=key)

    if context["params"]["dry_run"]:
        return settle_from(state_to_settle(read_state(site, since_at), site, planned))

    settled, is_written = write_settled(site, since_at, planned, noted, settle_from)
    if is_written:  # it knows this sync by now, should this try end before it can say so
        Handover(receipt=settled.state.receipt()).push(context)
    if planned.near is not None:
        _keep_seen(site, settled, planned.near, near)
    return settled


def _gap_result(context: Any, site: Site, gap: PlannedGap, slices: range) -> GapResult:
    """Return what became of the gap's slices, and what the task said that failed."""
    from vte_wats.orchestration.task_context import uploads_that_succeeded
    from vte_wats.orchestration.variables import LAST_FAILURE, Variables
    from vte_wats.sync.settle import GapResult

    failure = Variables(site).load(LAST_FAILURE)
    is_ours = failure is not None and failure.dag_run_id == context["dag_run"].run_id
    reason = failure.reason if failure is not None and is_ours else None
    try:
        results = list(uploads_that_succeeded(context, slices, UPLOAD_TASK).values())
    except FatalError as exc:  # somebody marked them
        results, reason = [], str(exc)
    return GapResult(gap.interval, gap.window, len(slices), results, datetime.now(UTC), reason)


def _results_beside(context: Any, slices: range) -> dict[int, UploadResult]:
    """Return what became of the slices of runs that are transferred again, if they succeeded, by their position."""
    from vte_wats.orchestration.task_context import uploads_that_succeeded

    try:
        results = uploads_that_succeeded(context, slices, UPLOAD_TASK) if slices else {}
    except FatalError as exc:  # somebody marked them
        log.warning("%s runs that changed in VTE are not transferred yet: %s", VW532, exc)
        return {}
    if len(results) < len(slices):
        log.warning(
            "%s %d of %d slices of runs to transfer again failed; their logs say why",
            VW532,
            len(slices) - len(results),
            len(slices),
        )
    return {index - slices.start: result for index, result in results.items()}


def _keep_seen(site: Site, settled: Settled, near: NearPlan, results: Mapping[int, Any]) -> None:
    """Keep how the runs looked that are settled now."""
    from vte_wats.orchestration.resources import read_settings
    from vte_wats.orchestration.variables import SEEN_CONTENT, Variables
    from vte_wats.state.seen_content import SeenContent

    kept_h, now_at = read_settings(site).near_check_h, datetime.now(UTC)

    def change(seen: SeenContent | None) -> SeenContent:
        return (seen or SeenContent()).after(
            near,
            is_live_settled=settled.failure is None,
            is_gap_settled=settled.gap_is_settled,
            settled=results.keys() if settled.near_is_settled else (),
            kept_h=kept_h,
            now_at=now_at,
        )

    Variables(site).change(SEEN_CONTENT, change)


def _announce(context: Any, site: Site, outcomes: Mapping[Outcome, int]) -> None:
    """Emit the site's asset when WATS holds something new; DAGs of other teams may run on it."""
    from vte_wats.domain.run import Outcome

    new = {outcome.value: outcomes[outcome] for outcome in (Outcome.UPLOADED, Outcome.REPLACED) if outcomes[outcome]}
    if new:
        context["outlet_events"][AssetAlias(site.asset)].add(Asset(site.asset), extra=new)
