"""Extract: from the source into staging, run by run, two statements whatever the slice holds."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from uuid import UUID

from vte_wats.config.settings import AmbiguousTime, Settings
from vte_wats.domain.ports import RunSource, TimeRange
from vte_wats.domain.run import VteTestRun
from vte_wats.intervals.windows import merged, neighbourhood, repeated_hour
from vte_wats.mapping.dst_disambiguation import settled_passes
from vte_wats.storage.staging import Staging
from vte_wats.sync.slices import Slice

log = logging.getLogger(__name__)

RUNS = "runs"
PASSES = "passes"


def extract(source: RunSource, staging: Staging, part: Slice, settings: Settings) -> int:
    """Stage the runs of a slice, one JSON line each; return how many were read.

    Runs in an hour that the clock showed twice need a third statement: what their stations did around it.
    """
    runs = source.runs_by_guid(part.guids) if part.guids else source.runs_between(part.ranges)
    hours: dict[UUID, TimeRange] = {}

    def lines() -> Iterator[str]:
        for run in runs:
            hour = repeated_hour(run.timestamp_local, settings.zone)
            if hour is not None:
                hours[run.index_guid] = hour
            yield run.model_dump_json(exclude_none=True)

    read = staging.write(RUNS, lines())
    log.info("%s: %d runs read", part.name, read)
    if hours:
        told = _passes_told(source, hours, settings)
        staging.write(PASSES, (json.dumps([str(guid), judged]) for guid, judged in told.items()))
    return read


def read_now(
    source: RunSource, guids: Sequence[UUID], settings: Settings
) -> Iterator[tuple[VteTestRun, AmbiguousTime | None]]:
    """Yield named runs as they are now, each with the pass that is settled now; absent ones yield nothing."""
    runs = list(source.runs_by_guid(guids))
    hours = {run.index_guid: hour for run in runs if (hour := repeated_hour(run.timestamp_local, settings.zone))}
    told = _passes_told(source, hours, settings) if hours else {}
    return ((run, told.get(run.index_guid)) for run in runs)


def _passes_told(source: RunSource, hours: Mapping[UUID, TimeRange], settings: Settings) -> dict[UUID, AmbiguousTime]:
    """Return the passes of runs in repeated hours, as far as what their stations did around them settles these."""
    around = merged([neighbourhood(hour) for hour in set(hours.values())])
    settled = settled_passes(source.station_times(around), settings)
    told = {guid: settled[guid] for guid in hours if guid in settled}
    log.info("%d runs lie in a repeated hour; other runs of their stations settle %d", len(hours), len(told))
    return told


def passes_of(staging: Staging) -> dict[UUID, AmbiguousTime]:
    """Return the passes that :func:`extract` found settled; an earlier try's may name runs that are clear by now."""
    if not staging.holds(PASSES):
        return {}
    return {UUID(guid): AmbiguousTime(judged) for guid, judged in map(json.loads, staging.read(PASSES))}
