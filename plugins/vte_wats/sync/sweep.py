"""Sweep: which runs of VTE are neither in WATS nor a dead letter, however late or oddly dated they came."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from vte_wats.ports import RunSource, TimeRange, Wats
from vte_wats.storage.dead_letters import DeadLetters, LetterKind
from vte_wats.sync.groups import in_groups

log = logging.getLogger(__name__)

_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Swept:
    """The runs to carry, oldest first, and the Timestamps of those among them that are no held runs."""

    runs: list[UUID]
    times_local: list[datetime]


def sweep(source: RunSource, wats: Wats, letters: DeadLetters, ranges: Sequence[TimeRange]) -> Swept:
    """Find the runs to carry: those WATS does not have, then held ones from outside the ranges.

    What a held run waits for may be there by now; dead letters stay where they are.
    """
    kinds = {letter.index_guid: letter.kind for letter in letters}
    dead = {guid for guid, kind in kinds.items() if kind is LetterKind.DEAD}
    missing: list[UUID] = []
    times_local: list[datetime] = []
    seen = 0
    for runs in in_groups(source.run_keys(ranges), _AT_ONCE):
        stored = wats.find_reports([guid for guid, _ in runs])
        absent = [(guid, local) for guid, local in runs if guid not in stored and guid not in dead]
        missing += [guid for guid, _ in absent]
        times_local += [local for guid, local in absent if guid not in kinds]
        seen += len(runs)
    missing += sorted(kinds.keys() - dead - set(missing))
    log.info("%d runs compared with WATS: %d to carry, %d dead letters", seen, len(missing), len(dead))
    return Swept(missing, times_local)
