"""Numbers as the station wrote them, and limits: which ones count, how WATS writes them, what is within them.

SQL Server gives a ``real`` 0.1 as the double 0.10000000149011612. The shortest text that reads back as the same 32-bit
number is 0.1. Whether a column is ``real`` shows in its numbers: where every number of a run's column is a 32-bit
number, the column is taken for one. A number stays as it is where hardly fewer digits would do.

SCPI instruments report an overload and "not a number" as numbers, for SQL Server has neither infinity nor NaN.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from pywats.shared.enums import CompOp

from vte_wats.config.settings import Numbers, Settings
from vte_wats.domain.run import VteStepResult
from vte_wats.mapping.model_patterns import with_values

_OVERLOAD = 9.9e37
_NOT_A_NUMBER = 9.91e37
_BELOW_ALL_SENTINELS = 9e37
# Such a number may have been stored in a 32-bit column before.
_SINGLE_PRECISION = 1e-6
# Looked up once: a member of an enumeration costs as much as a call.
_LOG, _LE, _GE, _GELE = CompOp.LOG, CompOp.LE, CompOp.GE, CompOp.GELE


class ScpiSentinel(StrEnum):
    """What an instrument reports with a number that is not a reading."""

    OVERLOAD = "overload"
    NOT_A_NUMBER = "not a number"


def scpi_sentinel(value: float) -> ScpiSentinel | None:
    """Return what a value stands for when it is not a reading; readings of that size do not exist."""
    if abs(value) < _BELOW_ALL_SENTINELS:
        return None
    if math.isclose(abs(value), _OVERLOAD, rel_tol=_SINGLE_PRECISION):
        return ScpiSentinel.OVERLOAD
    if math.isclose(value, _NOT_A_NUMBER, rel_tol=_SINGLE_PRECISION):
        return ScpiSentinel.NOT_A_NUMBER
    return None


class Limits(NamedTuple):
    """The limits that count; ``None`` where a side has none. Both are inclusive."""

    low: float | None
    high: float | None

    def include(self, value: float) -> bool:
        """Return whether a value is within the limits."""
        return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)

    def __bool__(self) -> bool:
        """Return whether there is a limit at all."""
        return self.low is not None or self.high is not None

    def __str__(self) -> str:
        low, high = ("none" if limit is None else repr(limit) for limit in self)
        return f"low {low}, high {high}"


class WrittenLimits(NamedTuple):
    """Limits as a WATS measurement has them."""

    comparison: CompOp
    low_limit: float | None
    high_limit: float | None


def limits_of(step: VteStepResult, settings: Settings) -> Limits:
    """Return the limits of a step without NULLs, markers for "no limit", and anything that is not a finite number."""
    low, high, below_all_markers = step.low_limit, step.high_limit, settings.below_all_markers
    # Most limits are near zero: neither a marker, nor infinity, nor NaN, which is nowhere between two numbers.
    if low is not None and not (-below_all_markers < low < below_all_markers or _is_limit(low, settings)):
        low = None
    if high is not None and not (-below_all_markers < high < below_all_markers or _is_limit(high, settings)):
        high = None
    return Limits(low, high)


def _is_limit(limit: float, settings: Settings) -> bool:
    return math.isfinite(limit) and settings.is_limit(limit)


def written_limits(limits: Limits) -> WrittenLimits:
    """Write limits the way WATS reads them: a single limit goes to ``lowLimit``, whichever side it is on."""
    low, high = limits
    if low is None:
        return WrittenLimits(_LOG, None, None) if high is None else WrittenLimits(_LE, high, None)
    return WrittenLimits(_GE, low, None) if high is None else WrittenLimits(_GELE, low, high)


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
