"""Map: from staged runs to staged reports; a run that cannot become one is noted with its reason."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter

from vte_wats.config.settings import AmbiguousTime, Settings
from vte_wats.domain.errors import HeldError, RejectedError
from vte_wats.domain.ports import Report, RunSource
from vte_wats.domain.run import VteTestRun
from vte_wats.mapping.report_builder import map_run
from vte_wats.storage.dead_letters import DeadLetterKind
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import RUNS, passes_of, read_now

log = logging.getLogger(__name__)

REPORTS = "reports"


@dataclass(frozen=True, slots=True)
class Refusal:
    """A run that does not become a report now: its letter's kind, reason and signature."""

    index_guid: UUID
    kind: DeadLetterKind
    reason: str
    signature: str

    @classmethod
    def of(cls, guid: UUID, error: RejectedError) -> Refusal:
        """Return the refusal that an error stands for."""
        kind = DeadLetterKind.HELD if isinstance(error, HeldError) else DeadLetterKind.DEAD
        return cls(guid, kind, str(error), error.signature)


_LINE: TypeAdapter[Report | Refusal] = TypeAdapter(Report | Refusal)


def map_runs(staging: Staging, settings: Settings) -> dict[str, int]:
    """Stage a report or a refusal for every staged run, in the same order; return how many of each."""
    counts = {"reports": 0, "dead": 0, "held": 0}
    settled = passes_of(staging)

    def lines() -> Iterator[str]:
        for line in staging.read(RUNS):
            run = VteTestRun.model_validate_json(line)
            mapped = map_one(run, settings, settled.get(run.index_guid))
            counts["reports" if isinstance(mapped, Report) else mapped.kind] += 1
            yield _LINE.dump_json(mapped).decode()

    staging.write(REPORTS, lines())
    log.info("%(reports)d reports, %(dead)d dead, %(held)d held", counts)
    return counts


def map_one(run: VteTestRun, settings: Settings, ambiguous: AmbiguousTime | None) -> Report | Refusal:
    """Return the report of a run, or why there is none; ``ambiguous`` is the pass of the autumn hour that was told."""
    try:
        return map_run(run, settings, ambiguous)
    except RejectedError as error:
        refusal = Refusal.of(run.index_guid, error)
        log.warning("Run %s %s: %s", run.index_guid, refusal.kind, error)
        return refusal


def read_again(source: RunSource, settings: Settings, guids: Sequence[UUID]) -> list[Report | Refusal]:
    """Return what named runs are by now; one that is not in the source any more is left out."""
    return [map_one(run, settings, settled) for run, settled in read_now(source, guids, settings)]


def mapped_runs(staging: Staging) -> Iterator[Report | Refusal]:
    """Yield what :func:`map_runs` staged."""
    return map(_LINE.validate_json, staging.read(REPORTS))
