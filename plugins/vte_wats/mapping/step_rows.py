"""Which rows of a run make up one step, what each of them holds, and what steps and measurements are called."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count
from typing import NamedTuple

from vte_wats.domain.run import StepKind, VteStepResult
from vte_wats.mapping.content_types import text_in
from vte_wats.mapping.texts import TEXT_LIMIT, WHOLE, Remarks, printable, shortened

_KNOWN_TESTS = 4_096  # more than the test plans of one slice hold

_WORTH_REMEMBERING = 1_000  # characters; thousands of longer texts would fill the memory of the process

Value = float | str | bytes | None


def rows_together(rows: Sequence[VteStepResult]) -> Iterator[list[VteStepResult]]:
    """Yield the rows of each step: by number, unnumbered rows last and each alone.

    Only measurements of one kind share a step: a row without a value, or with a file for one, stands alone.
    """
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
        is_measurement = isinstance(value_of(row), float | str)
        groups.setdefault(row.kind if is_measurement else position, []).append(row)
    yield from groups.values()


def value_of(row: VteStepResult) -> Value:
    """Return a row's value as WATS can measure it, a finite number or text; else bytes, or nothing."""
    value = row.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bytes):
        text = text_in(value)
        return value if text is None else text
    return value


class Measured(NamedTuple):
    """A row within a step of several measurements: its name there, and the remarks about it."""

    row: VteStepResult
    name: str
    remarks: Remarks


def _named(test_name: str | None, description: str | None, step_number: int | None) -> str:
    return printable(test_name) or printable(description) or ("Step" if step_number is None else f"Step {step_number}")


@lru_cache(_KNOWN_TESTS)
def _name_and_remarks(
    test_name: str | None, description: str | None, test_number: str | None, step_number: int | None
) -> tuple[str, tuple[str, ...]]:
    """Return the name and the remarks: the same in every run of a test, so worked out once."""
    remarks = Remarks()
    name = remarks.fit("name", test_name)
    described = remarks.fit("description", description, WHOLE)
    if name:
        remarks.add(described)
    if test_number is not None and (numbered := remarks.fit("test number", test_number, WHOLE)):
        remarks.add(f"Test number: {numbered}")
    return name or remarks.fit("name", _named(test_name, description, step_number)), tuple(remarks)


def name_and_remarks(row: VteStepResult) -> tuple[str, Remarks]:
    """Return a row's name, and remarks with its description and its test number."""
    name, description, number = row.test_name, row.test_description, row.test_number
    is_short = len(name or "") + len(description or "") + len(number or "") <= _WORTH_REMEMBERING
    work_out = _name_and_remarks if is_short else _name_and_remarks.__wrapped__
    name, remarks = work_out(name, description, number, row.step_number)
    return name, Remarks(remarks)


def shared_name(rows: Sequence[VteStepResult]) -> str:
    """Return the name all rows agree on, else the number they share; the measurements have the names."""
    names = {_named(row.test_name, row.test_description, row.step_number) for row in rows}
    return shortened(names.pop()) if len(names) == 1 else f"Step {rows[0].step_number}"


def with_unique_names(rows: Sequence[VteStepResult]) -> list[Measured]:
    """Return each row with a measurement name no other row of the step has, and with remarks of its own."""
    named = [name_and_remarks(row) for row in rows]
    names = numbered([name for name, _ in named])
    return [Measured(row, name, remarks) for row, name, (_, remarks) in zip(rows, names, named, strict=True)]


def joined_remarks(parts: Sequence[Measured]) -> str:
    """Return the remarks of all measurements, each under its measurement's name."""
    return "\n".join(f"{name}:\n{text}" for _, name, remarks in parts if (text := str(remarks)))


def file_name(row: VteStepResult, extension: str) -> str:
    """Return the name of the file that is attached to a row's step."""
    return f"step.{extension}" if row.step_number is None else f"step_{row.step_number}.{extension}"


def numbered(names: Sequence[str]) -> Sequence[str]:
    """Return the names, each that stood before with a number: ``Gain``, ``Gain (2)``, ``Gain (3)``.

    A name that is there by itself is never given to another. What comes later changes nothing, so that a run that
    ended early has the names of the runs that did not.
    """
    own = set(names)
    if len(own) == len(names):
        return names
    taken: set[str] = set()
    numbers: dict[str, count[int]] = {}
    return [_free(name, own, taken, numbers.setdefault(name, count(2))) for name in names]


def _free(name: str, own: set[str], taken: set[str], numbers: count[int]) -> str:
    """Return the name or its first number that is free, and take it."""
    free = name
    while free in taken or (free != name and free in own):
        suffix = f" ({next(numbers)})"
        free = shortened(name, TEXT_LIMIT - len(suffix)) + suffix
    taken.add(free)
    return free
