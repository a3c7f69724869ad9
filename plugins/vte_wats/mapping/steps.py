"""From the rows of a run to the steps of its report."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
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

from vte_wats.mapping.attachments import attach, carry_long_text
from vte_wats.mapping.instruments import instrument_mark
from vte_wats.mapping.limits import NO_LIMITS, limits_of, written
from vte_wats.mapping.opaque import file_type, text_in
from vte_wats.mapping.texts import TEXT_LIMIT, WHOLE, Remarks, carriable, shortened
from vte_wats.mapping.verdicts import step_verdict, worst
from vte_wats.model import StepKind, VteStepResult
from vte_wats.settings import Settings

Value = float | str | bytes | None

NumberT = TypeVar("NumberT", bound=NumericMeasurement)
StringT = TypeVar("StringT", bound=StringMeasurement)


def map_steps(rows: Sequence[VteStepResult], settings: Settings, run_remarks: Remarks) -> list[StepType]:
    """Return the steps in the order of their numbers, unnumbered ones last; rows of one number and kind are one step.

    Only measurements share a step: a row without a value, or with a file for one, has a step of its own.
    ``run_remarks`` receives what a step has no room for. Raises RejectedError or HeldError.
    """
    steps: list[StepType] = []
    for together in _rows_together(rows):
        if len(together) == 1:
            steps.append(_single(together[0], settings, run_remarks))
        elif together[0].kind is StepKind.NUMERIC:
            steps.append(_several_numbers(together, settings))
        else:
            steps.append(_several_strings(together, settings))
    return steps


def _rows_together(rows: Sequence[VteStepResult]) -> Iterator[list[VteStepResult]]:
    by_number: dict[int, list[VteStepResult]] = {}
    unnumbered: list[VteStepResult] = []
    for row in rows:
        if row.step_number is None:
            unnumbered.append(row)
        else:
            by_number.setdefault(row.step_number, []).append(row)
    for number in sorted(by_number):
        if len(by_number[number]) == 1:
            yield by_number[number]
        else:
            yield from _measurements_together(by_number[number])
    for row in unnumbered:
        yield [row]


def _measurements_together(rows: Sequence[VteStepResult]) -> Iterator[list[VteStepResult]]:
    groups: dict[StepKind | int, list[VteStepResult]] = {}
    for position, row in enumerate(rows):
        is_measurement = isinstance(_value(row), float | str)
        groups.setdefault(row.kind if is_measurement else position, []).append(row)
    yield from groups.values()


def _value(row: VteStepResult) -> Value:
    """Return a row's value as WATS can measure it, a finite number or text; else bytes, or nothing."""
    value = row.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        text = text_in(value)
        return value if text is None else text
    return value


def _single(row: VteStepResult, settings: Settings, run_remarks: Remarks) -> StepType:
    value = _value(row)
    if not isinstance(value, float | str):
        return _unmeasured(row, value, settings, run_remarks)
    remarks = Remarks()
    name = _told_name(row, remarks)
    if isinstance(value, float):
        number = _number(NumericMeasurement, row, value, settings, remarks)
        text, file = carry_long_text(str(remarks), _file_name(row, "txt"))
        return NumericStep(name=name, status=number.status, measurement=number, report_text=text, attachment=file)
    string = _string(StringMeasurement, row, value, settings, remarks)
    text, file = carry_long_text(str(remarks), _file_name(row, "txt"))
    return StringValueStep(name=name, status=string.status, measurement=string, report_text=text, attachment=file)


def _several_numbers(rows: Sequence[VteStepResult], settings: Settings) -> MultiNumericStep:
    parts = _told_apart(rows)
    numbers = [
        _number(MultiNumericMeasurement, row, value, settings, remarks, name=name)
        for row, name, remarks in parts
        if isinstance(value := _value(row), float)
    ]
    text, file = carry_long_text(_told_together(parts), _file_name(rows[0], "txt"))
    return MultiNumericStep(
        name=_shared_name(rows),
        status=worst(number.status for number in numbers),
        measurements=numbers,
        report_text=text,
        attachment=file,
    )


