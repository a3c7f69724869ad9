"""Lateness: how long after their time runs appear in VTE, told by counting the same seconds twice.

The guard band of a sync holds seconds that the sync before has counted. Where they hold more runs by now, those came
late, by no less than the age that their second had then. No run is looked at for it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from vte_wats.coverage import Lateness
from vte_wats.settings import Settings
from vte_wats.windows import Window, local_ranges

log = logging.getLogger(__name__)

_AGES_S = (60, 300, 600, 1_800, 3_600, 21_600)

Seconds = Sequence[tuple[datetime, int]]


def measured(before: Lateness | None, window: Window, seconds: Seconds, settings: Settings) -> Lateness:
    """Return the lateness after one more window, whose ``seconds`` count its runs in wall-clock time."""
    ages_s = [age_s for age_s in _AGES_S if age_s < settings.guard_band_s] + [settings.guard_band_s]
    late = {} if before is None else dict(before.late)
    if before is not None and _counts_again(window, before):
        for age_s, runs in _runs_by_age(seconds, before.until_at, before.seen, settings.zone).items():
            late[age_s] = late.get(age_s, 0) + max(0, runs - before.seen[age_s])
        _suggest(before, late, settings)
    return Lateness(until_at=window.to_at, seen=_runs_by_age(seconds, window.to_at, ages_s, settings.zone), late=late)


def _counts_again(window: Window, before: Lateness) -> bool:
    oldest_at = before.until_at - timedelta(seconds=max(before.seen))
    return window.from_at <= oldest_at and before.until_at <= window.to_at


def _runs_by_age(seconds: Seconds, until_at: datetime, ages_s: Iterable[int], zone: ZoneInfo) -> dict[int, int]:
    """Count the runs whose age at ``until_at`` is at most each of ``ages_s``, and above the one before."""
    counts = {}
    for above_s, age_s in pairwise([0, *sorted(ages_s)]):
        ranges = local_ranges(Window(until_at - timedelta(seconds=age_s), until_at - timedelta(seconds=above_s)), zone)
        counts[age_s] = sum(n for second, n in seconds if any(r.from_local <= second < r.to_local for r in ranges))
    return counts


def _suggest(before: Lateness, late: dict[int, int], settings: Settings) -> None:
    oldest_s = max(before.seen)
    new = late.get(oldest_s, 0) - before.late.get(oldest_s, 0)
    if new and oldest_s >= settings.guard_band_s:
        log.warning(
            "%d runs appeared in the oldest part of the guard band, so others may come later still; raise "
            "guard_band_s = %d s if vte_wats_reconcile finds them, too",
            new,
            settings.guard_band_s,
        )
