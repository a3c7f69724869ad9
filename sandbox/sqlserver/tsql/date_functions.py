"""Functions of dates and times."""

from __future__ import annotations

from datetime import datetime

from sqlglot import exp

from sandbox.sqlserver.errors import SqlServerError, not_emulated
from sandbox.sqlserver.sql_types import BIGINT, DATE, DATETIME, INT, NUMBER, TEMPORAL, SqlType, datetime2
from sandbox.sqlserver.tsql import tsql_datetimes
from sandbox.sqlserver.tsql.conversions import Value, convert
from sandbox.sqlserver.tsql.scope import Compiler, ValueRule

_UNITS = {
    "YEAR": "year", "YY": "year", "YYYY": "year",
    "QUARTER": "quarter", "QQ": "quarter", "Q": "quarter",
    "MONTH": "month", "MM": "month", "M": "month",
    "DAYOFYEAR": "day", "DY": "day", "Y": "day", "DAY": "day", "DD": "day", "D": "day", "WEEKDAY": "day", "DW": "day",
    "WEEK": "week", "WK": "week", "WW": "week",
    "HOUR": "hour", "HH": "hour", "MINUTE": "minute", "MI": "minute", "N": "minute",
    "SECOND": "second", "SS": "second", "S": "second",
    "MILLISECOND": "millisecond", "MS": "millisecond", "MICROSECOND": "microsecond", "MCS": "microsecond",
}  # fmt: skip


def _datetime_argument(compiler: Compiler, node: exp.Expr) -> Value:
    """Read an argument of a date function; texts become datetime. Undoes what sqlglot puts around it."""
    while isinstance(node, (exp.TimeStrToTime, exp.TsOrDsToDate)):
        node = node.this
    value = compiler.value(node)
    if value.kind is not None and value.kind.name in TEMPORAL:
        return value
    if value.kind is None:
        return convert(value, DATETIME)
    return convert(value, DATETIME if value.kind.name in NUMBER else datetime2(7))


def _unit(node: exp.Expr) -> str:
    name = str(node.args["unit"].name if node.args.get("unit") is not None else "day").upper()
    unit = _UNITS.get(name)
    if unit is None:
        raise SqlServerError(155, f"'{name}' is not a recognized datepart option.", 15)
    return unit


def _date_add(compiler: Compiler, node: exp.Expr) -> Value:
    unit = _unit(node)
    value, count = _datetime_argument(compiler, node.this), compiler.value(node.expression)
    assert value.kind
    count = convert(count, INT) if count.kind != BIGINT else count
    moment = value.sql if value.kind.name != "date" else f"CAST({value.sql} AS TIMESTAMP)"
    if unit == "quarter":
        sql = f"({moment} + to_months(CAST({count.sql} * 3 AS INTEGER)))"
    elif unit in {"year", "month", "week", "day"}:
        sql = f"({moment} + to_{unit}s(CAST({count.sql} AS INTEGER)))"
    elif unit in {"millisecond", "microsecond"}:
        factor = 1000 if unit == "millisecond" else 1
        sql = f"({moment} + to_microseconds(CAST({count.sql} AS BIGINT) * {factor}))"
    else:
        factor = {"hour": 3600, "minute": 60, "second": 1}[unit]
        sql = f"({moment} + to_microseconds(CAST({count.sql} AS BIGINT) * {factor * 1_000_000}))"
    if value.kind == DATETIME:
        sql = f"tsql_datetime({sql})"
    return Value(f"CAST({sql} AS {value.kind.storage})", value.kind)


def _date_diff(compiler: Compiler, node: exp.Expr) -> Value:
    end, start = _datetime_argument(compiler, node.this), _datetime_argument(compiler, node.expression)
    unit = _unit(node)
    kind = BIGINT if node.args.get("big_int") else INT
    first, last = (
        f"CAST({edge.sql} AS TIMESTAMP)" if (edge.kind or DATE).name != "time" else edge.sql for edge in (start, end)
    )
    if unit == "week":  # weeks of SQL Server start on Sunday, whatever DATEFIRST says
        first, last = (f"({edge} + INTERVAL 1 DAY)" for edge in (first, last))
    return Value(f"CAST(date_diff('{unit}', {first}, {last}) AS {kind.storage})", kind)


def _date_part(compiler: Compiler, node: exp.Expr) -> Value:
    if isinstance(node, exp.Extract):
        name = node.this.name.upper()
        value = _datetime_argument(compiler, node.expression)
    else:
        name = type(node).__name__.upper()
        value = _datetime_argument(compiler, node.this)
    unit = _UNITS.get(name)
    if unit is None or unit == "week":
        raise not_emulated(f"DATEPART({name.lower()})")
    if name in {"WEEKDAY", "DW"}:
        return Value(f"CAST(dayofweek({value.sql}) + 1 AS INTEGER)", INT)
    if name in {"DAYOFYEAR", "DY", "Y"}:
        return Value(f"CAST(dayofyear({value.sql}) AS INTEGER)", INT)
    sql = f"date_part('{unit}', {value.sql})"
    if unit in {"millisecond", "microsecond"}:
        sql += f" % {1000 if unit == 'millisecond' else 1_000_000}"
    return Value(f"CAST({sql} AS INTEGER)", INT)


def _getdate(compiler: Compiler, _: exp.Expr) -> Value:
    return _timestamp(compiler.facts.local, DATETIME)


def _timestamp(moment: datetime, kind: SqlType) -> Value:
    return Value(tsql_datetimes.literal(tsql_datetimes.as_kept(moment.replace(tzinfo=None), kind)), kind)


def _offset_now(compiler: Compiler, _: exp.Expr) -> Value:
    return Value(tsql_datetimes.literal(compiler.facts.utc), SqlType("datetimeoffset", scale=7))


def _sysdatetime(compiler: Compiler, _: exp.Expr) -> Value:
    return _timestamp(compiler.facts.local, datetime2(7))


def _sysutcdatetime(compiler: Compiler, _: exp.Expr) -> Value:
    return _timestamp(compiler.facts.utc, datetime2(7))


def _getutcdate(compiler: Compiler, _: exp.Expr) -> Value:
    return _timestamp(compiler.facts.utc, DATETIME)


VALUES: dict[type[exp.Expr], ValueRule] = {
    exp.DateAdd: _date_add,
    exp.DateDiff: _date_diff,
    exp.Extract: _date_part,
    exp.Year: _date_part,
    exp.Month: _date_part,
    exp.Day: _date_part,
    exp.CurrentTimestamp: _getdate,
    exp.CurrentTimestampLTZ: _offset_now,
}
NAMED: dict[str, ValueRule] = {
    "EMULATED_SYSDATETIME": _sysdatetime,
    "SYSUTCDATETIME": _sysutcdatetime,
    "GETUTCDATE": _getutcdate,
}
