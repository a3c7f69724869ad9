"""When a test started: the source's wall clock, read in its time zone, less the test time where that applies."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from vte_wats.config.settings import Settings, TimestampMarks
from vte_wats.domain.errors import RejectedError
from vte_wats.intervals.dst import Fold, utc_offsets
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