def _several_strings(rows: Sequence[VteStepResult], settings: Settings) -> MultiStringStep:
    parts = _told_apart(rows)
    strings = [
        _string(MultiStringMeasurement, row, value, settings, remarks, name=name)
        for row, name, remarks in parts
        if isinstance(value := _value(row), str)
    ]
    text, file = carry_long_text(_told_together(parts), _file_name(rows[0], "txt"))
    return MultiStringStep(
        name=_shared_name(rows),
        status=worst(string.status for string in strings),
        measurements=strings,
        report_text=text,
        attachment=file,
    )


def _unmeasured(row: VteStepResult, value: bytes | None, settings: Settings, run_remarks: Remarks) -> ActionStep:
    """Return a step for a row that holds no measurement: a file, or nothing at all; never an invented value."""
    remarks = Remarks()
    name = _told_name(row, remarks)
    limits = limits_of(row, settings)
    status = step_verdict(row, None, limits, settings)
    file: Attachment | None = None
    if isinstance(value, bytes) and value:
        content_type, extension = file_type(value)
        file = attach(_file_name(row, extension), value, content_type)
        remarks.add(f"The value is in the attachment {file.name}, {len(value)} bytes.")
    elif isinstance(value, bytes):
        remarks.add("The value in the source is empty: 0 bytes.")
    elif row.numeric_value is not None and row.kind is StepKind.NUMERIC:
        remarks.add(f"The value in the source is {row.numeric_value!r}, which is no number to measure.")
    else:
        remarks.add("The source holds no value: it is NULL.")
    if limits:
        remarks.add(f"Limits: {limits}")
    if units := carriable(row.units):
        remarks.add(f"Units: {units}")
    text, whole_text = carry_long_text(str(remarks), _file_name(row, "txt"))
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
    comparison, low_limit, high_limit = written(limits)
    if mark := instrument_mark(value):
        remarks.add(f"{value!r} is what an instrument answers for: {mark.value}.")
    return kind(
        name=name,
        value=value,
        unit=remarks.carry("units", row.units) or None,
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
    if units := carriable(row.units):
        remarks.add(f"Units: {units}")
    return kind(
        name=name,
        value=remarks.carry("value", value),
        comp_op=CompOp.LOG,
        status=step_verdict(row, None, NO_LIMITS, settings),
    )


def _name(row: VteStepResult) -> str:
    return (
        carriable(row.test_name)
        or carriable(row.test_description)
        or ("Step" if row.step_number is None else f"Step {row.step_number}")
    )


def _told_name(row: VteStepResult, remarks: Remarks) -> str:
    """Return a row's name; tell its description and its test number."""
    name = remarks.carry("name", row.test_name)
    description = remarks.carry("description", row.test_description, WHOLE)
    if name:
        remarks.add(description)
    if row.test_number is not None and (test_number := remarks.carry("test number", row.test_number, WHOLE)):
        remarks.add(f"Test number: {test_number}")
    return name or remarks.carry("name", _name(row))


def _shared_name(rows: Sequence[VteStepResult]) -> str:
    """Return the name all rows agree on, else the number they share; the measurements carry the names."""
    names = {_name(row) for row in rows}
    return shortened(names.pop()) if len(names) == 1 else f"Step {rows[0].step_number}"


def _told_apart(rows: Sequence[VteStepResult]) -> list[tuple[VteStepResult, str, Remarks]]:
    """Return each row with a measurement name no other row of the step has, and with remarks of its own."""
    parts: list[tuple[VteStepResult, str, Remarks]] = []
    taken: dict[str, int] = {}
    for row in rows:
        remarks = Remarks()
        told = name = _told_name(row, remarks)
        while name in taken:
            taken[told] += 1
            suffix = f" #{taken[told]}"
            name = shortened(told, TEXT_LIMIT - len(suffix)) + suffix
        taken[name] = 1
        parts.append((row, name, remarks))
    return parts


def _told_together(parts: Sequence[tuple[VteStepResult, str, Remarks]]) -> str:
    return "\n".join(f"{name}:\n{text}" for _, name, remarks in parts if (text := str(remarks)))


def _file_name(row: VteStepResult, extension: str) -> str:
    return f"step.{extension}" if row.step_number is None else f"step_{row.step_number}.{extension}"
