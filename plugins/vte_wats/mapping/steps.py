"""From the rows of a run to the steps of its report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pywats.domains.report.report_models import Attachment
from pywats.domains.report.report_models.uut.steps import (
    ActionStep,
    MultiNumericStep,
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
from pywats.domains.report.report_models.uut.steps.string_step import MultiStringStep
from pywats.shared.enums import CompOp

from vte_wats.config.settings import Settings
from vte_wats.domain.run import StepKind, VteStepResult
from vte_wats.mapping.attachments import attach, file_type, keep_long_text
from vte_wats.mapping.limits import NO_LIMITS, limits_of, scpi_sentinel, written_limits
from vte_wats.mapping.step_rows import (
    file_name,
    joined_remarks,
    name_and_remarks,
    rows_together,
    shared_name,
    value_of,
    with_unique_names,
)
from vte_wats.mapping.texts import Remarks, printable
from vte_wats.mapping.verdicts import step_verdict, worst

NumberT = TypeVar("NumberT", bound=NumericMeasurement)
StringT = TypeVar("StringT", bound=StringMeasurement)


def map_steps(rows: Sequence[VteStepResult], settings: Settings, run_remarks: Remarks) -> list[StepType]:
    """Return the steps in the order of their numbers, unnumbered ones last; rows of one number and kind are one step.

    ``run_remarks`` gets what a step has no room for. Raises RejectedError or HeldError.
    """
    steps: list[StepType] = []
    for together in rows_together(rows):
        if len(together) == 1:
            steps.append(_single(together[0], settings, run_remarks))
        elif together[0].kind is StepKind.NUMERIC:
            steps.append(_several_numbers(together, settings))
        else:
            steps.append(_several_strings(together, settings))
    return steps


def _single(row: VteStepResult, settings: Settings, run_remarks: Remarks) -> StepType:
    value = value_of(row)
    if value is None or isinstance(value, bytes):
        return _unmeasured(row, value, settings, run_remarks)
    name, remarks = name_and_remarks(row)
    if isinstance(value, float):
        number = _number(NumericMeasurement, row, value, settings, remarks)
        text, file = keep_long_text(str(remarks), file_name(row, "txt"))
        return NumericStep(name=name, status=number.status, measurement=number, report_text=text, attachment=file)
    string = _string(StringMeasurement, row, value, settings, remarks)
    text, file = keep_long_text(str(remarks), file_name(row, "txt"))
    return StringValueStep(name=name, status=string.status, measurement=string, report_text=text, attachment=file)


def _several_numbers(rows: Sequence[VteStepResult], settings: Settings) -> MultiNumericStep:
    parts = with_unique_names(rows)
    numbers = [
        _number(MultiNumericMeasurement, row, value, settings, remarks, name=name)
        for row, name, remarks in parts
        if isinstance(value := value_of(row), float)
    ]
    text, file = keep_long_text(joined_remarks(parts), file_name(rows[0], "txt"))
    return MultiNumericStep(
        name=shared_name(rows),
        status=worst(number.status for number in numbers),
        measurements=numbers,
        report_text=text,
        attachment=file,
    )


def _several_strings(rows: Sequence[VteStepResult], settings: Settings) -> MultiStringStep:
    parts = with_unique_names(rows)
    strings = [
        _string(MultiStringMeasurement, row, value, settings, remarks, name=name)
        for row, name, remarks in parts
        if isinstance(value := value_of(row), str)
    ]
    text, file = keep_long_text(joined_remarks(parts), file_name(rows[0], "txt"))
    return MultiStringStep(
        name=shared_name(rows),
        status=worst(string.status for string in strings),
        measurements=strings,
        report_text=text,
        attachment=file,
    )


def _unmeasured(row: VteStepResult, value: bytes | None, settings: Settings, run_remarks: Remarks) -> ActionStep:
    """Return a step for a row that holds no measurement: a file, or nothing at all; never an invented value."""
    name, remarks = name_and_remarks(row)
    limits = limits_of(row, settings)
    status = step_verdict(row, None, limits, settings)
    file: Attachment | None = None
    if isinstance(value, bytes) and value:
        content_type, extension = file_type(value)
        file = attach(file_name(row, extension), value, content_type)
        remarks.add(f"The value is in the attachment {file.name}, {len(value)} bytes.")
    elif isinstance(value, bytes):
        remarks.add("The value in the source is empty: 0 bytes.")
    elif row.numeric_value is not None and row.kind is StepKind.NUMERIC:
        remarks.add(f"The value in the source is {row.numeric_value!r}, which is no number to measure.")
    else:
        remarks.add("The source holds no value: it is NULL.")
    if limits:
        remarks.add(f"Limits: {limits}")
    if units := printable(row.units):
        remarks.add(f"Units: {units}")
    text, whole_text = keep_long_text(str(remarks), file_name(row, "txt"))
    if file is not None and whole_text is not None:
        run_remarks.add(f"{whole_text.name}: {remarks}")
    return ActionStep(name=name, status=status, report_text=text, attachment=file or whole_text)


def _number(
    kind: type[NumberT],
    row: VteStepResult,
    value: float,
    settings: Settings,
    remarks: Remarks,
    *,
    name: str | None = None,
) -> NumberT:
    limits = limits_of(row, settings)
    comparison, low_limit, high_limit = written_limits(limits)
    if sentinel := scpi_sentinel(value):
        remarks.add(f"{value!r} is what an instrument answers for: {sentinel.value}.")
    return kind(
        name=name,
        value=value,
        unit=remarks.fit("units", row.units) or None,
        comp_op=comparison,
        low_limit=low_limit,
        high_limit=high_limit,
        status=step_verdict(row, value, limits, settings),
    )


def _string(
    kind: type[StringT],
    row: VteStepResult,
    value: str,
    settings: Settings,
    remarks: Remarks,
    *,
    name: str | None = None,
) -> StringT:
    if units := printable(row.units):
        remarks.add(f"Units: {units}")
    return kind(
        name=name,
        value=remarks.fit("value", value),
        comp_op=CompOp.LOG,
        status=step_verdict(row, None, NO_LIMITS, settings),
    )
