"""What would become of sampled runs: mapped with the proposed settings, and what any settings would refuse or shorten.

Nothing is posted, and nothing of it is kept in VTE.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from vte_wats.backfill.dry_run_report import shortened_fields
from vte_wats.config.settings import RunResult, Settings, StepResult
from vte_wats.domain.report import NaturalKey, Refusal
from vte_wats.domain.run import VteTestRun
from vte_wats.mapping.identity import testplan_of
from vte_wats.mapping.texts import printable, quoted
from vte_wats.survey.sample_findings import Closed, Issue
from vte_wats.survey.tally import Seen
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


_DEAD = "A dead letter."
_HELD = "Held until a setting says more."
_SHORTENED = "Uploaded, shortened visibly; the report's comment has it in full."
_MOST = 1_000  # different codes or test plans that are counted


class Refusals:
    """Maps runs one by one as if every code and test plan were known, so that these hide nothing else about a run.

    Which of them are not known is said by :meth:`issues`, for the settings that were proposed meanwhile.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = _with(settings, process_map={"*": 1})
        self._found: dict[tuple[str, str], Seen] = defaultdict(Seen)
        self._codes: dict[int, Seen] = {}
        self._step_codes: dict[int, Seen] = {}
        self._testplans: dict[str, Seen] = {}

    def add(self, run: VteTestRun) -> str:
        """Count a run; return the signature of its refusal, empty where there is none."""
        if run.defect is not None:
            return run.defect.signature  # counted as what cannot be read
        self._learn(run)
        mapped = report_or_refusal(run, self._settings, None)
        if isinstance(mapped, Refusal):
            follows = _DEAD if mapped.kind.value == "dead" else _HELD
            self._found[mapped.signature, follows].add(run.index_guid)
            return mapped.signature
        for name in shortened_fields(mapped):
            self._found[f"{name} is longer than WATS takes", _SHORTENED].add(run.index_guid)
        return ""

    def issues(self, settings: Settings) -> tuple[Issue, ...]:
        """Return what was found, and what these settings do not know, the most frequent first."""
        found = [refusals.issue(what, follows) for (what, follows), refusals in self._found.items()]
        found += _unknown("unlisted result code", self._codes, settings.result_codes)
        found += _unknown("unlisted step result code", self._step_codes, settings.step_result_codes)
        found += [
            refusals.issue(f"unmapped test plan {quoted(name)}", _HELD)
            for name, refusals in self._testplans.items()
            if settings.process_code(name) is None
        ]
        return tuple(sorted(found, key=lambda issue: -issue.seen))

    def _learn(self, run: VteTestRun) -> None:
        """Note the codes and the test plan of a run, and take the codes for known from now on."""
        name = printable(testplan_of(run.testplan))
        if name in self._testplans or len(self._testplans) < _MOST:
            self._testplans.setdefault(name, Seen()).add(run.index_guid)
        codes = set() if run.result_code is None else {run.result_code}
        step_codes = {step.result_code for step in run.steps if step.result_code is not None}
        for refusals, found in ((self._codes, codes), (self._step_codes, step_codes)):
            for code in sorted(found):
                if code in refusals or len(refusals) < _MOST:
                    refusals.setdefault(code, Seen()).add(run.index_guid)
        known, known_steps = self._settings.result_codes, self._settings.step_result_codes
        if not (codes <= known.keys() and step_codes <= known_steps.keys()) and len(known) + len(known_steps) < _MOST:
            self._settings = _with(
                self._settings,
                result_codes=dict.fromkeys(codes, RunResult.FAILED) | known,
                step_result_codes=dict.fromkeys(step_codes, StepResult.DONE) | known_steps,
            )


def _with(settings: Settings, **other: object) -> Settings:
    """Return other settings; a copy would keep what these have worked out already."""
    return Settings.model_validate(settings.model_dump() | other)


def _unknown(what: str, seen: Mapping[int, Seen], known: Mapping[int, object]) -> Iterator[Issue]:
    yield from (refused.issue(f"{what} {code}", _HELD) for code, refused in seen.items() if code not in known)
