"""Settle: add up what became of every run, and only when it balances let coverage grow."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from vte_wats.coverage import Outcome, State
from vte_wats.errors import FatalError
from vte_wats.windows import Window

log = logging.getLogger(__name__)


def settle(
    state: State, window: Window | None, planned: int, results: Sequence[Mapping[str, int]], settings_hash: str
) -> State:
    """Return the state after a sync of ``planned`` slices with the uploads' ``results``, which it logs.

    ``window`` is ``None`` when the sync covered no stretch of time, such as named runs. Raises FatalError, and coverage
    stays as it is, when a slice has no result or when runs and outcomes do not balance.
    """
    outcomes = {outcome: sum(result[outcome.value] for result in results) for outcome in Outcome}
    read = sum(result["read"] for result in results)
    text = ", ".join(f"{outcome} {runs}" for outcome, runs in outcomes.items())
    log.info("read %d: %s", read, text)
    if len(results) != planned:
        raise FatalError(
            f"{planned - len(results)} of {planned} slices failed; the window stays open. Their log says why. Clear "
            "the failed tasks once it is mended: runs that are in WATS already are skipped"
        )
    if read != sum(outcomes.values()):
        raise FatalError(f"accounts do not balance: {read} runs read, but {text}; the window stays open")
    return state.extended(window, outcomes, settings_hash)
