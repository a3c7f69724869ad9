"""What WATS should hold of the runs of a batch: the hash of each report, made again of what VTE says now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from vte_wats.config.settings import Settings
from vte_wats.domain.ports import RunSource
from vte_wats.domain.report import Report
from vte_wats.domain.run import VteTestRun
from vte_wats.reconcile.keys import staged_keys
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import RUNS, extract
from vte_wats.sync.map_runs import map_runs
from vte_wats.sync.plan import plan_named
from vte_wats.sync.staged_reports import staged_mappings

EXPECTED = "expected"
_REFUSED, _CHANGED = "-", "changed"


@dataclass(frozen=True, slots=True)
class Expected:
    """What is expected of one run. ``source_hash`` is ``None`` when it makes no report by now.

    ``is_changed``: it has a dead letter, which holds other data than VTE by now.
    """

    source_hash: str | None
    is_changed: bool


def stage_expected(source: RunSource, staging: Staging, dead_letters: DeadLetters, settings: Settings) -> int:
    """Read and map the runs of a batch, some at a time, and stage the hash of each; return how many there are."""
    guids = [key.guid for key in staged_keys(staging)]
    known = dead_letters.guids()

    def lines() -> Iterator[str]:
        for part in plan_named(guids, settings, len(guids)):
            extract(source, staging, part, settings)
            map_runs(staging, settings)
            changed = _changed(staging, dead_letters, known)
            for mapped in staged_mappings(staging):
                guid = mapped.report_id if isinstance(mapped, Report) else mapped.index_guid
                source_hash = mapped.source_hash if isinstance(mapped, Report) else _REFUSED
                yield f"{guid} {source_hash} {_CHANGED if guid in changed else ''}"

    return staging.write(EXPECTED, lines())


def staged_expected(staging: Staging) -> dict[UUID, Expected]:
    """Return what :func:`stage_expected` staged; runs that VTE no longer has are absent."""
    return dict(staging.parsed(EXPECTED, _parse))


def _parse(line: str) -> tuple[UUID, Expected]:
    guid, source_hash, changed = line.split(" ")
    return UUID(guid), Expected(None if source_hash == _REFUSED else source_hash, changed == _CHANGED)


def _changed(staging: Staging, dead_letters: DeadLetters, known: frozenset[UUID]) -> frozenset[UUID]:
    """Return the staged runs whose dead letter holds other data."""
    if not known:
        return frozenset()
    runs = (run for run in staging.parsed(RUNS, VteTestRun.model_validate_json) if run.index_guid in known)
    known_dead = ((run, dead_letters.get(run.index_guid)) for run in runs)
    return frozenset(run.index_guid for run, kept in known_dead if kept is not None and kept.run != run)
