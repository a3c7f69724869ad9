"""Near check: which minutes of the last hours hold runs that changed in VTE since they were transferred.

One statement returns a fingerprint per minute. What differs from the fingerprint that was kept is read again by slices
of its own; the upload finds out which of its runs changed. A fingerprint is kept once the slices that read its minute
after it was seen are settled, so a change in between is seen the next time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import accumulate

from vte_wats.config.settings import Settings
from vte_wats.domain.source import MinuteContent
from vte_wats.intervals.interval import Interval, merge_intervals
from vte_wats.intervals.wall_clock import LocalRange, local_ranges, merge_ranges
from vte_wats.state.seen_content import NearCheckStats, NearPlan, SeenContent, minute_key
from vte_wats.sync.slices import NEAR, Slice, slices_of

_MINUTE = timedelta(minutes=1)
_NEWEST = timedelta(hours=1)  # before the live window: looked at by every check
_LEAST_OF_THE_REST = timedelta(minutes=10)
_STATEMENT_S = 0.5  # what the statement may take beyond what it takes to ask at all
_MOST_GROWTH = 2.0  # from one statement to the next
_PAUSE = 100  # times the statement's own length: never more than a hundredth of the server's time


@dataclass(frozen=True, slots=True)
class NearCheckQuery:
    """The wall-clock time that one near check asks for, in whole minutes, and where the next one goes on.

    ``minutes`` is how long that is, time included that is not covered; ``is_least``: no check asks for less.
    """

    ranges: tuple[LocalRange, ...]
    minutes: int
    is_least: bool
    resume_at: datetime | None

    def holds(self, minute_local: datetime) -> bool:
        """Return whether it asks for a minute."""
        return _holds(self.ranges, minute_local)

    def look(self, seen: SeenContent, ended_at: datetime, took_s: float) -> NearCheckStats:
        """Return how it went, after what was ``seen`` before."""
        took_s = round(took_s, 3)
        base_s = took_s if self.is_least or not seen.asked_min else min(seen.base_s, took_s)
        return NearCheckStats(
            ended_at=ended_at, took_s=took_s, base_s=base_s, asked_min=self.minutes, resume_at=self.resume_at
        )


def is_due(seen: SeenContent, now_at: datetime) -> bool:
    """Return whether a near check may be made: after a slow one there is a pause."""
    return seen.looked_at is None or now_at >= seen.looked_at + timedelta(seconds=_PAUSE * seen.took_s)


def question(
    seen: SeenContent, window: Interval, covered: Iterable[Interval], settings: Settings, gap: Interval | None = None
) -> NearCheckQuery:
    """Return what to ask for: of the last ``near_check_h`` hours what is covered or read now, live or in a ``gap``.

    As far as the last statement was fast enough. What is read now and the hour before the live window are always asked
    for; of older time as much as there is room for, a part after the other, backwards, over the next checks.
    """
    oldest_at = min(window.from_at, window.to_at - timedelta(hours=settings.near_check_h))
    newest = Interval(max(oldest_at, window.from_at - _NEWEST), window.to_at)
    rest = Interval(oldest_at, newest.from_at)
    room = max(timedelta(minutes=_affordable_min(seen)) - (newest.to_at - newest.from_at), _LEAST_OF_THE_REST)
    to_at = seen.resume_at if seen.resume_at is not None and rest.from_at < seen.resume_at else rest.to_at
    to_at = rest.to_at if room >= rest.to_at - rest.from_at else min(to_at, rest.to_at)
    from_at = max(rest.from_at, to_at - room)
    gaps = () if gap is None else (gap,)
    filled = [common for span in gaps if (common := span.intersection(rest))]
    asked, read = (
        merge_intervals((Interval(from_at, to_at), newest, *filled)),
        merge_intervals((*covered, window, *gaps)),
    )
    known = [common for span in asked for interval in read if (common := span.intersection(interval))]
    minutes = sum((span.to_at - span.from_at) // _MINUTE for span in asked)
    is_least = room == _LEAST_OF_THE_REST and not filled
    resume_at = from_at if from_at > rest.from_at else None
    return NearCheckQuery(_whole_minutes(known, settings), minutes, is_least, resume_at)


def question_of_own_window(seen: SeenContent, window: Interval, settings: Settings) -> NearCheckQuery:
    """Return what a sync asks for that looks for no changes: only what it reads itself, so that it is known later.

    A long window, as after an outage, is asked for as far as the statement stays fast.
    """
    most = max(timedelta(minutes=_affordable_min(seen)), _NEWEST)
    own = Interval(max(window.from_at, window.to_at - most), window.to_at)
    minutes = (own.to_at - own.from_at) // _MINUTE
    return NearCheckQuery(_whole_minutes([own], settings), minutes, is_least=False, resume_at=seen.resume_at)


def _affordable_min(seen: SeenContent) -> int:
    """Return how many minutes a statement may ask for, by what the last one took beyond what each takes."""
    return int(seen.asked_min * min(_MOST_GROWTH, _STATEMENT_S / max(seen.took_s - seen.base_s, 0.001)))


def _whole_minutes(intervals: Iterable[Interval], settings: Settings) -> tuple[LocalRange, ...]:
    """Return the wall-clock time of intervals, as far as it is whole minutes."""
    ranges = merge_ranges(shown for interval in intervals for shown in local_ranges(interval, settings.zone))
    whole = (
        (span.from_local + (_whole(span.from_local) - span.from_local) % _MINUTE, _whole(span.to_local))
        for span in ranges
    )
    return tuple(LocalRange(from_local, to_local) for from_local, to_local in whole if from_local < to_local)


def _whole(local: datetime) -> datetime:
    return local.replace(second=0)


def _holds(ranges: Iterable[LocalRange], minute_local: datetime) -> bool:
    return any(span.from_local <= minute_local and minute_local + _MINUTE <= span.to_local for span in ranges)


def plan_near(
    seen: SeenContent,
    asked: NearCheckQuery,
    contents: Sequence[MinuteContent],
    window: Interval,
    settings: Settings,
    *,
    gap: Interval | None,
    most_runs: int,
) -> tuple[NearPlan, tuple[Slice, ...]]:
    """Return what the answer says, without its look, and the slices of minutes to read again, about ``most_runs`` runs.

    What the live window holds, or the window of a ``gap`` that is filled beside it, their slices read.
    Minutes known to have changed come before those never seen, both oldest first; those whose slice failed before
    come last, each in a slice of its own.
    """
    live = _within(window, contents, settings)
    filled = _within(gap, contents, settings) if gap is not None else {}
    found = {_key(minute): minute for minute in contents}
    kept = {key for key in (*seen.minutes, *seen.failed) if asked.holds(datetime.fromisoformat(key))}
    read = live | filled
    differing = [
        minute for key, minute in found.items() if key not in read and seen.minutes.get(key) != minute.fingerprint
    ]
    failed = set(seen.failed)
    differing.sort(key=lambda minute: (_key(minute) in failed, _key(minute) not in seen.minutes, minute.minute_local))
    chosen = _first(differing, most_runs)
    cut = [*_together([minute for minute in chosen if _key(minute) not in failed], settings.batch_size)]
    for minute in chosen:
        if _key(minute) in failed:
            cut += _together([minute], settings.batch_size)
    near = NearPlan(
        live=live,
        gap={key: fingerprint for key, fingerprint in filled.items() if key not in live},
        slices=tuple({_key(minute): minute.fingerprint for minute in minutes} for _, minutes in cut),
        as_before=tuple(sorted(key for key in kept & failed if key in found and _is_kept(seen, found[key]))),
        gone=tuple(sorted(kept - found.keys())),
        waits=len(chosen) < len(differing),
    )
    return near, tuple(replace(slice_, name=f"{NEAR}{n:04d}") for n, (slice_, _) in enumerate(cut, start=1))


def _within(window: Interval, contents: Iterable[MinuteContent], settings: Settings) -> dict[str, str]:
    ranges = local_ranges(window, settings.zone)
    return {_key(minute): minute.fingerprint for minute in contents if _holds(ranges, minute.minute_local)}


def _key(content: MinuteContent) -> str:
    return minute_key(content.minute_local)


def _is_kept(seen: SeenContent, content: MinuteContent) -> bool:
    return seen.minutes.get(_key(content)) == content.fingerprint


def _first(contents: Sequence[MinuteContent], most_runs: int) -> list[MinuteContent]:
    """Return as many as hold ``most_runs`` runs together, and one at the least."""
    fit = sum(total <= most_runs for total in accumulate(minute.runs for minute in contents))
    return list(contents[: max(fit, 1)])


def _together(contents: Iterable[MinuteContent], batch_size: int) -> Iterable[tuple[Slice, list[MinuteContent]]]:
    """Cut minutes into slices, each with the minutes it reads."""
    ascending = sorted(contents, key=lambda minute: minute.minute_local)
    ranges = merge_ranges(_range_of(minute) for minute in ascending)
    for slice_ in slices_of(ranges, [(minute.minute_local, minute.runs) for minute in ascending], batch_size):
        yield slice_, [minute for minute in ascending if _holds(slice_.ranges, minute.minute_local)]


def _range_of(content: MinuteContent) -> LocalRange:
    return LocalRange(content.minute_local, content.minute_local + _MINUTE)
