"""Which runs of VTE are neither in WATS nor a dead letter, however late they came or oddly they are dated.

The keys of millions of runs are staged in batches, and each batch is compared by itself, so that a task uses WATS for
some seconds only and the sync goes first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, islice
from typing import Self
from uuid import UUID
from zoneinfo import ZoneInfo

from more_itertools import chunked

from vte_wats.domain.outcome import DeadLetterKind
from vte_wats.domain.ports import RunSource, Wats
from vte_wats.intervals.dst import utc_offsets
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import Staging

log = logging.getLogger(__name__)

KEYS = "keys"
MISSING = "missing"
_BATCH = 2_000  # runs: some fifty requests
_SAME_SIZE = 100  # batches; then the size doubles, for Airflow maps a task 1,024 times at most: 200 million runs
_AT_ONCE = 2_000
_LONGEST_TEST = timedelta(hours=1)  # reports of longer tests are asked for by id


@dataclass(frozen=True, slots=True)
class _Key:
    """A run and its Timestamp, as a line of a batch holds them."""

    guid: UUID
    timestamp_local: datetime

    def __str__(self) -> str:
        return f"{self.guid} {self.timestamp_local.isoformat()}"

    @classmethod
    def parse(cls, line: str) -> Self:
        guid, _, local = line.partition(" ")
        return cls(UUID(guid), datetime.fromisoformat(local))


@dataclass(frozen=True, slots=True)
class MissingRuns:
    """The runs to transfer, oldest first, and the Timestamps of those among them that are not held."""

    runs: list[UUID]
    times_local: list[datetime]


def stage_keys(
    source: RunSource, staging: Callable[[str], Staging], ranges: Sequence[LocalRange], batch: int = _BATCH
) -> list[str]:
    """Stage the keys of every run in the ranges, oldest first; return the names of the batches."""
    runs = source.run_keys(ranges)
    names: list[str] = []
    for n in count():
        keys = [str(_Key(guid, local)) for guid, local in islice(runs, batch * 2 ** (n // _SAME_SIZE))]
        if not keys:
            break
        names.append(f"k{n + 1:04d}")
        staging(names[-1]).write(KEYS, keys)
    return names


def staged_guids(staging: Staging) -> Iterator[UUID]:
    """Yield the runs of a batch."""
    return (key.guid for key in staging.parsed(KEYS, _Key.parse))


def compare(wats: Wats, staging: Staging, zone: ZoneInfo) -> dict[str, int]:
    """Stage the keys of a batch that WATS does not have; return how many were compared, and how many are missing.

    ``zone`` is that of their Timestamps.
    """
    compared, missing = 0, []
    for keys in chunked(staging.parsed(KEYS, _Key.parse), _AT_ONCE):
        times_local = [key.timestamp_local for key in keys]
        stored = wats.find_reports([key.guid for key in keys], _started(min(times_local), max(times_local), zone))
        compared += len(keys)
        missing += [str(key) for key in keys if key.guid not in stored]
    staging.write(MISSING, missing)
    log.info("%d runs compared with WATS: %d are not there", compared, len(missing))
    return {"compared": compared, "missing": len(missing)}


def _started(first_local: datetime, last_local: datetime, zone: ZoneInfo) -> Interval | None:
    """Return when runs with Timestamps from the first to the last started, whichever fold their clocks were in.

    It is ``None`` at the ends of the calendar, where runs with odd clocks are.
    """
    try:
        from_at = first_local.replace(tzinfo=UTC) - max(utc_offsets(first_local, zone))
        to_at = last_local.replace(tzinfo=UTC) - min(utc_offsets(last_local, zone))
        return Interval(from_at - _LONGEST_TEST, to_at + timedelta(seconds=1))
    except OverflowError:
        return None


def runs_to_transfer(batches: Iterable[Staging], dead_letters: DeadLetters) -> MissingRuns:
    """Return the runs to transfer: those WATS does not have, then held ones from outside the ranges.

    What a held run waits for may be there by now; dead letters stay where they are.
    """
    kinds = {header.index_guid: header.kind for header in dead_letters.headers()}
    dead = {guid for guid, kind in kinds.items() if kind is DeadLetterKind.DEAD}
    missing = [key for batch in batches for key in batch.parsed(MISSING, _Key.parse)]
    runs = [key.guid for key in missing if key.guid not in dead]
    runs += sorted(kinds.keys() - dead - set(runs))
    log.info("%d runs are not in WATS: %d to transfer, %d dead letters", len(missing), len(runs), len(dead))
    return MissingRuns(runs, [key.timestamp_local for key in missing if key.guid not in kinds])
