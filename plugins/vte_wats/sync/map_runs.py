"""Map: from staged runs to staged reports; a run that cannot become one is noted with its reason."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from uuid import UUID

from vte_wats.config.settings import Settings
from vte_wats.domain.errors import RejectedError, code_of
from vte_wats.domain.ports import RunSource
from vte_wats.domain.report import Refusal, Report
from vte_wats.domain.run import VteTestRun, run_hash
from vte_wats.intervals.wall_clock import Fold
from vte_wats.mapping.report_builder import map_run
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import RUNS, read_now, staged_folds
from vte_wats.sync.staged_reports import stage_mapped

log = logging.getLogger(__name__)


def map_runs(staging: Staging, settings: Settings) -> dict[str, int]:
    """Stage a report or a refusal for every staged run, in the same order; return how many of each."""
    counts = {"reports": 0, "dead": 0, "held": 0}
    folds = staged_folds(staging)

    def mapped_now() -> Iterator[Report | Refusal]:
        for run, hash_of_run in staging.parsed(RUNS, _run_and_hash):
            mapped = _logged(report_or_refusal(run, settings, folds.get(run.index_guid), hash_of_run))
            del run  # or it would stand beside its report, and beside the next run
            counts["reports" if isinstance(mapped, Report) else mapped.kind] += 1
            yield mapped
            del mapped

    stage_mapped(staging, mapped_now())
    log.info("%(reports)d reports, %(dead)d dead, %(held)d held", counts)
    return counts


def _run_and_hash(line: bytes) -> tuple[VteTestRun, str]:
    """Return a staged run, and its hash while its text is at hand."""
    run = VteTestRun.model_validate_json(line)
    return run, run_hash(run, line)


def report_or_refusal(
    run: VteTestRun, settings: Settings, fold: Fold | None, hash_of_run: str | None = None
) -> Report | Refusal:
    """Return the report of a run, or why it cannot have one; ``hash_of_run`` is at hand where its text was."""
    if run.defect is not None:
        return Refusal(run.index_guid, run.defect.kind, run.defect.reason, run.defect.signature)
    try:
        return map_run(run, settings, fold, hash_of_run)
    except RejectedError as error:
        return Refusal.of(run.index_guid, error)


def _logged(mapped: Report | Refusal) -> Report | Refusal:
    if isinstance(mapped, Refusal):
        code = code_of(mapped.reason)
        log.warning("%s Run %s %s:%s", code, mapped.index_guid, mapped.kind, mapped.reason.removeprefix(code))
    return mapped


def read_again(source: RunSource, settings: Settings, guids: Sequence[UUID]) -> Iterator[Report | Refusal]:
    """Yield what named runs are by now; one that is not in the source any more is left out."""
    return (_logged(report_or_refusal(run, settings, fold)) for run, fold in read_now(source, guids, settings))
