"""How the steps of a run stand under the root of its report: in a row or nested, each with a name of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence

from pywats.domains.report.report_models.common_types import ReportStatus, SequenceCallInfo
from pywats.domains.report.report_models.uut.steps import SequenceCall
from pywats.domains.report.report_models.uut.steps.sequence_call import StepType

from vte_wats.config.settings import EqualStepNames, Settings, StepNesting
from vte_wats.mapping.step_names import numbered
from vte_wats.mapping.steps import MappedStep
from vte_wats.mapping.verdicts import failing_status, worst

# Ten levels are more than a test plan has; a longer text is no test number.
_NESTED_NUMBER = re.compile(r"\d{1,9}(?:\.\d{1,9}){1,9}", re.ASCII)


def arrange(
    steps: Iterable[MappedStep], settings: Settings, sequence_of: Callable[[str], SequenceCallInfo]
) -> list[StepType]:
    """Return the steps that stand directly under the root; ``sequence_of`` names the sequence that a step is called in.

    A sequence stands where its first step does, and has the status of its worst step.
    """
    top: list[StepType] = []
    calls: dict[str, SequenceCall] = {}
    is_nested = settings.step_nesting is StepNesting.TEST_NUMBER
    for step, test_number in steps:
        siblings = top
        for number in _above(test_number) if is_nested else ():
            if number not in calls:
                calls[number] = SequenceCall(name=number, sequence=sequence_of(number))
                siblings.append(calls[number])
            siblings = calls[number].steps
        siblings.append(step)
    for call in reversed(calls.values()):  # those inside come after those around them
        call.status = worst(step.status for step in call.steps)
    if settings.equal_step_names is EqualStepNames.NUMBER:
        for siblings in (top, *(call.steps for call in calls.values())):
            _number_equal_names(siblings)
    return top


def mark_cause(steps: Sequence[MappedStep], result: ReportStatus) -> int | None:
    """Mark the step that failed the unit, and return its id if it has one.

    That is the first step with the status that the result has, else the first that did not pass; VTE does not say more.
    """
    for status in failing_status(result):
        for step, _ in steps:
            if step.status == status:
                step.caused_uut_failure = True
                return step.id if isinstance(step.id, int) else None
    return None


def _above(test_number: str | None) -> Sequence[str]:
    """Return the sequences that the step with a test number stands in, the outermost first: 1 and 1.2 for 1.2.3."""
    number = (test_number or "").strip()
    if not _NESTED_NUMBER.fullmatch(number):
        return ()
    parts = number.split(".")
    return [".".join(parts[:length]) for length in range(1, len(parts))]


def _number_equal_names(siblings: Sequence[StepType]) -> None:
    names = [step.name for step in siblings]
    for step, name in zip(siblings, numbered(names), strict=True):
        if name != step.name:
            step.name = name
