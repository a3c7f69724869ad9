"""Numbers as the station wrote them: what a 32-bit column holds is shown with the digits that such a number has.

SQL Server gives a ``real`` 0.1 as the double 0.10000000149011612. The shortest text that reads back as the same 32-bit
number is 0.1. Whether a column is ``real`` shows in its numbers: where every number of a run's column is a 32-bit
number, the column is taken for one. A number stays as it is where hardly fewer digits would do.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence

from vte_wats.config.settings import Numbers, Settings
from vte_wats.domain.run import VteStepResult
from vte_wats.mapping.limits import limits_of
from vte_wats.mapping.model_patterns import with_values

_SINGLE = struct.Struct("f")
_COLUMNS = ("numeric_value", "low_limit", "high_limit")
_FEWER_DIGITS = 6  # a double that is a 32-bit number by chance, such as 2147483648 or 0.375, has no digits to spare


def as_written(rows: Sequence[VteStepResult], settings: Settings) -> Sequence[VteStepResult]:
    """Return the rows with the numbers of 32-bit columns written short; the others are left as they are."""
    if settings.numbers is Numbers.EXACT:
        return rows
    columns = [column for column in _COLUMNS if _is_single_precision(getattr(row, column) for row in rows)]
    return [_shortened_row(row, columns, settings) for row in rows] if columns else rows


def shortest(number: float) -> float:
    """Return the number with the fewest digits that is the same 32-bit number; ``number`` where none has far fewer."""
    length = len(repr(number))
    if length <= _FEWER_DIGITS:
        return number
    # Any text of six digits is a 32-bit number of its own, and nine tell all of them apart.
    short = next(short for digits in range(6, 10) if _same_single(short := float(f"{number:.{digits}g}"), number))
    return short if len(repr(short)) + _FEWER_DIGITS <= length else number


def seconds(test_time_s: float, settings: Settings) -> float:
    """Return a TestTime, which is a 32-bit column as documented, as :func:`shortest` does."""
    if settings.numbers is Numbers.EXACT or not _is_single_precision([test_time_s]):
        return test_time_s
    return shortest(test_time_s)


def _is_single_precision(numbers: Iterable[float | None]) -> bool:
    """Return whether all numbers are 32-bit numbers; NULLs, infinities and NaN say nothing."""
    return all(number is None or not math.isfinite(number) or _same_single(number, number) for number in numbers)


def _same_single(number: float, single: float) -> bool:
    try:
        return bool(_SINGLE.unpack(_SINGLE.pack(number))[0] == single)
    except OverflowError:
        return False


def _shortened_row(row: VteStepResult, columns: Sequence[str], settings: Settings) -> VteStepResult:
    """Return the row with short numbers, or as it is where its value would be on another side of a limit."""
    numbers = {
        column: short
        for column in columns
        if (number := getattr(row, column)) is not None
        and math.isfinite(number)
        and (short := shortest(number)) != number
    }
    if not numbers:
        return row
    written = with_values(row, **numbers)
    before, after = (_is_within_limits(version, settings) for version in (row, written))
    return written if before == after else row


def _is_within_limits(row: VteStepResult, settings: Settings) -> bool | None:
    return None if row.numeric_value is None else limits_of(row, settings).include(row.numeric_value)
