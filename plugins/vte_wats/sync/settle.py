"""Settle: add up what became of every run; only when that balances, coverage grows."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from vte_wats.domain.errors import FatalError
from vte_wats.domain.outcome import Outcome
from vte_wats.intervals.interval import Interval
from vte_wats.messages import VW502, VW503
from vte_wats.state.coverage import SettledSync, State
from vte_wats.sync.upload import READ, REDRIVEN

log = logging.getLogger(__name__)


def settle(
    state: State,
    window: Interval | None,
    planned: int,
    results: Sequence[Mapping[str, int]],
    settings_hash: str | None,
    *,
    key: str,
    late: Mapping[int, int],
) -> State:
    """Return the state after a sync of ``planned`` slices with the uploads' ``results``, which it logs.

    ``window`` is ``None`` when the sync covered no interval of time, such as named runs. ``key`` names the sync: one
    that is in the state already is not added again. ``late`` counts runs that appeared after their time. Raises
    FatalError, and coverage stays as it is, when a slice has no result or when runs and outcomes do not balance.
    """
    outcomes = {outcome: sum(result[outcome.value] for result in results) for outcome in Outcome}
    read = sum(result[READ] for result in results)
    redriven = sum(result[REDRIVEN] for result in results)
    text = ", ".join(f"{outcome} {runs}" for outcome, runs in outcomes.items())
    log.info("read %d: %s; %d dead letters redriven", read, text, redriven)
    if len(results) != planned:
        raise FatalError(
            VW502,
            f"{planned - len(results)} of {planned} slices failed; the window stays open. Their logs say why. "
            "Clear the failed tasks once it is fixed: runs that are in WATS already are skipped",
        )
    if read != sum(outcomes.values()):
        raise FatalError(VW503, f"the counts do not balance: {read} runs read, but {text}; the window stays open")
    return state.extended(SettledSync(key, window, outcomes, settings_hash, redriven, late))
