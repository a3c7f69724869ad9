"""Map: from staged runs to staged reports; a run that cannot become one is noted with its reason."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter

from vte_wats.config.settings import Settings
from vte_wats.domain.errors import RejectedError
from vte_wats.domain.outcome import DeadLetterKind
from vte_wats.domain.ports import RunSource
from vte_wats.domain.report import NaturalKey, Refusal, Report
from vte_wats.domain.run import VteTestRun
from vte_wats.intervals.dst import Fold
from vte_wats.mapping.report_builder import map_run
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import RUNS, read_now, staged_folds

log = logging.getLogger(__name__)

REPORTS = "reports"


@dataclass(frozen=True, slots=True)
class _Header:
    """The first of a report's two lines; the second is the document, exactly as it will be posted."""

    report_id: UUID
    source_hash: str
    natural_key: NaturalKey


_LINE: TypeAdapter[_Header | Refusal] = TypeAdapter(_Header | Refusal)


def map_runs(staging: Staging, settings: Settings) -> dict[str, int]:
    """Stage a report or a refusal for every staged run, in the same order; return how many of each."""
    counts = {"reports": 0, "dead": 0, "held": 0}
    folds = staged_folds(staging)

    def mapped_now() -> Iterator[Report | Refusal]:
        for run in staging.parsed(RUNS, VteTestRun.model_validate_json):
            mapped = _report_or_refusal(run, settings, folds.get(run.index_guid))
            counts["reports" if isinstance(mapped, Report) else mapped.kind] += 1
            yield mapped

    stage_mapped(staging, mapped_now())
    log.info("%(reports)d reports, %(dead)d dead, %(held)d held", counts)
    return counts


def _report_or_refusal(run: VteTestRun, settings: Settings, fold: Fold | None) -> Report | Refusal:
    if run.defect is not None:
        log.warning("Run %s dead: %s", run.index_guid, run.defect.reason)
        return Refusal(run.index_guid, DeadLetterKind.DEAD, run.defect.reason, run.defect.signature)
    try:
        return map_run(run, settings, fold)
    except RejectedError as error:
        refusal = Refusal.of(run.index_guid, error)
        log.warning("Run %s %s: %s", run.index_guid, refusal.kind, error)
        return refusal


def read_again(source: RunSource, settings: Settings, guids: Sequence[UUID]) -> Iterator[Report | Refusal]:
    """Yield what named runs are by now; one that is not in the source any more is left out."""
    return (_report_or_refusal(run, settings, fold) for run, fold in read_now(source, guids, settings))


def stage_mapped(staging: Staging, mapped_runs: Iterable[Report | Refusal], name: str = REPORTS) -> None:
    """Stage what runs were mapped to: a line per refusal, two per report."""

    def lines() -> Iterator[str]:
        for mapped in mapped_runs:
            if isinstance(mapped, Report):
                yield _LINE.dump_json(_Header(mapped.report_id, mapped.source_hash, mapped.natural_key)).decode()
                yield mapped.body
            else:
                yield _LINE.dump_json(mapped).decode()

    staging.write(name, lines())


def staged_mappings(staging: Staging, name: str = REPORTS) -> Iterator[Report | Refusal]:
    """Yield what :func:`stage_mapped` staged."""
    lines = staging.read(name)
    for line in lines:
        try:
            staged = _LINE.validate_json(line)
        except ValueError as exc:
            raise staging.damaged(name, "the line before a report", exc) from None  # its text repeats the run
        if isinstance(staged, Refusal):
            yield staged
            continue
        yield Report(staged.report_id, staged.source_hash, staged.natural_key, _body(staging, name, staged, lines))


def _body(staging: Staging, name: str, header: _Header, lines: Iterator[str]) -> str:
    """Return the document of a report; it may be large, so it is held by who gets it alone."""
    body = next(lines, "")
    if not (body.startswith("{") and body.endswith("}")):
        raise staging.damaged(name, f"the report of run {header.report_id}", ValueError())
    return body
