"""Passes: in which of the two passes of a repeated hour a run was, told by the other runs of its station.

A station tests one unit after another. In the pass in which it would have been busy with another run, a run was not;
where that leaves one pass, it is settled, and may settle the next run. Only rows decide, never when they are read: the
same rows give the same answer at every reading.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from vte_wats.config.settings import AmbiguousTime, Settings, TimestampMarks
from vte_wats.domain.ports import StationTime
from vte_wats.intervals.windows import offsets
from vte_wats.mapping.start_time import is_duration

# A site may write whole seconds, and TestTime is no stopwatch: runs that follow each other may seem to overlap so far.
_SLACK = timedelta(seconds=2)


class _Busy(NamedTuple):
    """When a station was busy with a run: naive UTC."""

    from_at: datetime
    to_at: datetime

    def overlaps(self, other: _Busy) -> bool:
        return self.from_at + _SLACK < other.to_at and other.from_at + _SLACK < self.to_at


def settled_passes(times: Iterable[StationTime], settings: Settings) -> dict[UUID, AmbiguousTime]:
    """Return the pass of each run whose time is ambiguous and whose station's other runs leave one.

    A station whose runs overlap anyway tests side by side, so that nothing follows from its runs.
    """
    by_station: dict[UUID, list[StationTime]] = defaultdict(list)
    for one in times:
        by_station[one.testsystem_guid].append(one)
    return {guid: judged for runs in by_station.values() for guid, judged in _settled(runs, settings).items()}


def _settled(runs: Iterable[StationTime], settings: Settings) -> dict[UUID, AmbiguousTime]:
    known: list[_Busy] = []
    unclear: dict[UUID, dict[AmbiguousTime, _Busy]] = {}
    for run in runs:
        first, second = offsets(run.timestamp_local, settings.zone)
        if first == second:
            known.append(_busy(run, first, settings))
        elif first > second:  # a time that a change skipped says nothing: that station's clock is its own
            unclear[run.index_guid] = {
                AmbiguousTime.EARLIER: _busy(run, first, settings),
                AmbiguousTime.LATER: _busy(run, second, settings),
            }
    settled: dict[UUID, AmbiguousTime] = {}
    while not _side_by_side(known):
        found = {guid: left[0] for guid, passes in unclear.items() if len(left := _possible(passes, known)) == 1}
        if not found:
            return settled
        known += [unclear.pop(guid)[judged] for guid, judged in found.items()]
        settled |= found
    return {}


def _possible(passes: dict[AmbiguousTime, _Busy], known: list[_Busy]) -> list[AmbiguousTime]:
    return [judged for judged, busy in passes.items() if not any(busy.overlaps(other) for other in known)]


def _side_by_side(known: list[_Busy]) -> bool:
    known.sort()
    longest = known[0] if known else None
    for busy in known[1:]:
        assert longest is not None  # noqa: S101 -- there is a first
        if busy.overlaps(longest):
            return True
        longest = max(longest, busy, key=lambda one: one.to_at)
    return False


def _busy(run: StationTime, offset: timedelta, settings: Settings) -> _Busy:
    """Return when the station was busy; without a usable test time that is the moment of the Timestamp alone."""
    at = run.timestamp_local - offset
    if run.test_time_s is None or not is_duration(run.test_time_s):
        return _Busy(at, at)
    try:
        took = timedelta(seconds=run.test_time_s)
        return _Busy(at - took, at) if settings.timestamp_marks is TimestampMarks.END else _Busy(at, at + took)
    except OverflowError:
        return _Busy(at, at)
