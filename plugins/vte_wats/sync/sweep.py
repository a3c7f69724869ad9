"""Sweep: which runs of VTE are neither in WATS nor a dead letter, however late or oddly dated they came."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from uuid import UUID

from vte_wats.ports import RunSource, TimeRange, Wats
from vte_wats.storage.dead_letters import DeadLetters, LetterKind
from vte_wats.sync.groups import in_groups

log = logging.getLogger(__name__)

_AT_ONCE = 1_000


def sweep(source: RunSource, wats: Wats, letters: DeadLetters, ranges: Sequence[TimeRange]) -> list[UUID]:
    """Return the runs to carry, oldest first: those WATS does not have, then held ones from outside the ranges.

    What a held run waits for may be there by now; dead letters stay where they are.
    """
    kinds = {letter.index_guid: letter.kind for letter in letters}
    dead = {guid for guid, kind in kinds.items() if kind is LetterKind.DEAD}
    missing: list[UUID] = []
    seen = 0
    for guids in in_groups(source.run_guids(ranges), _AT_ONCE):
        stored = wats.find_reports(guids)
        missing += [guid for guid in guids if guid not in stored and guid not in dead]
        seen += len(guids)
    missing += sorted(kinds.keys() - dead - set(missing))
    log.info("%d runs compared with WATS: %d to carry, %d dead letters", seen, len(missing), len(dead))
    return missing
