"""Reads the fields of a posted report by their type, and refuses the others by name."""

import math
import re
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias, TypeVar
from uuid import UUID

from sandbox.wats.odata_datetimes import ticks_of

Wsjf: TypeAlias = dict[str, Any]
"""A parsed report or a part of one."""

T = TypeVar("T")

_NUMBER_WORDS = frozenset({"NaN", "Infinity", "-Infinity", "INF", "-INF"})
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class ReportRefusedError(ValueError):
    """A report answered with 400. `field` is the path of the offending field, such as `root.steps[2].name`."""

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(field, rule)
        self.field = field
        self.rule = rule

    def __str__(self) -> str:
        return f"{self.field}: {self.rule}" if self.field else self.rule

    def under(self, parent: str) -> "ReportRefusedError":
        """Return the same refusal with the path of the enclosing object put in front."""
        return ReportRefusedError(f"{parent}.{self.field}", self.rule)


def shown(value: object) -> str:
    """Return a value as it stands in a refusal."""
    written = repr(value)
    if len(written) <= 60:
        return written
    return repr(f"{value[:50]}…") if isinstance(value, str) else f"{written[:57]}…"


def within(parent: str, check: Callable[[], T]) -> T:
    """Run the check, and put the parent's path in front of what it refuses."""
    try:
        return check()
    except ReportRefusedError as exc:
        raise exc.under(parent) from None


def text(part: Wsjf, field: str) -> str | None:
    value = part.get(field)
    if value is None or isinstance(value, str):
        return value
    raise ReportRefusedError(field, f"must be a text, not {shown(value)}")


def required(part: Wsjf, field: str, read: Callable[[Wsjf, str], T | None]) -> T:
    """Read a field that must be there."""
    value = read(part, field)
    if value is None:
        raise ReportRefusedError(field, "is required")
    return value


def integer(part: Wsjf, field: str) -> int | None:
    value = part.get(field)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not -(2**31) <= value < 2**31:
        raise ReportRefusedError(field, f"must be a 32-bit integer, not {shown(value)}")
    return value


def number(part: Wsjf, field: str) -> float | None:
    """Accept a finite number, or a text that names one (as .NET writes NaN and infinities)."""
    value = part.get(field)
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        try:
            if math.isfinite(value):
                return float(value)
        except OverflowError:
            pass
        raise ReportRefusedError(field, f"must be a finite number, not {shown(value)}")
    if isinstance(value, str) and (value in _NUMBER_WORDS or _NUMBER.fullmatch(value)):
        read = float(value)
        return read if math.isfinite(read) else None
    raise ReportRefusedError(field, f"must be a number, not {shown(value)}")


def guid(part: Wsjf, field: str) -> str | None:
    value = part.get(field)
    if value is None:
        return None
    try:
        return str(UUID(value))
    except (ValueError, AttributeError, TypeError):
        raise ReportRefusedError(field, f"must be a GUID, not {shown(value)}") from None


def instant(part: Wsjf, field: str) -> int | None:
    """Return the ticks of a date and time."""
    value = part.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise ReportRefusedError(field, f"must be a date and time, not {shown(value)}")
    try:
        return ticks_of(value)
    except ValueError as exc:
        raise ReportRefusedError(field, f"must be a date and time, not {shown(value)}: {exc}") from None


def one_of(part: Wsjf, field: str, accepted: str) -> str:
    """Read a field that holds one of these characters."""
    value = part.get(field)
    if not isinstance(value, str) or len(value) != 1 or value not in accepted:
        raise ReportRefusedError(field, f"must be one of {' '.join(accepted)}, not {shown(value)}")
    return value


def child(part: Wsjf, field: str) -> Wsjf | None:
    value = part.get(field)
    if value is None or isinstance(value, dict):
        return value
    raise ReportRefusedError(field, f"must be an object, not {shown(value)}")


def children(part: Wsjf, field: str) -> Iterator[tuple[str, Wsjf]]:
    """Yield the objects of a list with their paths; an absent or null list is empty."""
    values = part.get(field)
    if values is None:
        return
    if not isinstance(values, list):
        raise ReportRefusedError(field, f"must be a list, not {shown(values)}")
    for index, value in enumerate(values):
        if not isinstance(value, dict):
            raise ReportRefusedError(f"{field}[{index}]", f"must be an object, not {shown(value)}")
        yield f"{field}[{index}]", value
