"""Dates and times as SQL Server reads and writes them as text."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, timezone

from sandbox.sqlserver.errors import datetime_from_text, datetime_out_of_range
from sandbox.sqlserver.sql_types import SqlType

_TEXT = re.compile(
    r"\s*(?:(\d{4})-(\d{1,2})-(\d{1,2})|(\d{4})(\d{2})(\d{2}))?"
    r"(?:(?:T|\s+|(?<=^))(\d{1,2}):(\d{2})(?::(\d{2})(?:[.:](\d{1,7}))?)?)?\s*(Z|[+-]\d{2}:\d{2})?\s*$"
)
_DATETIME_START = datetime.fromisoformat("1753-01-01")


def round_to_ticks(moment: datetime) -> datetime:
    """Round to the 1/300 s of datetime, shown in milliseconds that end in 0, 3 or 7."""
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    micros = (moment - midnight) // timedelta(microseconds=1)
    ticks = (micros * 3 + 5000) // 10000
    return midnight + timedelta(milliseconds=(ticks * 10 + 1) // 3)


def round_to_scale(moment: datetime, scale: int) -> datetime:
    step = 10 ** (6 - min(scale, 6))
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    micros = (moment - midnight) // timedelta(microseconds=1)
    return midnight + timedelta(microseconds=(micros + step // 2) // step * step)


def as_kept(moment: datetime, kind: SqlType) -> datetime | date | time:
    """Return the value a column of this type keeps of the moment; error 242 when datetime cannot hold it."""
    if kind.name == "datetime":
        if moment < _DATETIME_START:
            raise datetime_out_of_range()
        return round_to_ticks(moment)
    if kind.name == "smalldatetime":
        return (moment + timedelta(seconds=30)).replace(second=0, microsecond=0)
    if kind.name == "date":
        return moment.date()
    if kind.name == "time":
        return round_to_scale(moment, kind.scale).time()
    return round_to_scale(moment, kind.scale)


def read(text: str, kind: SqlType) -> datetime | date | time:
    """Read the literal under a us_english login; error 241 when it is none, 242 when the day does not exist.

    The forms taken are ISO 8601 with T or a blank, yyyymmdd and times alone. datetime takes three decimals at most.
    """
    match = _TEXT.match(text)
    if match is None:
        raise datetime_from_text()
    year, month, day = (match[index] or match[index + 3] for index in (1, 2, 3))
    decimals, offset = match[10] or "", match[11]
    if (year is None and match[7] is None and text.strip()) or (kind.name == "datetime" and len(decimals) > 3):
        raise datetime_from_text()
    if offset and kind.name in {"datetime", "smalldatetime"} and offset != "Z":
        raise datetime_from_text()
    micros = round(int(decimals.ljust(7, "0")) / 10) if decimals else 0
    try:
        moment = datetime(  # noqa: DTZ001  # source times are wall-clock times
            int(year or 1900),
            int(month or 1),
            int(day or 1),
            int(match[7] or 0),
            int(match[8] or 0),
            int(match[9] or 0),
        ) + timedelta(microseconds=micros)
    except ValueError:
        raise datetime_out_of_range() if kind.name == "datetime" else datetime_from_text() from None
    if kind.name == "datetimeoffset":
        return moment.replace(tzinfo=_offset(offset)).astimezone(UTC)
    return as_kept(moment, kind)


def _offset(text: str | None) -> timezone:
    if text in {None, "Z"}:
        return UTC
    assert text
    hours, minutes = int(text[1:3]), int(text[4:6])
    return timezone((-1 if text[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))


def literal(value: datetime | date | time) -> str:
    """Return the value as DuckDB reads it."""
    if isinstance(value, datetime):
        kind = "TIMESTAMPTZ" if value.tzinfo else "TIMESTAMP"
        return f"{kind} '{value.isoformat(sep=' ')}'"
    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return f"TIME '{value.isoformat()}'"


def to_text(sql: str, kind: SqlType, style: int | None) -> str | None:
    """Return the DuckDB expression for CONVERT(varchar, …, style), or None for a style that is not emulated.

    Milliseconds of datetime are left out in style 126 when they are zero, as SQL Server does.
    """
    if kind.name == "date":
        return (
            f"strftime({sql}, '%Y-%m-%d')"
            if style in {None, 20, 21, 23, 120, 121, 126, 127}
            else (f"strftime({sql}, '%Y%m%d')" if style == 112 else None)
        )
    if kind.name == "time":
        return f"left(strftime(DATE '1900-01-01' + {sql}, '%H:%M:%S.%f') || '0', {8 + bool(kind.scale) + kind.scale})"
    if style is None:
        style = 121 if kind.name in {"datetime2", "datetimeoffset"} else 0
    if style == 112:
        return f"strftime({sql}, '%Y%m%d')"
    if style == 108:
        return f"strftime({sql}, '%H:%M:%S')"
    if style == 23:
        return f"strftime({sql}, '%Y-%m-%d')"
    if style in {20, 120}:
        return f"strftime({sql}, '%Y-%m-%d %H:%M:%S')"
    if style == 0:
        hour = f"lpad(CAST((hour({sql}) + 11) % 12 + 1 AS VARCHAR), 2, ' ')"
        return (
            f"strftime({sql}, '%b ') || lpad(CAST(day({sql}) AS VARCHAR), 2, ' ') || strftime({sql}, ' %Y ') || "
            f"{hour} || strftime({sql}, ':%M%p')"
        )
    if style not in {21, 25, 121, 126, 127}:
        return None
    between = "T" if style in {126, 127} else " "
    if kind.name in {"datetime", "smalldatetime"}:
        text = f"strftime({sql}, '%Y-%m-%d{between}%H:%M:%S.%g')"
        if between == " ":
            return text
        whole = f"strftime({sql}, '%Y-%m-%dT%H:%M:%S')"
        return f"CASE WHEN epoch_us({sql}) % 1000000 = 0 THEN {whole} ELSE {text} END"
    text = f"strftime({sql}, '%Y-%m-%d{between}%H:%M:%S')"
    if not kind.scale:
        return text
    return f"left(strftime({sql}, '%Y-%m-%d{between}%H:%M:%S.%f') || '0', {20 + kind.scale})"
