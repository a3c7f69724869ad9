"""Plan: which wall-clock time is to be read, cut into slices of about equal work."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

from more_itertools import chunked

from vte_wats.config.settings import Settings
from vte_wats.domain.errors import RetriableError
from vte_wats.domain.ports import RunSource
from vte_wats.domain.run import DeadLetterKind
from vte_wats.domain.source import RunTimes
from vte_wats.intervals.interval import Interval, whole_second
from vte_wats.intervals.wall_clock import LocalRange, hours_to_disambiguate, is_within, local_ranges, merge_ranges
from vte_wats.messages import VW507, VW911, VW912
from vte_wats.state.coverage import Gap
from vte_wats.state.history import PlanSnapshot
from vte_wats.storage.dead_letter_index import DeadLetterSummary
from vte_wats.sync.slices import GAP, SLICE_LIMIT, Slice, slices_of

log = logging.getLogger(__name__)

_HELD_SLICES = 24  # beside those of the window
_FIRST_LOOK = timedelta(hours=1)


def window_of(interval: Interval, guard_band_s: int, settle_delay_s: int) -> Interval:
    """Return the window of a data interval.

    It starts ``guard_band_s`` earlier, for rows that appeared late, and lies ``settle_delay_s`` in the past, so that
    the steps of its runs have been written. Fractions of a second are cut from both edges alike.
    """
    from_at, to_at = whole_second(interval.from_at), whole_second(interval.to_at)
    return Interval(from_at - timedelta(seconds=guard_band_s), to_at).shifted(-timedelta(seconds=settle_delay_s))


@dataclass(frozen=True, slots=True)
class Plan:
    """The window that will be done once all slices are, and the slices; none when nothing was there.

    ``seconds`` counts the window's runs per second of wall-clock time, ascending.
    """

    window: Interval
    slices: tuple[Slice, ...]
    seconds: tuple[tuple[datetime, int], ...]

    @property
    def runs(self) -> int:
        """How many runs were seen while planning."""
        return sum(slice_.runs for slice_ in self.slices)


def plan(source: RunSource, settings: Settings, window: Interval) -> Plan:
    """Plan a window with one statement, as :func:`plan_seen` does."""
    return plan_seen(source.run_times(ranges_to_read(window, settings)), settings, window)


def plan_seen(times: RunTimes, settings: Settings, window: Interval, *, prefix: str = "s") -> Plan:
    """Plan a window; ``times`` is what the source holds in its :func:`ranges_to_read`. Slices are named by ``prefix``.

    Raises RetriableError when SQL Server's clock is too far behind. The window never reaches beyond the server's own
    now less the settle delay. What is cut off is read again by the guard band of the next interval, so it may not be
    longer than that.
    """
    ranges = ranges_to_read(window, settings)
    settled_at = whole_second(times.server_now_at) - timedelta(seconds=settings.settle_delay_s)
    behind_s = (window.to_at - settled_at).total_seconds()
    if behind_s > settings.guard_band_s:
        raise RetriableError(
            VW507,
            f"SQL Server's clock is {behind_s:.0f} s behind Airflow's, more than guard_band_s = "
            f"{settings.guard_band_s} s; set both by the same time server",
        )
    if behind_s > 0:
        log.warning("%s SQL Server's clock is %.0f s behind; the window ends at %s", VW911, behind_s, settled_at)
        window = Interval(min(window.from_at, settled_at), settled_at)
        ranges = ranges_to_read(window, settings)
    seconds = tuple((second, runs) for second, runs in times.seconds if is_within(second, ranges))
    slices = slices_of(ranges, seconds, settings.batch_size)
    planned = Plan(window, tuple(replace(slice_, name=f"{prefix}{slice_.name[1:]}") for slice_ in slices), seconds)
    log.info("window %s to %s: %d runs in %d slices", window.from_at, window.to_at, planned.runs, len(planned.slices))
    return planned


def plan_gap(source: RunSource, settings: Settings, gap: Gap, most_runs: int) -> tuple[Interval, Plan]:
    """Plan the start of a gap; return which part of it that is, and the plan, whose window has a guard band as well.

    It holds about ``most_runs`` runs, half as many after each failure. One statement looks at its first hour;
    further ones look at more while that holds fewer runs. The guard band ends where time is not covered, either: what
    cannot be transferred there must not keep this part back.
    """
    most_runs = max(1, most_runs >> gap.tries)
    from_at, look_ahead = gap.interval.from_at, _FIRST_LOOK
    guarded_from_at = max(from_at - timedelta(seconds=settings.guard_band_s), gap.covered_from_at)
    while True:
        interval = Interval(from_at, min(from_at + look_ahead, gap.interval.to_at))
        times = source.run_times(ranges_to_read(Interval(guarded_from_at, interval.to_at), settings))
        if interval.to_at == gap.interval.to_at or sum(runs for _, runs in times.seconds) >= most_runs:
            break
        look_ahead *= 8
    interval = Interval(from_at, _end_of(interval, times.seconds, most_runs, settings))
    return interval, plan_seen(times, settings, Interval(guarded_from_at, interval.to_at), prefix=GAP)


def _end_of(
    interval: Interval, seconds: Sequence[tuple[datetime, int]], most_runs: int, settings: Settings
) -> datetime:
    """Return when an interval has so many runs; it is never empty, and of a repeated hour the second fold counts."""
    held = 0
    for second, runs in seconds:
        at = second.replace(tzinfo=settings.zone, fold=1).astimezone(UTC)
        if at not in interval:
            continue
        held += runs
        if held >= most_runs:
            return min(at + timedelta(seconds=1), interval.to_at)
    return interval.to_at


def ranges_to_read(window: Interval, settings: Settings) -> tuple[LocalRange, ...]:
    """Return the wall-clock time of the window, and a repeated hour again once its folds can be known for good."""
    return merge_ranges((*local_ranges(window, settings.zone), *hours_to_disambiguate(window, settings.zone)))


def plan_snapshot(planned: Plan, settings: Settings, from_at: datetime) -> PlanSnapshot:
    """Return what the plan of a data interval that starts at ``from_at`` saw, without its guard band.

    Of the hour that autumn repeats, the newest run is taken to be in fold 0.
    """
    window = planned.window
    starts_at = whole_second(from_at) - timedelta(seconds=settings.settle_delay_s)
    interval = Interval(max(window.from_at, min(starts_at, window.to_at)), window.to_at)
    ranges = local_ranges(interval, settings.zone)
    newest = planned.seconds[-1][0].replace(tzinfo=settings.zone).astimezone(UTC) if planned.seconds else None
    runs = sum(count for second, count in planned.seconds if is_within(second, ranges))
    return PlanSnapshot(interval=interval, runs=runs, newest_at=newest)


def plan_held(dead_letters: Iterable[DeadLetterSummary], planned: Plan, settings: Settings) -> tuple[Slice, ...]:
    """Cut the held runs into slices, except those that the plan reads anyway."""
    ranges = [local_range for slice_ in planned.slices for local_range in slice_.ranges]
    held = [
        dead_letter.index_guid
        for dead_letter in dead_letters
        if dead_letter.kind is DeadLetterKind.HELD and not is_within(dead_letter.run.timestamp_local, ranges)
    ]
    log.info("the settings changed: %d held runs are tried again", len(held))
    return plan_named(held, settings, _HELD_SLICES)


def plan_named(guids: Sequence[UUID], settings: Settings, slice_limit: int = SLICE_LIMIT) -> tuple[Slice, ...]:
    """Cut named runs into slices; what does not fit into ``slice_limit`` of them is left for the next comparison."""
    groups = [tuple(group) for group in chunked(guids, settings.batch_size)]
    if len(groups) > slice_limit:
        log.warning("%s %d runs are too many for one DAG run; the rest is left for the next", VW912, len(guids))
    return tuple(Slice(f"g{n:04d}", len(group), guids=group) for n, group in enumerate(groups[:slice_limit], start=1))
