"""What steps and measurements are called, and what their names leave to tell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from vte_wats.domain.run import VteStepResult
from vte_wats.mapping.texts import TEXT_LIMIT, WHOLE, Remarks, printable, shortened

_KNOWN_TESTS = 4_096  # more than the test plans of one slice hold


class Measured(NamedTuple):
    """A row within a step of several measurements: its name there, and what is to be told of it."""

    row: VteStepResult
    name: str
    remarks: Remarks


def _named(test_name: str | None, description: str | None, step_number: int | None) -> str:
    return printable(test_name) or printable(description) or ("Step" if step_number is None else f"Step {step_number}")


@lru_cache(_KNOWN_TESTS)
def _told(
    test_name: str | None, description: str | None, test_number: str | None, step_number: int | None
) -> tuple[str, tuple[str, ...]]:
    """Return the name and what is to be told: the same in every run of a test, so worked out once."""
    remarks = Remarks()
    name = remarks.fit("name", test_name)
    described = remarks.fit("description", description, WHOLE)
    if name:
        remarks.add(described)
    if test_number is not None and (numbered := remarks.fit("test number", test_number, WHOLE)):
        remarks.add(f"Test number: {numbered}")
    return name or remarks.fit("name", _named(test_name, description, step_number)), tuple(remarks)


def told_name(row: VteStepResult) -> tuple[str, Remarks]:
    """Return a row's name, and remarks that tell its description and its test number."""
    name, told = _told(row.test_name, row.test_description, row.test_number, row.step_number)
    return name, Remarks(told)


def shared_name(rows: Sequence[VteStepResult]) -> str:
    """Return the name all rows agree on, else the number they share; the measurements carry the names."""
    names = {_named(row.test_name, row.test_description, row.step_number) for row in rows}
    return shortened(names.pop()) if len(names) == 1 else f"Step {rows[0].step_number}"


def told_apart(rows: Sequence[VteStepResult]) -> list[Measured]:
    """Return each row with a measurement name no other row of the step has, and with remarks of its own."""
    parts: list[Measured] = []
    taken: dict[str, int] = {}
    for row in rows:
        told, remarks = told_name(row)
        name = told
        while name in taken:
            taken[told] += 1
            suffix = f" #{taken[told]}"
            name = shortened(told, TEXT_LIMIT - len(suffix)) + suffix
        taken[name] = 1
        parts.append(Measured(row, name, remarks))
    return parts


def told_together(parts: Sequence[Measured]) -> str:
    """Return the remarks of all measurements, each under its measurement's name."""
    return "\n".join(f"{name}:\n{text}" for _, name, remarks in parts if (text := str(remarks)))


def file_name(row: VteStepResult, extension: str) -> str:
    """Return the name of the file a row's step carries."""
    return f"step.{extension}" if row.step_number is None else f"step_{row.step_number}.{extension}"
