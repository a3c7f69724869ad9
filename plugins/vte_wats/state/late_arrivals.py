"""Lateness: how long after their time runs appear in VTE, told by counting the same seconds twice.

The guard band of a sync holds seconds that the sync before has counted. Where they hold more runs by now, those came
late, by no less than the age that their second had then. No run is looked at for it. What came later than the guard
band shows when runs are compared with WATS, and counts to the next age beyond it: how late it was, the sync itself
tells once its guard band reaches so far.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from vte_wats.config.settings import Settings
from vte_wats.intervals.windows import Window, local_ranges
from vte_wats.messages import VW916, VW917
from vte_wats.state.coverage import LateArrivals, State

log = logging.getLogger(__name__)

_AGES_S = (60, 300, 600, 1_800, 3_600, 21_600, 86_400)

Seconds = Sequence[tuple[datetime, int]]


def measured(before: LateArrivals | None, window: Window, seconds: Seconds, settings: Settings) -> LateArrivals:
    """Return the lateness after one more window, whose ``seconds`` count its runs in wall-clock time."""
    ages_s = [age_s for age_s in _AGES_S if age_s < settings.guard_band_s] + [settings.guard_band_s]
    late = {} if before is None else dict(before.late)
    if before is not None and _counts_again(window, before):
        for age_s, runs in _runs_by_age(seconds, before.until_at, before.seen, settings.zone).items():
            late[age_s] = late.get(age_s, 0) + max(0, runs - before.seen[age_s])
        _suggest(before, late, settings)
    return LateArrivals(
        until_at=window.to_at, seen=_runs_by_age(seconds, window.to_at, ages_s, settings.zone), late=late
    )


def _counts_again(window: Window, before: LateArrivals) -> bool:
    oldest_at = before.until_at - timedelta(seconds=max(before.seen))
    return window.from_at <= oldest_at and before.until_at <= window.to_at


def _runs_by_age(seconds: Seconds, until_at: datetime, ages_s: Iterable[int], zone: ZoneInfo) -> dict[int, int]:
    """Count the runs whose age at ``until_at`` is at most each of ``ages_s``, and above the one before."""
    counts = {}
    for above_s, age_s in pairwise([0, *sorted(ages_s)]):
        ranges = local_ranges(Window(until_at - timedelta(seconds=age_s), until_at - timedelta(seconds=above_s)), zone)
        counts[age_s] = sum(n for second, n in seconds if any(r.from_local <= second < r.to_local for r in ranges))
    return counts


def found_later(times_local: Iterable[datetime], state: State, settings: Settings) -> dict[int, int]:
    """Count the runs that a comparison found missing although a sync was done with their time, by their least age.

    Runs in a hole that a failed interval left, and runs whose date no sync reached, did not come late; neither did
    those that the guard band of the next sync sees. Logs the guard band that such runs ask for.
    """
    guard_band = timedelta(seconds=settings.guard_band_s)
    done = [(stretch.from_at, stretch.to_at - guard_band) for stretch in state.coverage]
    instants = [_instant(local, settings.zone) for local in times_local]
    late = sum(1 for at in instants if at is not None and any(from_at <= at < to_at for from_at, to_at in done))
    if not late:
        return {}
    log.warning(
        "%s %d runs are not in WATS although a sync was done with their time: they came later than "
        "guard_band_s = %d s, or WATS lost them. guard_band_s = %d would let the sync see such runs, and tell how "
        "late they come",
        VW917,
        late,
        settings.guard_band_s,
        _beyond(settings),
    )
    return {_beyond(settings): late}


def suggested_guard_band_s(late_arrivals: LateArrivals | None, settings: Settings) -> int | None:
    """Return the guard band that what came too late asks for, ``None`` when the present one saw everything."""
    late = {} if late_arrivals is None else late_arrivals.late
    return next((age_s for age_s in sorted(late) if late[age_s] and age_s > settings.guard_band_s), None)


def _beyond(settings: Settings) -> int:
    return next((age_s for age_s in _AGES_S if age_s > settings.guard_band_s), 2 * settings.guard_band_s)


def _instant(local: datetime, zone: ZoneInfo) -> datetime | None:
    try:
        return local.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:
        return None


def _suggest(before: LateArrivals, late: dict[int, int], settings: Settings) -> None:
    oldest_s = max(before.seen)
    new = late.get(oldest_s, 0) - before.late.get(oldest_s, 0)
    if not new or oldest_s < settings.guard_band_s:
        return
    wanted_s = suggested_guard_band_s(before, settings)
    advice = (
        f"raise it to {wanted_s} s: vte_wats_reconcile found such runs"
        if wanted_s
        else "raise it if vte_wats_reconcile finds them, too"
    )
    log.warning(
        "%s %d runs appeared in the oldest part of guard_band_s = %d s, so others may come later still; %s",
        VW916,
        new,
        settings.guard_band_s,
        advice,
    )
