"""Limits of numeric steps: which ones count, how WATS writes them, and whether a value is within them.

SCPI instruments report an overload and "not a number" as numbers, for SQL Server has neither infinity nor NaN.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import NamedTuple

from pywats.shared.enums import CompOp

from vte_wats.config.settings import Settings
from vte_wats.domain.run import VteStepResult

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
