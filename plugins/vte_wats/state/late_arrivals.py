"""How long after their time runs appear in VTE, measured by counting the same seconds twice.

The guard band of a sync holds seconds that the sync before has counted. Where they hold more runs by now, those came
late, by no less than the age that their second had then. No run has to be read for it. A run that came later than the
guard band is found when runs are compared with WATS, and counts to the next age beyond it: how late it was is known
once the guard band reaches that far.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from vte_wats.config.settings import Settings
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import is_within, local_ranges
from vte_wats.messages import VW916, VW917
from vte_wats.state.coverage import LateArrivals, State

log = logging.getLogger(__name__)

_AGES_S = (60, 300, 600, 1_800, 3_600, 21_600, 86_400)

Seconds = Sequence[tuple[datetime, int]]


def measured(before: LateArrivals | None, window: Interval, seconds: Seconds, settings: Settings) -> LateArrivals:
    """Return the late arrivals after one more window, whose ``seconds`` count its runs in wall-clock time."""
    ages_s = [age_s for age_s in _AGES_S if age_s < settings.guard_band_s] + [settings.guard_band_s]
    late = {} if before is None else dict(before.late)
    if before is not None and _counts_again(window, before):
        for age_s, runs in _runs_by_age(seconds, before.until_at, before.seen, settings.zone).items():
            late[age_s] = late.get(age_s, 0) + max(0, runs - before.seen[age_s])
        _suggest(before, late, settings)
    return LateArrivals(
        until_at=window.to_at, seen=_runs_by_age(seconds, window.to_at, ages_s, settings.zone), late=late
    )


def _counts_again(window: Interval, before: LateArrivals) -> bool:
    oldest_at = before.until_at - timedelta(seconds=max(before.seen))
    return window.from_at <= oldest_at and before.until_at <= window.to_at


def _runs_by_age(seconds: Seconds, until_at: datetime, ages_s: Iterable[int], zone: ZoneInfo) -> dict[int, int]:
    """Count the runs whose age at ``until_at`` is at most each of ``ages_s``, and above the one before."""
    counts = {}
    for above_s, age_s in pairwise([0, *sorted(ages_s)]):
        aged = Interval(until_at - timedelta(seconds=age_s), until_at - timedelta(seconds=above_s))
        ranges = local_ranges(aged, zone)
        counts[age_s] = sum(runs for second, runs in seconds if is_within(second, ranges))
    return counts


def found_later(times_local: Iterable[datetime], state: State, settings: Settings) -> dict[int, int]:
    """Count the runs that a comparison found missing although their time was covered, by their least age.

    Runs in a gap that a failed interval left, and runs whose date no sync reached, did not come late; neither did
    those that the guard band of the next sync sees. Logs the guard band that such runs need.
    """
    guard_band = timedelta(seconds=settings.guard_band_s)
    instants = [_instant(local, settings.zone) for local in times_local]
    late = sum(
        any(covered.from_at <= at < covered.to_at - guard_band for covered in state.coverage)
        for at in instants
        if at is not None
    )
    if not late:
        return {}
    log.warning(
        "%s %d runs are not in WATS although their time was synced: they came later than guard_band_s = %d s, or "
        "WATS lost them. With guard_band_s = %d the sync would find such runs, and measure how late they come",
        VW917,
        late,
        settings.guard_band_s,
        _beyond(settings),
    )
    return {_beyond(settings): late}


def suggested_guard_band_s(late_arrivals: LateArrivals | None, settings: Settings) -> int | None:
    """Return the guard band that late runs need, ``None`` when the present one found them all."""
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
        else "raise it if vte_wats_reconcile finds such runs, too"
    )
    log.warning(
        "%s %d runs appeared in the oldest part of guard_band_s = %d s, so others may come even later; %s",
        VW916,
        new,
        settings.guard_band_s,
        advice,
    )
