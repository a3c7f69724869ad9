"""Preview: what mapping would shorten, take out of texts, reject or hold, counted before anything is posted."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import BaseModel, ConfigDict

from vte_wats.config.settings import Settings
from vte_wats.domain.report import Report
from vte_wats.domain.run import DeadLetterKind, VteTestRun
from vte_wats.mapping.identity import tried_rules
from vte_wats.mapping.texts import shortened
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import RUNS
from vte_wats.sync.staged_reports import staged_mappings
from vte_wats.sync.upload import refused_runs

SHORTENED = "shortened"
TAKEN, NOT_TAKEN = "taken", "not taken"
"""Of the rules that take values out of texts: for which runs each finds something, with examples, and for which not."""
_KINDS = (SHORTENED, TAKEN, NOT_TAKEN, DeadLetterKind.DEAD.value, DeadLetterKind.HELD.value)
_EXAMPLES = 3
_REASONS = 50  # of a kind; a site with more of them has another problem
_TAKEN_SHOWN = 40  # characters of a value that a rule takes
_IN_FULL = re.compile(r"^(.{1,60}?) in full: ", re.MULTILINE)  # the remark that mapping leaves of a shortened text
_REMARKS = ("comment", "reportText")


class PreviewedRuns(BaseModel):
    """How many runs, and a few of them."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    runs: int
    examples: tuple[str, ...]


Preview = dict[str, dict[str, PreviewedRuns]]
"""Kind → reason or field → its runs, the most frequent first."""


def preview(staging: Staging, settings: Settings) -> Preview:
    """Return the preview of one slice after a dry run: its staged reports, and what mapping and WATS would refuse."""
    found: Preview = {kind: {} for kind in _KINDS}
    if settings.text_rules:
        for run in staging.parsed(RUNS, VteTestRun.model_validate_json):
            _try_rules(run, settings, found)
    for refusal in refused_runs(staging):
        _count(found[refusal.kind.value], refusal.signature, 1, [str(refusal.index_guid)])
    for mapped in staged_mappings(staging):
        if isinstance(mapped, Report):
            for name in shortened_fields(mapped):
                _count(found[SHORTENED], name, 1, [str(mapped.report_id)])
    return _most_frequent(found)


def merge_previews(previews: Iterable[Preview]) -> Preview:
    """Return one preview for many slices."""
    total: Preview = {kind: {} for kind in _KINDS}
    for slice_preview in previews:
        for kind in _KINDS:
            for reason, seen in slice_preview.get(kind, {}).items():
                _count(total[kind], reason, seen.runs, seen.examples)
    return _most_frequent(total)


def lines(found: Preview) -> Iterator[str]:
    """Yield the preview as a person reads it."""
    for kind, reasons in found.items():
        for reason, seen in reasons.items():
            yield f"{kind}: {seen.runs} runs · {reason} · such as {', '.join(seen.examples)}"


def _try_rules(run: VteTestRun, settings: Settings, found: Preview) -> None:
    for rule, values in tried_rules(run, settings):
        named = f"{rule.source} {rule.pattern}"
        if values is None:
            _count(found[NOT_TAKEN], named, 1, [str(run.index_guid)])
        else:
            taken = ", ".join(f"{name} {shortened(value, _TAKEN_SHOWN)}" for name, value in values.items())
            _count(found[TAKEN], named, 1, [f"{run.index_guid}: {taken or 'blanks'}"])


def _count(reasons: dict[str, PreviewedRuns], reason: str, runs: int, examples: Iterable[str]) -> None:
    seen = reasons.get(reason, PreviewedRuns(runs=0, examples=()))
    reasons[reason] = PreviewedRuns(runs=seen.runs + runs, examples=(*seen.examples, *examples)[:_EXAMPLES])


def _most_frequent(found: Preview) -> Preview:
    return {
        kind: dict(sorted(reasons.items(), key=lambda item: -item[1].runs)[:_REASONS])
        for kind, reasons in found.items()
    }


def shortened_fields(report: Report) -> set[str]:
    """Return the names of the texts that are shortened in a report and in full in its remarks."""
    return {match[1] for remark in _remarks(json.loads(report.document)) for match in _IN_FULL.finditer(remark)}


def _remarks(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from (str(node[key]) for key in _REMARKS if node.get(key))
        for value in node.values():
            yield from _remarks(value)
    elif isinstance(node, list):
        for value in node:
            yield from _remarks(value)
