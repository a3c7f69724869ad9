"""Values of Python as expressions: the parameters of a statement."""

from __future__ import annotations

from datetime import date, time
from decimal import Decimal
from uuid import UUID

from sandbox.sqlserver.sql_types import SqlType
from sandbox.sqlserver.tsql import tsql_datetimes
from sandbox.sqlserver.tsql.conversions import Value, text_literal


def parameter(kind: SqlType, value: object) -> Value:
    """Return the value as a constant of the type; TypeError for what no parameter can be."""
    match value:
        case str():
            return text_literal(value, kind)
        case date() | time():  # a datetime is a date
            return Value(tsql_datetimes.literal(value), kind, constant=True)
        case None:
            sql = "NULL"
        case bytes():
            sql = f"unhex('{value.hex()}')"
        case bool():
            sql = "true" if value else "false"
        case int() | float():
            sql = repr(value)
        case Decimal():
            sql = f"{value:f}"
        case UUID():
            sql = f"'{value}'"
        case _:
            raise TypeError(f"{type(value).__name__} is no parameter of type {kind}")
    return Value(f"CAST({sql} AS {kind.storage})", kind, constant=True)
