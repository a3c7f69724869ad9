"""What steps and measurements are called, and what their names leave to tell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from vte_wats.mapping.texts import TEXT_LIMIT, WHOLE, Remarks, carriable, shortened
from vte_wats.model import VteStepResult


class Measured(NamedTuple):
    """A row within a step of several measurements: its name there, and what is to be told of it."""

    row: VteStepResult
    name: str
    remarks: Remarks


def _name(row: VteStepResult) -> str:
    return (
        carriable(row.test_name)
        or carriable(row.test_description)
        or ("Step" if row.step_number is None else f"Step {row.step_number}")
    )


def told_name(row: VteStepResult, remarks: Remarks) -> str:
    """Return a row's name; tell its description and its test number."""
    name = remarks.carry("name", row.test_name)
    description = remarks.carry("description", row.test_description, WHOLE)
    if name:
        remarks.add(description)
    if row.test_number is not None and (test_number := remarks.carry("test number", row.test_number, WHOLE)):
        remarks.add(f"Test number: {test_number}")
    return name or remarks.carry("name", _name(row))


def shared_name(rows: Sequence[VteStepResult]) -> str:
    """Return the name all rows agree on, else the number they share; the measurements carry the names."""
    names = {_name(row) for row in rows}
    return shortened(names.pop()) if len(names) == 1 else f"Step {rows[0].step_number}"


def told_apart(rows: Sequence[VteStepResult]) -> list[Measured]:
    """Return each row with a measurement name no other row of the step has, and with remarks of its own."""
    parts: list[Measured] = []
    taken: dict[str, int] = {}
    for row in rows:
        remarks = Remarks()
        told = name = told_name(row, remarks)
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
