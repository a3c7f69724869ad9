"""Which rows of a run make up one step, and what each of them holds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from vte_wats.domain.run import StepKind, VteStepResult
from vte_wats.mapping.binary_values import text_in

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
