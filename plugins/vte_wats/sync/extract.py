"""Extract: from the source into staging, run by run, three statements whatever the slice holds."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from uuid import UUID

from pydantic import TypeAdapter

from vte_wats.config.settings import Settings
from vte_wats.domain.ports import RunSource
from vte_wats.domain.run import VteTestRun
from vte_wats.intervals.wall_clock import Fold, LocalRange, merge_ranges, neighbourhood, repeated_hour
from vte_wats.mapping.start_time import disambiguated_folds
from vte_wats.storage.staging import Staging
from vte_wats.sync.slices import Slice

log = logging.getLogger(__name__)

RUNS = "runs"
FOLDS = "folds"

_FOLD: TypeAdapter[tuple[UUID, Fold]] = TypeAdapter(tuple[UUID, Fold])


def extract(source: RunSource, staging: Staging, slice_: Slice, settings: Settings) -> int:
    """Stage the runs of a slice, one JSON line each; return how many were read.

    Runs in an hour that the clock showed twice need a further statement: what their stations did around it.
    """
    runs: Iterable[VteTestRun] = ()  # of a slice that only asks WATS
    if slice_.guids or slice_.ranges:
        runs = source.runs_by_guid(slice_.guids) if slice_.guids else source.runs_between(slice_.ranges)
    hours: dict[UUID, LocalRange] = {}

    def lines() -> Iterator[bytes]:
        for run in runs:
            hour = repeated_hour(run.timestamp_local, settings.zone)
            if hour is not None:
                hours[run.index_guid] = hour
            yield run.as_json()

    read = staging.write(RUNS, lines())
    log.info("%s: %d runs read", slice_.name, read)
    if hours:
        folds = _known_folds(source, hours, settings)
        staging.write(FOLDS, (json.dumps([str(guid), fold]) for guid, fold in folds.items()))
    return read


def absent_runs(staging: Staging, slice_: Slice, read: int) -> list[UUID]:
    """Return the named runs of a slice that the source does not have; ``read`` is what :func:`extract` returned."""
    if read >= len(slice_.guids):
        return []
    found = {run.index_guid for run in staging.parsed(RUNS, VteTestRun.model_validate_json)}
    return [guid for guid in slice_.guids if guid not in found]


def read_now(source: RunSource, guids: Sequence[UUID], settings: Settings) -> Iterator[tuple[VteTestRun, Fold | None]]:
    """Yield named runs as they are now, each with the fold that is known now; absent ones yield nothing.

    Those in a repeated hour come last and are read twice: their folds are known only after all were seen.
    """
    hours: dict[UUID, LocalRange] = {}
    for run in source.runs_by_guid(guids):
        hour = repeated_hour(run.timestamp_local, settings.zone)
        if hour is None:
            yield run, None
        else:
            hours[run.index_guid] = hour
    if hours:
        folds = _known_folds(source, hours, settings)
        yield from ((run, folds.get(run.index_guid)) for run in source.runs_by_guid(list(hours)))


def _known_folds(source: RunSource, hours: Mapping[UUID, LocalRange], settings: Settings) -> dict[UUID, Fold]:
    """Return the folds of runs in repeated hours, as far as their stations' other runs show them."""
    nearby = merge_ranges(neighbourhood(hour) for hour in set(hours.values()))
    known = disambiguated_folds(source.station_times(nearby), settings)
    folds = {guid: known[guid] for guid in hours if guid in known}
    log.info("%d runs lie in a repeated hour; other runs of their stations show when %d were", len(hours), len(folds))
    return folds


def staged_folds(staging: Staging) -> dict[UUID, Fold]:
    """Return the folds that :func:`extract` staged; those of an earlier try may name runs that are clear by now."""
    if not staging.holds(FOLDS):
        return {}
    return dict(staging.parsed(FOLDS, _FOLD.validate_json))
