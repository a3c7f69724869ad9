"""Extract: from the source into staging, run by run, two statements whatever the slice holds."""

from __future__ import annotations

import logging

from vte_wats.ports import RunSource
from vte_wats.storage.staging import Staging
from vte_wats.sync.slices import Slice

log = logging.getLogger(__name__)

RUNS = "runs"


def extract(source: RunSource, staging: Staging, part: Slice) -> int:
    """Stage the runs of a slice, one JSON line each; return how many were read."""
    runs = source.runs_by_guid(part.guids) if part.guids else source.runs_between(part.ranges)
    read = staging.write(RUNS, (run.model_dump_json(exclude_none=True) for run in runs))
    log.info("%s: %d runs read", part.name, read)
    return read
