"""The table that turns DuckDB's errors into those of SQL Server."""

from __future__ import annotations

import re
from collections.abc import Callable

import duckdb

from sandbox.sqlserver.errors import SqlServerError, conversion_failed, datetime_from_text, well_known

_NUMBER_TYPES = {"INT8": "tinyint", "UINT8": "tinyint", "INT16": "smallint", "INT32": "int", "INT64": "bigint"}


def _text_to_number(match: re.Match[str]) -> SqlServerError:
    value, target = match.group(1), match.group(2)
    if target in _NUMBER_TYPES:
        return conversion_failed("nvarchar", value, _NUMBER_TYPES[target])
    if target == "UUID":
        return _bad_guid(match)
    name = "real" if target == "FLOAT" else "float" if target == "DOUBLE" else "numeric"
    return SqlServerError(8114, f"Error converting data type nvarchar to {name}.", state=5, aborts_transaction=True)


def _bad_guid(_: re.Match[str]) -> SqlServerError:
    return SqlServerError(
        8169,
        "Conversion failed when converting from a character string to uniqueidentifier.",
        state=2,
        aborts_transaction=True,
    )


_TRANSLATIONS: tuple[tuple[str, Callable[[re.Match[str]], SqlServerError]], ...] = (
    (r"tsql-(\d+):(.*)", lambda m: SqlServerError(int(m[1]), m[2].strip(), aborts_transaction=True)),
    (r"(?i)division by zero", lambda _: SqlServerError(8134, "Divide by zero error encountered.")),
    (r"(?i)could not convert string '(.*?)' to UUID", _bad_guid),
    (r"(?i)could not convert string .*? to (U?INT\d+|DOUBLE|FLOAT|DECIMAL)", _text_to_number),
    (r"(?i)could not convert string \"(.*?)\" to (DECIMAL)", _text_to_number),
    (
        r"(?i)(?:timestamp|date|time) field value|invalid timestamp|invalid date|to TIMESTAMP",
        lambda _: datetime_from_text(),
    ),
    (
        r"(?i)out of range|overflow|not convertible|doesn't fit|does not fit",
        lambda _: SqlServerError(8115, "Arithmetic overflow error converting expression to data type.", state=2),
    ),
    (
        r"(?i)more than one row returned by a subquery|scalar subquery can only return a single row",
        lambda _: SqlServerError(
            512,
            "Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <= , >, "
            ">= or when the subquery is used as an expression.",
        ),
    ),
    (r"(?i)conflict", lambda _: well_known(1205)),
    (
        r"(?i)NOT NULL constraint failed: (?:\w+\.)?([\w]+)\.([\w ]+)",
        lambda m: SqlServerError(
            515,
            f"Cannot insert the value NULL into column '{m[2]}', table '{m[1]}'; column does not allow nulls. "
            "INSERT fails.",
            state=2,
        ),
    ),
    (
        r"(?i)must appear in the GROUP BY clause",
        lambda m: SqlServerError(
            8120,
            "Column is invalid in the select list because it is not contained in either an aggregate function or "
            f"the GROUP BY clause. ({m.string.splitlines()[0]})",
        ),
    ),
    (r"(?i)interrupt", lambda _: SqlServerError(3617, "The query was cancelled.", 11)),
)

_QUOTED_TEXT = re.compile(r"(?is)could not convert string '(.*)' to (U?INT\d+|DOUBLE|FLOAT|DECIMAL|UUID)")


def from_duckdb(error: duckdb.Error) -> SqlServerError:
    """Translate by the table above; what the table does not know keeps DuckDB's words under number 50000."""
    text = str(error)
    quoted = _QUOTED_TEXT.search(text)
    if quoted:
        return _text_to_number(quoted)
    for pattern, build in _TRANSLATIONS:
        match = re.search(pattern, text)
        if match:
            return build(match)
    return SqlServerError(50000, f"The emulated SQL Server failed: {text.splitlines()[0]}")
