"""Plan: which wall-clock time is to be read, cut into slices of about equal work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from vte_wats.config.settings import Settings
from vte_wats.domain.errors import RetriableError
from vte_wats.domain.ports import RunSource, RunTimes, TimeRange
from vte_wats.intervals.windows import Window, hours_to_judge, local_ranges, merged, slices_of, window_of
from vte_wats.messages import VW507, VW911, VW912
from vte_wats.state.history import PlanSnapshot
from vte_wats.storage.dead_letters import DeadLetterKind, DeadLetters
from vte_wats.sync.slices import Slice

log = logging.getLogger(__name__)

# Airflow maps a task 1,024 times at most by default; a window takes up to 1,000 of them.
_HELD_SLICES = 24


@dataclass(frozen=True, slots=True)
class Plan:
    """The window that will be done once all slices are, and the slices; none when nothing was there.

    ``seconds`` counts the window's runs per second of wall-clock time, ascending.
    """

    window: Window
    slices: tuple[Slice, ...]
    seconds: tuple[tuple[datetime, int], ...]

    @property
    def runs(self) -> int:
        """How many runs were seen while planning."""
        return sum(s.runs for s in self.slices)


def plan(source: RunSource, settings: Settings, window: Window) -> Plan:
    """Plan a window with one statement, as :func:`plan_seen` does."""
    return plan_seen(source.run_times(ranges_to_read(window, settings)), settings, window)


def plan_seen(times: RunTimes, settings: Settings, window: Window) -> Plan:
    """Plan a window of which ``times`` tells what the source holds in its :func:`ranges_to_read`.

    Raises RetriableError when SQL Server's clock is too far behind. The window never reaches beyond the server's own
    now less the settle delay. What is cut off is read again by the guard band of the next interval, so it may not be
    longer than that.
    """
    ranges = ranges_to_read(window, settings)
    settled_at = times.server_now_at.replace(microsecond=0) - timedelta(seconds=settings.settle_delay_s)
    behind_s = (window.to_at - settled_at).total_seconds()
    if behind_s > settings.guard_band_s:
        raise RetriableError(
            VW507,
            f"SQL Server's clock is {behind_s:.0f} s behind Airflow's, more than guard_band_s = "
            f"{settings.guard_band_s} s; set both by the same time server",
        )
    if behind_s > 0:
        log.warning("%s SQL Server's clock is %.0f s behind; the window ends at %s", VW911, behind_s, settled_at)
        window = Window(min(window.from_at, settled_at), settled_at)
        ranges = ranges_to_read(window, settings)
    seconds = [
        (second, runs) for second, runs in times.seconds if any(r.from_local <= second < r.to_local for r in ranges)
    ]
    cut = slices_of(ranges, seconds, settings.batch_size)
    slices = tuple(Slice(f"s{n:04d}", runs, ranges=part) for n, (part, runs) in enumerate(cut, start=1))
    log.info("window %s to %s: %d runs in %d slices", window.from_at, window.to_at, sum(r for _, r in cut), len(cut))
    return Plan(window, slices, tuple(seconds))


def ranges_to_read(window: Window, settings: Settings) -> tuple[TimeRange, ...]:
    """Return the wall-clock time of the window, and a repeated hour once more when its passes can be told for good."""
    return merged((*local_ranges(window, settings.zone), *hours_to_judge(window, settings.zone)))


def plan_snapshot(planned: Plan, settings: Settings, from_at: datetime) -> PlanSnapshot:
    """Return what the plan of a data interval that begins at ``from_at`` saw beside its guard band.

    Of the hour that autumn repeats, the newest run is taken to be in the first pass.
    """
    whole = planned.window
    begins_at = window_of(from_at, from_at, 0, settings.settle_delay_s).from_at
    own = Window(max(whole.from_at, min(begins_at, whole.to_at)), whole.to_at)
    ranges = local_ranges(own, settings.zone)
    newest = planned.seconds[-1][0].replace(tzinfo=settings.zone).astimezone(UTC) if planned.seconds else None
    runs = sum(n for second, n in planned.seconds if any(r.from_local <= second < r.to_local for r in ranges))
    return PlanSnapshot(from_at=own.from_at, to_at=own.to_at, runs=runs, newest_at=newest)


def plan_held(letters: DeadLetters, planned: Plan, settings: Settings) -> tuple[Slice, ...]:
    """Cut the held runs into slices, those left out that the plan reads anyway."""
    ranges = [r for part in planned.slices for r in part.ranges]
    held = [
        letter.index_guid
        for letter in letters
        if letter.kind is DeadLetterKind.HELD
        and not any(r.from_local <= letter.run.timestamp_local < r.to_local for r in ranges)
    ]
    log.info("the settings changed: %d held runs are tried again", len(held))
    return plan_named(held, settings, _HELD_SLICES)


def plan_named(guids: Sequence[UUID], settings: Settings, slice_limit: int = 1000) -> tuple[Slice, ...]:
    """Cut named runs into slices; what does not fit into ``slice_limit`` of them is left for the next comparison."""
    parts = [tuple(guids[at : at + settings.batch_size]) for at in range(0, len(guids), settings.batch_size)]
    if len(parts) > slice_limit:
        log.warning("%s %d runs are more than one DAG run carries; the rest is left for the next", VW912, len(guids))
    return tuple(Slice(f"g{n:04d}", len(part), guids=part) for n, part in enumerate(parts[:slice_limit], start=1))
