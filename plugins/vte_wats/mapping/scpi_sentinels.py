"""Numbers that instruments answer instead of a reading, after SCPI: SQL Server has no NaN and no infinity."""

from __future__ import annotations

import math
from enum import StrEnum

_OVERLOAD = 9.9e37
_NOT_A_NUMBER = 9.91e37
_BELOW_ALL_MARKS = 9e37
# Such a number may have passed through a 32-bit column on its way here.
_SINGLE_PRECISION = 1e-6


class InstrumentMark(StrEnum):
    """What an instrument says with a number that is no reading."""

    OVERLOAD = "overload"
    NOT_A_NUMBER = "not a number"


def instrument_mark(value: float) -> InstrumentMark | None:
    """Tell whether a value is such a number; readings of that size do not exist."""
    if abs(value) < _BELOW_ALL_MARKS:
        return None
    if math.isclose(abs(value), _OVERLOAD, rel_tol=_SINGLE_PRECISION):
        return InstrumentMark.OVERLOAD
    if math.isclose(value, _NOT_A_NUMBER, rel_tol=_SINGLE_PRECISION):
        return InstrumentMark.NOT_A_NUMBER
    return None
