"""What would become of sampled runs with the proposed settings. Nothing is posted, and nothing of it is kept in VTE."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from vte_wats.config.settings import Settings
from vte_wats.domain.report import NaturalKey, Refusal
from vte_wats.domain.run import VteTestRun
from vte_wats.survey.sample_findings import Closed, Issue
from vte_wats.sync.map_runs import report_or_refusal


class TrialLine(Closed):
    """What would become of one run: ``report``, ``dead`` or ``held``, with the reason."""

    index_guid: UUID
    outcome: str
    reason: str = ""


class Trial(Closed):
    """What would become of each kept run; ``issues`` are the reasons, counted over all sampled runs."""

    lines: tuple[TrialLine, ...] = ()
    issues: tuple[Issue, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many runs have each outcome."""
        outcomes = [line.outcome for line in self.lines]
        return {outcome: outcomes.count(outcome) for outcome in ("report", "dead", "held")}


def try_mapping(runs: Iterable[VteTestRun], settings: Settings, issues: Iterable[Issue] = ()) -> Trial:
    """Map each run as a sync would."""
    keys: dict[NaturalKey, UUID] = {}
    return Trial(lines=tuple(_line(run, settings, keys) for run in runs), issues=tuple(issues))


def _line(run: VteTestRun, settings: Settings, keys: dict[NaturalKey, UUID]) -> TrialLine:
    mapped = report_or_refusal(run, settings, None)
    if isinstance(mapped, Refusal):
        return TrialLine(index_guid=run.index_guid, outcome=mapped.kind.value, reason=mapped.reason)
    first = keys.setdefault(mapped.natural_key, run.index_guid)
    if first != run.index_guid:
        reason = f"run {first} has the same serial, part number, process and start"
        return TrialLine(index_guid=run.index_guid, outcome="dead", reason=reason)
    return TrialLine(index_guid=run.index_guid, outcome="report")
