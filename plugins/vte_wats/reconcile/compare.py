"""Whether WATS says what VTE says now: by the hashes of every run, and value by value for a sample.

What WATS should hold of a batch of runs is the hash of each report, made again of what VTE says now. A report that was
altered after its upload, or lost something on the way, has a good hash still; so the content itself of a sample is
compared.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter

from vte_wats.config.settings import Settings
from vte_wats.domain.errors import FatalError
from vte_wats.domain.ports import RunSource, Wats
from vte_wats.domain.report import RUN_HASH, SOURCE_HASH, Refusal, Report, ReportHeader, misc_info
from vte_wats.domain.run import VteTestRun, run_hash
from vte_wats.messages import VW508, VW542, VW921, VW922
from vte_wats.reconcile.keys import staged_keys
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import RUNS, extract
from vte_wats.sync.map_runs import map_runs
from vte_wats.sync.plan import plan_named
from vte_wats.sync.report_content import differences
from vte_wats.sync.staged_reports import staged_mappings
from vte_wats.sync.upload import in_batches

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
        for slice_ in plan_named(guids, settings, len(guids)):
            extract(source, staging, slice_, settings)
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


log = logging.getLogger(__name__)

_MOST_SHOWN = 5  # differences of one report that are worth a line each


@dataclass(frozen=True, slots=True)
class Comparison:
    """What was found: the runs whose report equals them, which have none, and which say something else.

    A report is ``outdated`` when its run has changed since, as its hash shows; reading the run again replaces it. It is
    ``altered`` when it says something else under the hash of the same content; each difference is a line.
    """

    equal: tuple[UUID, ...]
    absent: tuple[UUID, ...]
    outdated: tuple[UUID, ...]
    altered: Mapping[UUID, tuple[str, ...]]

    @property
    def compared(self) -> int:
        """How many reports were looked into."""
        return len(self.equal) + len(self.outdated) + len(self.altered)


def refuse_altered(found: Comparison, backfill: str) -> None:
    """Raise FatalError when a report does not say what its run says; ``backfill`` is the DAG that fixes it."""
    if found.altered:
        runs = "; ".join(f"run {guid}: {lines[0]}" for guid, lines in list(found.altered.items())[:_MOST_SHOWN])
        raise FatalError(
            VW508,
            f"{len(found.altered)} of {found.compared} sampled reports were altered in WATS: {runs}. Find out by "
            f"whom; then trigger {backfill} with these runs and force, or with their time and force if there are many",
        )


def sample_of(guids: Iterable[UUID], size: int, seed: str) -> list[UUID]:
    """Return ``size`` of the runs, chosen by ``seed`` alone: another sample each day, the same at each try."""
    return heapq.nsmallest(size, guids, key=lambda guid: hashlib.sha256(f"{seed} {guid}".encode()).digest())


def verify(staging: Staging, wats: Wats, excluded_runs: Collection[UUID] = ()) -> Comparison:
    """Compare every staged report with the one in WATS. Runs that are refused now have none to compare.

    Whatever WATS has of runs that are left out is as somebody wants it: they are not compared. Where WATS shows no misc
    infos at all there is no hash, so a run that has changed since counts as altered.
    """
    absent: list[UUID] = []
    equal: list[UUID] = []
    outdated: list[UUID] = []
    altered: dict[UUID, tuple[str, ...]] = {}
    for batch in in_batches(staged_mappings(staging)):
        reports = {report.report_id: report for report in batch if isinstance(report, Report)}
        reports = {guid: report for guid, report in reports.items() if guid not in excluded_runs}
        kept = {guid: found.stored_as for guid, found in wats.find_reports(list(reports)).items()}
        stored = wats.fetch(list(kept.values()))
        lists_misc_infos = wats.behaviour().lists_misc_infos
        for guid, report in reports.items():
            found = stored.get(kept[guid]) if guid in kept else None
            if found is None:
                absent.append(guid)
                continue
            shows_misc_infos = lists_misc_infos or bool(found.get("miscInfos"))
            expected = json.loads(report.document) | {"id": str(kept[guid])}
            if not shows_misc_infos:
                del expected["miscInfos"]
            if shows_misc_infos and misc_info(found, SOURCE_HASH) != report.source_hash:
                outdated.append(guid)
                log.warning("%s Run %s changed after its upload; its report is outdated", VW921, guid)
            elif lines := tuple(differences(_content(expected), _content(found))):
                altered[guid] = lines
                log.error("%s Run %s is altered in WATS: %s", VW922, guid, "; ".join(lines[:_MOST_SHOWN]))
            else:
                equal.append(guid)
    log.info("%d reports equal their runs, %d outdated, %d altered", len(equal), len(outdated), len(altered))
    return Comparison(tuple(equal), tuple(absent), tuple(outdated), altered)


def repair(staging: Staging, wats: Wats, found: Comparison) -> Comparison:
    """Post the altered reports again as their runs are; return what was found without those that WATS confirmed."""
    altered = dict(found.altered)
    for batch in in_batches(staged_mappings(staging)):
        to_post = (report for report in batch if isinstance(report, Report) and report.report_id in altered)
        for submission in wats.submit(to_post):
            guid = submission.report.report_id
            if submission.error is None:
                del altered[guid]
                log.warning("%s Run %s is posted again", VW542, guid)
            else:
                error = submission.error
                log.error("%s Run %s is not repaired: %s", error.message, guid, error.detail)
    return replace(found, altered=altered)


def _content(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return a report without the hash of its run, which may be of a run that had other values than those it shows."""
    infos = [info for info in report.get("miscInfos") or () if info.get("description") != RUN_HASH]
    return {**report, "miscInfos": infos}
