"""From the rows of a run to the steps of its report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from pywats.domains.report.report_models.common_types import StepStatus
from pywats.domains.report.report_models.uut.steps import (
    ActionStep,
    MultiNumericStep,
    MultiStringStep,
    NumericStep,
    StringValueStep,
)
from pywats.domains.report.report_models.uut.steps.measurement import (
    MultiNumericMeasurement,
    MultiStringMeasurement,
    NumericMeasurement,
    StringMeasurement,
)
from pywats.domains.report.report_models.uut.steps.sequence_call import StepType
from pywats.shared.enums import CompOp

from vte_wats.mapping.attachments import attach, carry_long_text
from vte_wats.mapping.limits import limits_of, written
from vte_wats.mapping.opaque import file_type, text_in
from vte_wats.mapping.texts import TEXT_LIMIT, Remarks, carriable, shortened
from vte_wats.mapping.verdicts import step_verdict, worst
from vte_wats.model import StepKind, VteStepResult
from vte_wats.settings import Settings

Value = float | str | bytes | None

# What SCPI instruments answer instead of a reading; the tolerance lets a 32-bit column stand in between.
_OVERLOAD = 9.9e37
_NOT_A_NUMBER = 9.91e37
_SINGLE_PRECISION = 1e-6


def map_steps(rows: Sequence[VteStepResult], settings: Settings, run_remarks: Remarks) -> list[StepType]:
    """Return the steps in the order of their numbers, unnumbered ones last; rows of one number and kind are one step.

    Only measurements share a step: a row without a value, or with a file for one, has a step of its own.
    ``run_remarks`` receives what a step has no room for. Raises RejectedError or HeldError.
    """
    steps: list[StepType] = []
    for rows_together in _together(rows):
        if len(rows_together) == 1:
            steps.append(_single(rows_together[0], settings, run_remarks))
        elif rows_together[0].kind is StepKind.NUMERIC:
            steps.append(_several_numbers(rows_together, settings, run_remarks))
        else:
            steps.append(_several_texts(rows_together, settings, run_remarks))
    return steps


def _together(rows: Sequence[VteStepResult]) -> Iterator[list[VteStepResult]]:
    by_number: dict[int, list[VteStepResult]] = {}
    unnumbered: list[VteStepResult] = []
    for row in rows:
        if row.step_number is None:
            unnumbered.append(row)
        else:
            by_number.setdefault(row.step_number, []).append(row)
    for number in sorted(by_number):
        same_number = by_number[number]
        if len(same_number) == 1:
            yield same_number
        else:
            yield from _measurements_together(same_number)
    for row in unnumbered:
        yield [row]


def _measurements_together(rows: list[VteStepResult]) -> Iterator[list[VteStepResult]]:
    groups: dict[tuple[StepKind, int], list[VteStepResult]] = {}
    for position, row in enumerate(rows):
        alone = isinstance(_value(row), bytes | None)
        groups.setdefault((row.kind, position if alone else -1), []).append(row)
    yield from groups.values()


def _value(row: VteStepResult) -> Value:
    """Return a row's value as WATS can measure it: a finite number or text; else bytes, or nothing."""
    value = row.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        text = text_in(value)
        return value if text is None else text
    return value


def _single(row: VteStepResult, settings: Settings, run_remarks: Remarks) -> StepType:
    value = _value(row)
    remarks = Remarks()
    name = _described_name(row, remarks)
    if isinstance(value, float):
        measured = _numeric(row, value, settings, remarks, None)
        text, file = carry_long_text(str(remarks), f"{_file_stem(row)}.txt")
        return NumericStep(name=name, status=measured.status, measurement=measured, report_text=text, attachment=file)
    if isinstance(value, str):
        read = _string(row, value, settings, remarks, None)
        text, file = carry_long_text(str(remarks), f"{_file_stem(row)}.txt")
        return StringValueStep(name=name, status=read.status, measurement=read, report_text=text, attachment=file)
    return _unmeasured(row, value, name, settings, remarks, run_remarks)
