"""What would become of sampled runs with the proposed settings. Nothing is posted, and nothing of it is kept in VTE."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from vte_wats.backfill.dry_run_report import shortened_fields
from vte_wats.config.settings import Settings
from vte_wats.domain.report import NaturalKey, Refusal
from vte_wats.domain.run import VteTestRun
from vte_wats.survey.findings import Closed, Issue
from vte_wats.sync.map_runs import report_or_refusal

_EXAMPLES = 5


class TrialLine(Closed):
    """What would become of one run: ``report``, ``dead`` or ``held``, with the reason."""

    index_guid: UUID
    outcome: str
    reason: str = ""


class Trial(Closed):
    """What would become of each run, and the reasons with their numbers."""

    lines: tuple[TrialLine, ...] = ()
    issues: tuple[Issue, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many runs have each outcome."""
        outcomes = [line.outcome for line in self.lines]
        return {outcome: outcomes.count(outcome) for outcome in ("report", "dead", "held")}


def try_mapping(runs: Iterable[VteTestRun], settings: Settings) -> Trial:
    """Map each run as a sync would."""
    lines: list[TrialLine] = []
    issues: dict[tuple[str, str], list[UUID]] = {}
    keys: dict[NaturalKey, UUID] = {}
    for run in runs:
        mapped = report_or_refusal(run, settings, None)
        if isinstance(mapped, Refusal):
            lines.append(TrialLine(index_guid=run.index_guid, outcome=mapped.kind.value, reason=mapped.reason))
            follows = "A dead letter." if mapped.kind.value == "dead" else "Held until a setting says more."
            issues.setdefault((mapped.signature, follows), []).append(run.index_guid)
            continue
        first = keys.setdefault(mapped.natural_key, run.index_guid)
        if first != run.index_guid:
            reason = f"run {first} has the same serial, part number, process and start"
            lines.append(TrialLine(index_guid=run.index_guid, outcome="dead", reason=reason))
            issues.setdefault(("natural key of another run", "A dead letter."), []).append(run.index_guid)
            continue
        lines.append(TrialLine(index_guid=run.index_guid, outcome="report"))
        for name in shortened_fields(mapped):
            kept = "Uploaded, shortened visibly; the report's comment has it in full."
            issues.setdefault((f"{name} is longer than WATS takes", kept), []).append(run.index_guid)
    return Trial(lines=tuple(lines), issues=_issues(issues))


def _issues(found: dict[tuple[str, str], list[UUID]]) -> tuple[Issue, ...]:
    def issue(what: str, consequence: str, guids: Sequence[UUID]) -> Issue:
        examples = tuple(map(str, guids[:_EXAMPLES]))
        return Issue(what=what, seen=len(guids), examples=examples, consequence=consequence)

    in_order = sorted(found.items(), key=lambda item: -len(item[1]))
    return tuple(issue(what, consequence, guids) for (what, consequence), guids in in_order)
