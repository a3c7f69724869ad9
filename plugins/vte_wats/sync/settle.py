"""Settle: add up what became of every run; only when that balances, coverage grows."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vte_wats.domain.errors import FatalError
from vte_wats.domain.report import UploadResult
from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Interval
from vte_wats.messages import VW502, VW503, VW523, VW532
from vte_wats.state.coverage import SettledSync, State

log = logging.getLogger(__name__)


def settle(
    window: Interval | None,
    planned: int,
    results: Sequence[UploadResult],
    settings_hash: str | None,
    *,
    key: str,
    late: Mapping[int, int],
) -> SettledSync:
    """Return what a sync of ``planned`` slices with the uploads' ``results``, which it logs, adds to the state.

    ``window`` is ``None`` when the sync covered no interval of time, such as named runs. ``key`` names the sync: one
    that is in the state already is not added again. ``late`` counts runs that appeared after their time. Raises
    FatalError, and coverage stays as it is, when a slice has no result or when runs and outcomes do not balance.
    """
    outcomes = {outcome: sum(result.outcomes[outcome] for result in results) for outcome in Outcome}
    read = sum(result.read for result in results)
    redriven = sum(result.redriven for result in results)
    text = ", ".join(f"{outcome} {runs}" for outcome, runs in outcomes.items())
    log.info("read %d: %s; %d dead letters redriven", read, text, redriven)
    if len(results) != planned:
        raise FatalError(
            VW502,
            f"{planned - len(results)} of {planned} slices failed; the window stays open. Their logs say why. Once "
            "that is fixed, later syncs transfer it; clearing the failed tasks does so at once: what WATS has already "
            "is skipped",
        )
    if read != sum(outcomes.values()):
        raise FatalError(VW503, f"the counts do not balance: {read} runs read, but {text}; the window stays open")
    return SettledSync(key, window, outcomes, settings_hash, redriven, late)


@dataclass(frozen=True, slots=True)
class GapResult:
    """What became of the gap that a sync fills beside its interval.

    ``interval`` is the time that its ``planned`` slices were for, ``window`` the same with its guard band. ``reason``
    says why the last of them failed, at ``ended_at``.
    """

    interval: Interval
    window: Interval
    planned: int
    results: Sequence[UploadResult]
    ended_at: datetime
    reason: str | None


@dataclass(frozen=True, slots=True)
class Settled:
    """The state after a sync, the results that count, and why the current interval stays open, if it does.

    ``added`` is what the state holds of it. ``gap_is_settled``: there was a gap, and it went well. ``near_is_settled``:
    the accounts of the near slices with a result balance.
    """

    state: State
    results: Sequence[UploadResult]
    added: Sequence[SettledSync]
    failure: FatalError | None = None
    gap_is_settled: bool = False
    near_is_settled: bool = True


def settle_beside(
    settle_live: Callable[[State], SettledSync],
    state: State,
    results: Sequence[UploadResult],
    gap: GapResult | None,
    near: Sequence[UploadResult],
    *,
    key: str,
) -> Settled:
    """Settle the current interval, the gap and ``near``, slices of runs to transfer again, but leave out failed ones.

    Each is settled alone; what fails of one leaves the others alone. When the current interval failed, too, the cause
    is theirs in common and says nothing about the gap.
    """
    failure: FatalError | None = None
    counted: list[UploadResult] = []
    added: list[SettledSync] = []
    gap_is_settled = False
    try:
        added.append(settle_live(state))
        state = state.extended(added[-1])
        counted += results
    except FatalError as exc:
        failure = exc
    if gap is not None:
        try:
            added.append(settle(gap.window, gap.planned, gap.results, state.settings_hash, key=f"{key}-gap", late={}))
            state = state.extended(added[-1])
            counted += gap.results
            gap_is_settled = True
        except FatalError as exc:
            reason, (from_at, to_at) = gap.reason or str(exc), (gap.interval.from_at, gap.interval.to_at)
            log.warning("%s not covered yet, a later sync tries it again: %s to %s: %s", VW523, from_at, to_at, reason)
            if failure is None:
                state = state.failed(gap.interval, gap.ended_at, reason)
    if not near:
        return Settled(state, counted, added, failure, gap_is_settled)
    try:
        added.append(settle(None, len(near), near, state.settings_hash, key=f"{key}-near", late={}))
    except FatalError as exc:
        log.warning("%s not transferred again yet, a later sync tries it again: %s", VW532, exc)
        return Settled(state, counted, added, failure, gap_is_settled, near_is_settled=False)
    return Settled(state.extended(added[-1]), [*counted, *near], added, failure, gap_is_settled)
