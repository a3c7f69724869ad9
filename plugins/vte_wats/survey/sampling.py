"""Which part of the history is looked at: months to count, hours to read, runs to keep. Equal history, equal sample."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from heapq import heappushpop
from uuid import UUID

from vte_wats.domain.run import VteTestRun
from vte_wats.domain.source import RunGroup, TimeBounds
from vte_wats.intervals.wall_clock import LocalRange, merge_ranges

_SPREAD = 0.6180339887498949  # the golden ratio: however many are taken, they lie evenly
_HOUR = timedelta(hours=1)
_SECOND = timedelta(seconds=1)
_INTERVAL = timedelta(minutes=5)
_MOST_GROUPS = 200
_MOST_KINDS = 500

Kind = tuple[int | None, str, str]
"""Result code, test plan, and what about the run is odd."""


def months(bounds: TimeBounds, days: int) -> list[LocalRange]:
    """Return the last ``days`` of the history month by month, ascending: a statement for each stays short.

    The history ends with its newest run, or a day after the server's wall clock if runs are dated in the future.
    """
    if bounds.oldest_local is None or bounds.newest_local is None:
        return []
    end = _end(bounds, bounds.newest_local)
    start = max(bounds.oldest_local.replace(microsecond=0), end - timedelta(days=days))
    found = []
    while start < end:
        following = (start.replace(day=1, hour=0, minute=0, second=0) + timedelta(days=32)).replace(day=1)
        found.append(LocalRange(start, min(following, end)))
        start = following
    return found


def newest_interval(bounds: TimeBounds) -> LocalRange:
    """Return the newest five minutes in which there may be runs, the length of a sync's own interval."""
    end = _end(bounds, bounds.newest_local or bounds.server_local)
    return LocalRange(end - _INTERVAL, end)


def sampled_ranges(
    hours: Sequence[tuple[datetime, int]], groups: Iterable[RunGroup], wanted: int
) -> tuple[LocalRange, ...]:
    """Return the ranges to read: hours spread over the history that hold about ``wanted`` runs, and rare runs.

    The newest hour is among them; an hour that holds more than is left is cut. Of every test plan and result code the
    second of the newest run is added.
    """
    ranges = []
    left = wanted
    newest_first = list(reversed(hours))
    for n in sorted(range(len(newest_first)), key=lambda n: n * _SPREAD % 1):
        hour, runs = newest_first[n]
        if left <= 0:
            break
        part = min(1.0, left / runs)
        ranges.append(LocalRange(hour, hour + max(_SECOND, timedelta(seconds=int(_HOUR.total_seconds() * part)))))
        left -= runs
    newest: dict[tuple[str | None, int | None], datetime] = {}
    for group in groups:
        key = (group.testplan_name, group.result_code)
        newest[key] = max(group.newest_local, newest.get(key, group.newest_local))
    ranges += [LocalRange(second, second + _SECOND) for second in sorted(newest.values())[-_MOST_GROUPS:]]
    return merge_ranges(ranges)


def _end(bounds: TimeBounds, newest_local: datetime) -> datetime:
    return min(newest_local, bounds.server_local + timedelta(days=1)).replace(microsecond=0) + _SECOND


class Sampler:
    """Chooses runs of every kind out of a stream of any length; it keeps GUIDs alone."""

    def __init__(self, wanted: int) -> None:
        self._wanted = wanted
        self._kept: dict[Kind, list[tuple[int, UUID]]] = defaultdict(list)

    def add(self, run: VteTestRun, *, oddness: str) -> None:
        """Consider a run. Which runs of a kind are chosen depends on their GUIDs, not on the order of the stream."""
        kind = (run.result_code, run.testplan.name or "", oddness)
        if kind not in self._kept and len(self._kept) >= _MOST_KINDS:
            return
        draw = -int.from_bytes(hashlib.sha256(run.index_guid.bytes).digest()[:8], "big")
        kept = self._kept[kind]
        if len(kept) < self._wanted:
            kept.append((draw, run.index_guid))
            kept.sort()
        else:
            heappushpop(kept, (draw, run.index_guid))

    def chosen(self) -> list[UUID]:
        """Return the chosen runs: one of each kind in turn, the rarest kinds first."""
        waiting = [[guid for _, guid in sorted(kept, reverse=True)] for kept in self._kept.values()]
        waiting.sort(key=len)
        return list(_in_turn(waiting))[: self._wanted]


def _in_turn(kinds: Sequence[Sequence[UUID]]) -> Iterator[UUID]:
    for n in range(max(map(len, kinds), default=0)):
        yield from (guids[n] for guids in kinds if n < len(guids))
