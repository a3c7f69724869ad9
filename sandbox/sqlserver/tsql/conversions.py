"""Values from one T-SQL type to another, as DuckDB expressions: CAST, CONVERT and what SQL Server does by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sandbox.sqlserver.errors import SqlServerError, conversion_failed, not_emulated, operand_clash
from sandbox.sqlserver.sql_types import (
    APPROXIMATE,
    BINARY,
    EXACT,
    INTEGER,
    MAX,
    NUMBER,
    TEMPORAL,
    UNICODE,
    UTF16_UNITS,
    SqlType,
    varbinary,
)
from sandbox.sqlserver.tsql import tsql_datetimes
from sandbox.sqlserver.tsql.type_rules import unify
from sandbox.sqlserver.utf16 import to_store, to_wire


@dataclass(frozen=True)
class Value:
    """A DuckDB expression with its T-SQL type. `kind` is None for an untyped NULL; `text` is set for a literal."""

    sql: str
    kind: SqlType | None
    text: str | None = None
    name: str | None = None
    constant: bool = False


NULL = Value("NULL", None, constant=True)

_GUID_ORDER = ((25, 12), (20, 4), (17, 2), (15, 2), (12, 2), (10, 2), (7, 2), (5, 2), (3, 2), (1, 2))

# Macros every connection finds in the database; the expressions below call them.
MACROS = (
    # Rounds a timestamp to 1/300 s, the resolution of datetime.
    (
        "CREATE OR REPLACE MACRO tsql_datetime(t) AS make_timestamp("
        "((((epoch_us(t) + 6847804800000000) * 3 + 5000) // 10000) * 10 + 1) // 3 * 1000 - 6847804800000000)"
    ),
    # Rounds a timestamp to a multiple of step microseconds.
    (
        "CREATE OR REPLACE MACRO tsql_scale(t, step) AS make_timestamp("
        "(epoch_us(t) + 62135596800000000 + step // 2) // step * step - 62135596800000000)"
    ),
    # 32 bits, rotated to the left.
    "CREATE OR REPLACE MACRO checksum_part(bits, places) AS ((bits << places) & 4294967295) | (bits >> (32 - places))",
    # The order of uniqueidentifier in SQL Server: last group first, then groups four, three, two and one, the bytes of
    # the last three of these reversed (the order of System.Data.SqlTypes.SqlGuid).
    "CREATE OR REPLACE MACRO tsql_guid_key(g) AS "
    + " || ".join(f"substr(CAST(g AS VARCHAR), {start}, {size})" for start, size in _GUID_ORDER),
)


def quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def text_literal(text: str, kind: SqlType) -> Value:
    if kind.name not in UNICODE:
        text = text.encode("cp1252", "replace").decode("cp1252")
    text = to_store(text)
    if "\x00" in text:
        pieces = text.split("\x00")
        return Value("(" + " || chr(0) || ".join(quote(piece) for piece in pieces) + ")", kind, text, constant=True)
    return Value(quote(text), kind, text, constant=True)


def convert(value: Value, target: SqlType, *, style: int | None = None, safe: bool = False) -> Value:
    """Convert; `safe` is TRY_CAST. A pair of types or a style that is not emulated is an error naming it."""
    if value.kind is None:
        return Value(f"CAST(NULL AS {target.storage})", target, constant=True)
    if value.kind == target and not safe:
        return value
    if value.kind.name in UNICODE and target == varbinary(MAX) and not style:
        return Value(value.sql, UTF16_UNITS, constant=value.constant)
    try:
        sql = _converted(value, value.kind, target, style, "TRY_CAST" if safe else "CAST")
    except SqlServerError as problem:
        if safe and problem.number in {241, 242, 245, 8114, 8169}:
            return Value(f"CAST(NULL AS {target.storage})", target)
        raise
    return Value(sql, target, constant=value.constant)


def _converted(value: Value, source: SqlType, target: SqlType, style: int | None, cast: str) -> str:
    sql = value.sql
    if target.is_text:
        return _to_text(sql, source, target, style, value)
    if target.name in BINARY:
        return _to_binary(value, source, target, style)
    if target.name == "uniqueidentifier":
        if source.is_text:
            return f"{cast}({sql} AS UUID)"
        raise operand_clash(source.name, target.name)
    if target.name in TEMPORAL:
        return _to_temporal(value, source, target, cast)
    if source.name in TEMPORAL or source.name == "uniqueidentifier":
        raise operand_clash(source.name, target.name)
    if source.name in BINARY:
        raise not_emulated(f"CONVERT({source.name} to {target.name})")
    return _to_number(value, source, target, cast)


def _to_text(sql: str, source: SqlType, target: SqlType, style: int | None, value: Value) -> str:
    exact: str | None
    if source.is_text:
        if target.length == MAX or (source.length != MAX and source.length <= target.length):
            return sql
        return quote(value.text[: target.length]) if value.text is not None else f"left({sql}, {target.length})"
    if source.name in TEMPORAL:
        exact = tsql_datetimes.to_text(sql, source, style)
    elif source.name in BINARY:
        exact = {1: f"'0x' || hex({sql})", 2: f"hex({sql})"}.get(style or 0)
    elif source.name == "uniqueidentifier":
        exact = f"upper(CAST({sql} AS VARCHAR))"
    elif source.name == "bit":
        exact = f"CASE WHEN {sql} THEN '1' WHEN NOT {sql} THEN '0' END"
    elif source.name in APPROXIMATE:
        number = {0: "%.6g", 3: "%.17g"}.get(style or 0)
        exact = f"regexp_replace(printf('{number}', CAST({sql} AS DOUBLE)), 'e([+-])(\\d\\d)$', 'e\\1" + "0\\2')"
        exact = exact if number else None
    else:
        exact = f"CAST({sql} AS VARCHAR)" if not style else None
    if exact is None:
        raise not_emulated(f"CONVERT({target}, {source}, style {style or 0})")
    return f"({exact})" if target.length == MAX else f"left({exact}, {target.length})"


def _to_binary(value: Value, source: SqlType, target: SqlType, style: int | None) -> str:
    if source.name in BINARY and not source.of_text:
        if target.length == MAX or (source.length != MAX and source.length <= target.length):
            return value.sql
        return f"unhex(left(hex({value.sql}), {2 * target.length}))"
    if source.is_text and style in {1, 2}:
        return f"unhex(substr({value.sql}, {3 if style == 1 else 1}))"
    if value.text is not None and not style:
        content = to_wire(value.text) if source.name in UNICODE else value.text.encode("cp1252", "replace")
        return f"unhex('{content.hex()}')"
    raise not_emulated(f"CONVERT({source} to {target}, style {style or 0})")


def _to_temporal(value: Value, source: SqlType, target: SqlType, cast: str) -> str:
    if value.text is not None:
        return tsql_datetimes.literal(tsql_datetimes.read(value.text, target))
    if source.name in NUMBER:
        if value.sql == "0" and target.name in {"datetime", "smalldatetime"}:
            return "TIMESTAMP '1900-01-01 00:00:00'"
        raise not_emulated(f"CONVERT({source} to {target})")
    if not source.is_text and source.name not in TEMPORAL:
        raise operand_clash(source.name, target.name)
    if target.name in {"date", "time", "datetimeoffset"}:
        return f"{cast}({value.sql} AS {target.storage})"
    sql = value.sql if source.storage == "TIMESTAMP" else f"{cast}({value.sql} AS TIMESTAMP)"
    if target.name == "datetime":
        return f"tsql_datetime({sql})"
    if target.name == "smalldatetime":
        return f"tsql_scale({sql}, 60000000)"
    if target.scale >= 6 or (source.name == "datetime2" and source.scale <= target.scale):
        return sql
    return f"tsql_scale({sql}, {10 ** (6 - target.scale)})"


def _to_number(value: Value, source: SqlType, target: SqlType, cast: str) -> str:
    sql = value.sql
    if value.text is not None:
        _check_number(value.text, source, target)
        sql = quote(value.text.strip() or "0")
    elif source.is_text and target.name in INTEGER:
        sql = f"CASE WHEN trim({sql}) = '' THEN '0' ELSE trim({sql}) END"
    if target.name == "bit":
        if source.is_text:
            return f"{cast}({sql} AS BOOLEAN)"
        return f"({sql} <> 0)"
    if target.name in INTEGER and source.name in APPROXIMATE | EXACT:
        sql = f"trunc({sql})"
    return f"{cast}({sql} AS {target.storage})"


def _check_number(text: str, source: SqlType, target: SqlType) -> None:
    if target.name == "bit":
        if text.strip().lower() in {"true", "false"} or text.strip().lstrip("+-").isdigit():
            return
        raise conversion_failed(source.name, text, "bit")
    if target.name in INTEGER:
        try:
            int(text.strip() or "0")
        except ValueError:
            raise conversion_failed(source.name, text, target.name) from None
        return
    try:
        Decimal(text.strip())
    except InvalidOperation:
        kind = "numeric" if target.name in EXACT else target.name
        raise SqlServerError(
            8114, f"Error converting data type {source.name} to {kind}.", state=5, aborts_transaction=True
        ) from None


def unified(values: Sequence[Value]) -> tuple[list[Value], SqlType | None]:
    """Bring all values to the one type they unify to."""
    kind: SqlType | None = None
    for value in values:
        if value.kind is not None:
            kind = value.kind if kind is None else unify(kind, value.kind)
    if kind is None:
        return list(values), None
    return [convert(value, kind) for value in values], kind
