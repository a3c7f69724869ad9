"""From the rows of a run to the steps of its report, in a row or nested, each with a name of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from pydantic import ConfigDict, field_serializer
from pywats.domains.report.report_models import Attachment
from pywats.domains.report.report_models.common_types import ReportStatus, SequenceCallInfo, StepStatus
from pywats.domains.report.report_models.uut.steps import (
    ActionStep,
    MultiNumericStep,
    NumericStep,
    SequenceCall,
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

from vte_wats.config.settings import EqualStepNames, Settings, StepNesting
from vte_wats.domain.run import StepKind, VteStepResult
from vte_wats.mapping.attachments import attach, keep_long_text
from vte_wats.mapping.content_types import file_type
from vte_wats.mapping.model_patterns import pattern, with_values
from vte_wats.mapping.numbers import as_written, limits_of, scpi_sentinel, written_limits
from vte_wats.mapping.step_rows import (
    file_name,
    joined_remarks,
    name_and_remarks,
    numbered,
    rows_together,
    shared_name,
    value_of,
    with_unique_names,
)
from vte_wats.mapping.texts import TEXT_LIMIT, WHOLE, Remarks, printable, shortened
from vte_wats.mapping.verdicts import failing_status, judged, logged, measurement_status, step_verdict, worst

UNIT_LIMIT = 20
"""Characters WATS keeps of a unit."""

_FILE_SUFFIX = " (file)"
# Looked up once: a member of an enumeration costs as much as a call.
_SKIPPED = StepStatus.Skipped
_NUMERIC = StepKind.NUMERIC
_LOG = CompOp.LOG

NumberT = TypeVar("NumberT", bound=NumericMeasurement)
StringT = TypeVar("StringT", bound=StringMeasurement)


# pyWATS dumps the measurement of each step by itself, into a dict that is dumped once more; here it is dumped once.
class _NumericStep(NumericStep):
    model_config = ConfigDict(title=NumericStep.__name__)

    @field_serializer("measurement")
    @classmethod
    def wrap_measurement(cls, value: NumericMeasurement | None) -> list[NumericMeasurement] | None:
        return None if value is None else [value]


class _StringStep(StringValueStep):
    model_config = ConfigDict(title=StringValueStep.__name__)

    @field_serializer("measurement")
    @classmethod
    def wrap_measurement(cls, value: StringMeasurement | None) -> list[StringMeasurement] | None:
        return None if value is None else [value]


class MappedStep(NamedTuple):
    """A step with the TestNumber of its first row, which says where it is nested."""

    step: StepType
    test_number: str | None


def map_steps(rows: Sequence[VteStepResult], settings: Settings, run_remarks: Remarks) -> list[MappedStep]:
    """Return the steps in the order of their numbers, unnumbered ones last; rows of one number and kind are one step.

    The first step of a number has it as its id. ``run_remarks`` gets what a step has no room for. Raises RejectedError
    or HeldError.
    """
    steps: list[MappedStep] = []
    numbers: set[int] = set()
    for group in rows_together(as_written(rows, settings)):
        first = group[0]
        step_id = first.step_number if first.step_number not in numbers else None
        if step_id is not None:
            numbers.add(step_id)
        step = _mapped(group, step_id, settings, run_remarks)
        steps.append(MappedStep(step, first.test_number))
        if step.attachment is not None and step.status == _SKIPPED:
            steps.append(MappedStep(_step_with_file_of(step), first.test_number))
    return steps


def _mapped(group: Sequence[VteStepResult], step_id: int | None, settings: Settings, run_remarks: Remarks) -> StepType:
    if len(group) == 1:
        return _single(group[0], step_id, settings, run_remarks)
    if group[0].kind is _NUMERIC:
        return _several_numbers(group, step_id, settings)
    return _several_strings(group, step_id, settings)


def _step_with_file_of(step: StepType) -> StepType:
    """Move the file of a skipped step, which WATS drops, to a step of its own."""
    file, step.attachment = step.attachment, None
    return ActionStep(
        name=shortened(step.name, TEXT_LIMIT - len(_FILE_SUFFIX)) + _FILE_SUFFIX,
        status=StepStatus.Done,
        report_text=f"The file of {step.name}, which was skipped.",
        attachment=file,
    )


def _single(row: VteStepResult, step_id: int | None, settings: Settings, run_remarks: Remarks) -> StepType:
    value = value_of(row)
    if value is None or isinstance(value, bytes):
        return _unmeasured(row, value, step_id, settings, run_remarks)
    name, remarks = name_and_remarks(row)
    if isinstance(value, float):
        status, number = _number(NumericMeasurement, row, value, settings, remarks)
        text, file = keep_long_text(str(remarks), file_name(row, "txt"))
        step: NumericStep | StringValueStep = pattern(_NumericStep, id=step_id, name=name, status=status)
        return with_values(step, measurement=number, report_text=text, attachment=file)
    status, string = _string(StringMeasurement, row, value, settings, remarks)
    text, file = keep_long_text(str(remarks), file_name(row, "txt"))
    step = pattern(_StringStep, id=step_id, name=name, status=status)
    return with_values(step, measurement=string, report_text=text, attachment=file)


def _several_numbers(rows: Sequence[VteStepResult], step_id: int | None, settings: Settings) -> MultiNumericStep:
    parts = with_unique_names(rows)
    numbers = [
        _number(MultiNumericMeasurement, row, value, settings, remarks, name=name)
        for row, name, remarks in parts
        if isinstance(value := value_of(row), float)
    ]
    text, file = keep_long_text(joined_remarks(parts), file_name(rows[0], "txt"))
    return MultiNumericStep(
        id=step_id,
        name=shared_name(rows),
        status=worst(status for status, _ in numbers),
        measurements=[number for _, number in numbers],
        report_text=text,
        attachment=file,
    )


def _several_strings(rows: Sequence[VteStepResult], step_id: int | None, settings: Settings) -> MultiStringStep:
    parts = with_unique_names(rows)
    strings = [
        _string(MultiStringMeasurement, row, value, settings, remarks, name=name)
        for row, name, remarks in parts
        if isinstance(value := value_of(row), str)
    ]
    text, file = keep_long_text(joined_remarks(parts), file_name(rows[0], "txt"))
    return MultiStringStep(
        id=step_id,
        name=shared_name(rows),
        status=worst(status for status, _ in strings),
        measurements=[string for _, string in strings],
        report_text=text,
        attachment=file,
    )


def _unmeasured(
    row: VteStepResult, value: bytes | None, step_id: int | None, settings: Settings, run_remarks: Remarks
) -> ActionStep:
    """Return a step for a row that holds no measurement: a file, or nothing at all; never an invented value."""
    name, remarks = name_and_remarks(row)
    limits = limits_of(row, settings)
    status = step_verdict(row, settings) or StepStatus.Done
    file: Attachment | None = None
    if isinstance(value, bytes) and value:
        content_type, extension = file_type(value)
        file = attach(file_name(row, extension), value, content_type)
        remarks.add(f"The value is in the attachment {file.name}, {len(value)} bytes.")
    elif isinstance(value, bytes):
        remarks.add("The value in the source is empty: 0 bytes.")
    elif row.numeric_value is not None and row.kind is _NUMERIC:
        remarks.add(f"The value in the source is {row.numeric_value!r}, which is no number to measure.")
    else:
        remarks.add("The source holds no value: it is NULL.")
    if limits:
        remarks.add(f"Limits: {limits}")
    if units := remarks.fit("units", row.units, WHOLE):
        remarks.add(f"Units: {units}")
    text, whole_text = keep_long_text(str(remarks), file_name(row, "txt"))
    if file is not None and whole_text is not None:
        run_remarks.add(f"{whole_text.name}: {remarks}")
    return ActionStep(id=step_id, name=name, status=status, report_text=text, attachment=file or whole_text)


def _number(
    kind: type[NumberT],
    row: VteStepResult,
    value: float,
    settings: Settings,
    remarks: Remarks,
    *,
    name: str | None = None,
) -> tuple[StepStatus, NumberT]:
    """Return the status of a step with this number alone, and the measurement."""
    limits = limits_of(row, settings)
    comparison, low_limit, high_limit = written_limits(limits)
    status = step_verdict(row, settings) or judged(value, limits, settings)
    if sentinel := scpi_sentinel(value):
        remarks.add(f"{value!r} is what an instrument answers for: {sentinel.value}.")
    if status is _SKIPPED:
        remarks.add(f"Value: {value!r} {printable(row.units)}".rstrip())
        remarks.add(f"Limits: {limits}" if limits else "")
    unit = remarks.fit("units", row.units, UNIT_LIMIT) or None
    number = pattern(kind, name=name, unit=unit, comp_op=comparison, status=measurement_status(status))
    return status, with_values(number, value=value, low_limit=low_limit, high_limit=high_limit)


def _string(
    kind: type[StringT],
    row: VteStepResult,
    value: str,
    settings: Settings,
    remarks: Remarks,
    *,
    name: str | None = None,
) -> tuple[StepStatus, StringT]:
    """Return the status of a step with this text alone, and the measurement."""
    status = step_verdict(row, settings) or logged(settings)
    if units := remarks.fit("units", row.units, WHOLE):
        remarks.add(f"Units: {units}")
    written = remarks.fit("value", value)
    if status is _SKIPPED and written == printable(value):  # a longer one stands there in full already
        remarks.add(f"Value: {written}")
    string = pattern(kind, name=name, comp_op=_LOG, status=measurement_status(status))
    return status, with_values(string, value=written)


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
