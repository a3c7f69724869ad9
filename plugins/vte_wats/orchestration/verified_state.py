"""The state of a site at both ends of a DAG run: verified by its plan, read again by its settle task."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from vte_wats.config.settings import Settings
from vte_wats.config.sites import Site
from vte_wats.domain.source import SourceIdentity
from vte_wats.orchestration.handover import Handover, Planned
from vte_wats.orchestration.resources import change_state, read_state, wats_host
from vte_wats.state.coverage import Receipt, State
from vte_wats.state.state_guard import SyncEnvironment, refuse_lost_state, restarted_if_older, verify_state

if TYPE_CHECKING:
    from vte_wats.storage.settled_syncs import SettledSyncs
    from vte_wats.sync.settle import Settled


def verified_state(context: Any, site: Site, seen: tuple[SourceIdentity, datetime], settings: Settings) -> State:
    """Return what has been synced with this source and this WATS.

    ``seen`` is the identity of the source, and its clock at that moment.
    Raises FatalError when the state is not theirs, unless the run was triggered with ``accept_identity``.
    """
    accepted = context["params"].get("accept_identity", False)
    # Asked before the state is read: a sync that settles in between may make the state newer, never older.
    settled = last_receipt(context)
    since_at = context["dag"].start_date
    state = read_state(site, since_at)
    if not accepted:
        refuse_lost_state(site, state, settled)
        state = state and restarted_if_older(site, state, settled)
    identity, server_now_at = seen
    here = SyncEnvironment(site, identity, wats_host(site), server_now_at, datetime.now(UTC))
    return verify_state(state or State(since_at=since_at.astimezone(UTC)), here, settings, accepted=accepted)


def state_to_settle(stored: State | None, site: Site, planned: Planned) -> State:
    """Return the state that is stored now, verified as the plan did; without one it starts with this very sync."""
    if stored is None and planned.state.syncs:
        refuse_lost_state(site, None, planned.state.receipt())
    state = stored or State(since_at=planned.state.since_at)
    return state.verified_as(planned.state)


def write_settled(
    site: Site, since_at: datetime, planned: Planned, noted: SettledSyncs, settle_from: Callable[[State], Settled]
) -> tuple[Settled, bool]:
    """Settle a DAG run from the state that is stored now, and write it; return it, and whether it was written.

    A writer that comes between comparing and writing takes nothing away for good: each notes what it adds before it
    writes, and the next one adds again what is noted and missing.
    """
    settled: list[Settled] = []

    def change(stored: State | None) -> State | None:
        before = noted.with_lost(state_to_settle(stored, site, planned))
        settled.append(settle_from(before))
        starts = stored is None and planned.window is None  # only a sync of time starts a state
        if not settled[-1].added or starts:
            return None
        noted.note(settled[-1].added, before)
        return settled[-1].state

    is_written = change_state(site, since_at, change)
    return settled[-1], is_written


def last_receipt(context: Any) -> Receipt | None:
    """Return the greatest receipt that settle left in the DAG runs before, as far as Airflow finds them.

    Airflow orders earlier runs by their logical date. PostgreSQL puts a manual run, which has none, before all others,
    so the run that succeeded last is asked by its id, too.
    """
    before = context["ti"].get_previous_dagrun(state="success")
    pulled = Handover.pull_earlier(context, "settle", None if before is None else before.run_id)
    receipts = [handover.receipt for handover in pulled if handover.receipt]
    return max(receipts, key=lambda receipt: (receipt.started_at, receipt.syncs), default=None)
