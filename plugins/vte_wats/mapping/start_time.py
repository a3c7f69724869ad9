"""When a test started: the source's wall clock, read in its time zone, less the test time where that applies.

In the hour that autumn repeats, the other runs of the station show which fold (PEP 495) a run is in. A station tests
one unit after another: a run cannot be in the fold in which its station was busy with another run; where that leaves
one fold, the run is in it, and may show the fold of the next run. Only rows decide, never when they are read: the same
rows give the same answer at every reading.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

from more_itertools import map_reduce

from vte_wats.config.settings import Settings, TimestampMarks
from vte_wats.domain.errors import RejectedError
from vte_wats.domain.source import StationTime
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import Fold, utc_offsets
from vte_wats.messages import VW415

_MINUTE = timedelta(minutes=1)
_FOLD_NAMES = ("earlier", "later")  # as the setting ambiguous_time names them


@dataclass(frozen=True, slots=True)
class StartTime:
    """The start of a test, with the zone's offset at that moment, and what the reader must know about it.

    ``at`` has a fixed offset: two starts are equal exactly when they are the same instant.
    """

    at: datetime
    notes: tuple[tuple[str, str], ...] = ()


def start_of(
    timestamp_local: datetime, test_time_s: float | None, settings: Settings, fold: Fold | None = None
) -> StartTime:
    """Return when a test started.

    A wall-clock time that autumn repeats is in ``fold`` when the station's other runs showed it, else in the one that
    ``ambiguous_time`` names; one that spring skips is read with the offset before the change. A test time that is no
    duration leaves the start at the timestamp.

    Raises :class:`RejectedError` for a timestamp outside the calendar.
    """
    try:
        offset, notes = _offset(timestamp_local, settings, fold)
        start_at = (timestamp_local - offset).replace(tzinfo=UTC)
        if settings.timestamp_marks is TimestampMarks.END:
            earlier_at = _before(start_at, test_time_s)
            if earlier_at is None:
                notes = (*notes, ("start_from", "timestamp"))
            else:
                start_at = earlier_at
        return StartTime(_on_the_wire(start_at, settings), notes)
    except OverflowError as exc:
        raise RejectedError(
            VW415,
            "IndexData.Timestamp must lie within the years 1 to 9999 in UTC, given "
            f"{timestamp_local.isoformat()}. Correct it in the VTE database",
            "timestamp is outside the calendar",
        ) from exc


def is_duration(test_time_s: float | None) -> bool:
    """Return whether a test time can be one: known, finite and not negative."""
    return test_time_s is not None and math.isfinite(test_time_s) and test_time_s >= 0


def _offset(
    timestamp_local: datetime, settings: Settings, fold: Fold | None
) -> tuple[timedelta, tuple[tuple[str, str], ...]]:
    first, second = utc_offsets(timestamp_local, settings.zone)
    if first == second:
        return first, ()
    if first < second:
        return first, (("start_nonexistent", f"skipped by the clock change; read with {_clock(first)}"),)
    by = "setting ambiguous_time" if fold is None else "the station's other runs"
    if fold is None:
        fold = settings.ambiguous_time.fold
    chosen = (first, second)[fold]
    return chosen, (("start_ambiguous", f"{_FOLD_NAMES[fold]} pass ({_clock(chosen)}) by {by}"),)


def _before(end_at: datetime, test_time_s: float | None) -> datetime | None:
    """Return the end less the test time in whole milliseconds, or ``None`` when the calendar has no such moment."""
    if test_time_s is None or not is_duration(test_time_s):
        return None
    try:
        return end_at - timedelta(milliseconds=round(test_time_s * 1000))
    except OverflowError:
        return None


def _on_the_wire(start_at: datetime, settings: Settings) -> datetime:
    """Return the instant with the zone's offset; in UTC where history gave the zone an offset with seconds in it."""
    offset = start_at.astimezone(settings.zone).utcoffset() or timedelta()
    return start_at if offset % _MINUTE else start_at.astimezone(timezone(offset))


def _clock(offset: timedelta) -> str:
    return str(timezone(offset))


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
        found = {
            guid: left[0] for guid, intervals in ambiguous.items() if len(left := _possible(intervals, known)) == 1
        }
        if not found:
            return folds
        known += [ambiguous.pop(guid)[fold] for guid, fold in found.items()]
        folds |= found
    return {}


def _possible(intervals: dict[Fold, Interval], known: list[Interval]) -> list[Fold]:
    return [fold for fold, interval in intervals.items() if not any(_overlap(interval, other) for other in known)]


def _overlap(interval: Interval, other: Interval) -> bool:
    return interval.from_at + _SLACK < other.to_at and other.from_at + _SLACK < interval.to_at


def _side_by_side(known: list[Interval]) -> bool:
    known.sort()
    longest = known[0] if known else None
    for interval in known[1:]:
        assert longest is not None  # noqa: S101 -- there is a first
        if _overlap(interval, longest):
            return True
        longest = max(longest, interval, key=lambda other: other.to_at)
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
