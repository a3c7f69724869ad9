"""Sweep: which runs of VTE are neither in WATS nor a dead letter, however late or oddly dated they came.

The keys of millions of runs are staged in portions, and each portion is compared by itself, so that whoever uses WATS
is done within seconds and lets the sync go first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count, islice
from uuid import UUID

from more_itertools import chunked

from vte_wats.domain.ports import RunSource, TimeRange, Wats
from vte_wats.storage.dead_letters import DeadLetterKind, DeadLetters
from vte_wats.storage.staging import Staging

log = logging.getLogger(__name__)

KEYS = "keys"
MISSING = "missing"
_PORTION = 2_000  # runs: some fifty requests
_ALIKE = 100  # portions of one size; then it doubles, for Airflow maps a task 1,024 times at most: 200 million runs
_AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class Swept:
    """The runs to carry, oldest first, and the Timestamps of those among them that are no held runs."""

    runs: list[UUID]
    times_local: list[datetime]


def stage_keys(
    source: RunSource, staging: Callable[[str], Staging], ranges: Sequence[TimeRange], portion: int = _PORTION
) -> list[str]:
    """Stage the keys of every run in the ranges, oldest first; return the names of the portions."""
    runs = source.run_keys(ranges)
    names: list[str] = []
    for n in count():
        keys = [f"{guid} {local.isoformat()}" for guid, local in islice(runs, portion * 2 ** (n // _ALIKE))]
        if not keys:
            break
        names.append(f"k{n + 1:04d}")
        staging(names[-1]).write(KEYS, keys)
    return names


def staged_guids(staging: Staging) -> Iterator[UUID]:
    """Yield the runs of a portion."""
    return (UUID(line.partition(" ")[0]) for line in staging.read(KEYS))


def compare(wats: Wats, staging: Staging) -> dict[str, int]:
    """Note which keys of a portion WATS does not have; return how many were compared, and how many are missing."""
    compared, missing = 0, []
    for lines in chunked(staging.read(KEYS), _AT_ONCE):
        guids = [UUID(line.partition(" ")[0]) for line in lines]
        stored = wats.find_reports(guids)
        compared += len(guids)
        missing += [line for guid, line in zip(guids, lines, strict=True) if guid not in stored]
    staging.write(MISSING, missing)
    log.info("%d runs compared with WATS: %d are not there", compared, len(missing))
    return {"compared": compared, "missing": len(missing)}


def to_transfer(portions: Iterable[Staging], letters: DeadLetters) -> Swept:
    """Return the runs to carry: those WATS does not have, then held ones from outside the ranges.

    What a held run waits for may be there by now; dead letters stay where they are.
    """
    kinds = {head.index_guid: head.kind for head in letters.headers()}
    dead = {guid for guid, kind in kinds.items() if kind is DeadLetterKind.DEAD}
    lines = (line.partition(" ") for portion in portions for line in portion.read(MISSING))
    missing = [(UUID(guid), datetime.fromisoformat(local)) for guid, _, local in lines]
    transferred = [guid for guid, _ in missing if guid not in dead]
    transferred += sorted(kinds.keys() - dead - set(transferred))
    log.info("%d runs are not in WATS: %d to carry, %d dead letters", len(missing), len(transferred), len(dead))
    return Swept(transferred, [local for guid, local in missing if guid not in kinds])
