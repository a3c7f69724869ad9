"""What WATS should hold of the runs of a batch: the hashes of each report, made again of what VTE says now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from pydantic import TypeAdapter

from vte_wats.config.settings import Settings
from vte_wats.domain.ports import RunSource
from vte_wats.domain.report import Refusal, Report, ReportHeader
from vte_wats.domain.run import VteTestRun
from vte_wats.mapping.run_hash import run_hash
from vte_wats.reconcile.keys import staged_keys
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import RUNS, extract
from vte_wats.sync.map_runs import map_runs
from vte_wats.sync.plan import plan_named
from vte_wats.sync.staged_reports import staged_mappings

EXPECTED = "expected"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of one run. ``source_hash`` is ``None`` when it makes no report by now.

    ``run_hash`` is ``None`` when the run cannot be read whole. ``header`` is what WATS lists of the report.
    ``is_changed``: it has a dead letter, which holds other data than VTE by now.
    """

    source_hash: str | None
    run_hash: str | None
    header: ReportHeader | None = None
    is_changed: bool = False


_LINE: TypeAdapter[tuple[UUID, Expected]] = TypeAdapter(tuple[UUID, Expected])


def stage_expected(source: RunSource, staging: Staging, dead_letters: DeadLetters, settings: Settings) -> int:
    """Read and map the runs of a batch, some at a time, and stage the hashes of each; return how many there are."""
    guids = [key.guid for key in staged_keys(staging)]
    known = dead_letters.guids()

    def lines() -> Iterator[str]:
        for part in plan_named(guids, settings, len(guids)):
            extract(source, staging, part, settings)
            map_runs(staging, settings)
            runs = staging.parsed(RUNS, VteTestRun.model_validate_json)
            for run, mapped in zip(runs, staged_mappings(staging), strict=True):
                is_changed = run.index_guid in known and _is_changed(run, dead_letters)
                yield _LINE.dump_json((run.index_guid, _expected(run, mapped, is_changed=is_changed))).decode()

    return staging.write(EXPECTED, lines())


def staged_expected(staging: Staging) -> dict[UUID, Expected]:
    """Return what :func:`stage_expected` staged; runs that VTE no longer has are absent."""
    return dict(staging.parsed(EXPECTED, _LINE.validate_json))


def _expected(run: VteTestRun, mapped: Report | Refusal, *, is_changed: bool) -> Expected:
    source_hash, header = (mapped.source_hash, mapped.header) if isinstance(mapped, Report) else (None, None)
    return Expected(source_hash, run_hash(run) if run.defect is None else None, header, is_changed)


def _is_changed(run: VteTestRun, dead_letters: DeadLetters) -> bool:
    """Return whether the dead letter of a run holds other data."""
    kept = dead_letters.get(run.index_guid)
    return kept is not None and kept.run != run
