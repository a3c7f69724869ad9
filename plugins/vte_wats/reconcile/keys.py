"""The keys of the runs that a comparison looks at, staged in batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from uuid import UUID

from vte_wats.domain.ports import RunSource
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.storage.staging import Staging

KEYS = "keys"
_BATCH = 2_000  # runs: some fifty requests
_SAME_SIZE = 100  # batches; then the size doubles, for Airflow maps a task 1,024 times at most: 200 million runs


def stage_keys(
    source: RunSource, staging: Callable[[str], Staging], ranges: Sequence[LocalRange], batch: int = _BATCH
) -> list[str]:
    """Stage the keys of every run in the ranges, oldest first; return the names of the batches."""
    runs = source.run_keys(ranges)
    names: list[str] = []
    for n in count():
        keys = [f"{guid} {local.isoformat()}" for guid, local in islice(runs, batch * 2 ** (n // _SAME_SIZE))]
        if not keys:
            break
        names.append(f"k{n + 1:04d}")
        staging(names[-1]).write(KEYS, keys)
    return names


def staged_guids(staging: Staging) -> Iterator[UUID]:
    """Yield the runs of a batch."""
    return (UUID(line.partition(" ")[0]) for line in staging.read(KEYS))
