"""Which fold (PEP 495) of a repeated hour a run is in, shown by the other runs of its station.

A station tests one unit after another. A run cannot be in the fold in which its station was busy with another run;
where that leaves one fold, the run is in it, and may show the fold of the next run. Only rows decide, never when they
are read: the same rows give the same answer at every reading.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, timedelta
from uuid import UUID

from more_itertools import map_reduce

from vte_wats.config.settings import Settings, TimestampMarks
from vte_wats.domain.source import StationTime
from vte_wats.intervals.dst import Fold, utc_offsets
from vte_wats.intervals.interval import Interval
from vte_wats.mapping.start_time import is_duration

# A site may write whole seconds, and TestTime is no stopwatch: runs that follow each other may seem to overlap so far.
_SLACK = timedelta(seconds=2)


def disambiguated_folds(times: Iterable[StationTime], settings: Settings) -> dict[UUID, Fold]:
    """Return the fold of each run whose time is ambiguous and whose station's other runs leave only one.

    A station whose runs overlap anyway tests side by side, so that nothing follows from its runs.
    """
    by_station = map_reduce(times, lambda time: time.testsystem_guid)
    return {guid: fold for runs in by_station.values() for guid, fold in _folds_of_station(runs, settings).items()}


def _folds_of_station(runs: Iterable[StationTime], settings: Settings) -> dict[UUID, Fold]:
    known: list[Interval] = []
    ambiguous: dict[UUID, dict[Fold, Interval]] = {}
    for run in runs:
        first, second = utc_offsets(run.timestamp_local, settings.zone)
        if first == second:
            known.append(_busy(run, first, settings))
        elif first > second:  # a time that a change skipped shows nothing: that station's clock was not changed
            ambiguous[run.index_guid] = {0: _busy(run, first, settings), 1: _busy(run, second, settings)}
    folds: dict[UUID, Fold] = {}
    while not _side_by_side(known):
        found = {guid: left[0] for guid, busy in ambiguous.items() if len(left := _possible(busy, known)) == 1}
        if not found:
            return folds
        known += [ambiguous.pop(guid)[fold] for guid, fold in found.items()]
        folds |= found
    return {}


def _possible(busy_in: dict[Fold, Interval], known: list[Interval]) -> list[Fold]:
    return [fold for fold, busy in busy_in.items() if not any(_overlap(busy, other) for other in known)]


def _overlap(busy: Interval, other: Interval) -> bool:
    return busy.from_at + _SLACK < other.to_at and other.from_at + _SLACK < busy.to_at


def _side_by_side(known: list[Interval]) -> bool:
    known.sort()
    longest = known[0] if known else None
    for busy in known[1:]:
        assert longest is not None  # noqa: S101 -- there is a first
        if _overlap(busy, longest):
            return True
        longest = max(longest, busy, key=lambda other: other.to_at)
    return False


def _busy(run: StationTime, offset: timedelta, settings: Settings) -> Interval:
    """Return when the station was busy; without a usable test time that is the moment of the Timestamp alone."""
    at = (run.timestamp_local - offset).replace(tzinfo=UTC)
    if run.test_time_s is None or not is_duration(run.test_time_s):
        return Interval(at, at)
    try:
        took = timedelta(seconds=run.test_time_s)
        return Interval(at - took, at) if settings.timestamp_marks is TimestampMarks.END else Interval(at, at + took)
    except OverflowError:
        return Interval(at, at)
