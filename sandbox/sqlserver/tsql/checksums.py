"""BINARY_CHECKSUM and CHECKSUM_AGG, with what they do not notice.

The values differ from SQL Server's, the weaknesses are kept: a row's checksum is an exclusive or of what each column
gives, rotated by four bits per column; of a (max) type the first 255 characters or bytes count; CHECKSUM_AGG is an
exclusive or of all rows. So an exchange of values between two rows leaves it as it was, and two equal rows are as good
as none.
"""

from __future__ import annotations

from functools import reduce

from sqlglot import exp

from sandbox.sqlserver.errors import not_emulated
from sandbox.sqlserver.sql_types import APPROXIMATE, INT, INTEGER
from sandbox.sqlserver.tsql.conversions import Value
from sandbox.sqlserver.tsql.scope import Compiler, ValueRule

_BITS = 32
_OF_A_MAX = 255
_OF_NULL = str(2**31 - 1)


def _binary_checksum(compiler: Compiler, node: exp.Expr) -> Value:
    if any(isinstance(argument, exp.Star) for argument in node.expressions):
        raise not_emulated("BINARY_CHECKSUM(*)")
    last = len(node.expressions) - 1
    columns = [
        f"checksum_part({_bits(compiler.value(argument))}, {4 * (last - n) % _BITS})"
        for n, argument in enumerate(node.expressions)
    ]
    bits = reduce(lambda left, right: f"xor({left}, {right})", columns)
    return Value(f"CAST((CAST({bits} AS BIGINT) + {2**31}) % {2**32} - {2**31} AS INTEGER)", INT)


def _bits(value: Value) -> str:
    """Return 32 bits of a value as UBIGINT."""
    if value.kind is None:
        return f"CAST({_OF_NULL} AS UBIGINT)"
    if value.kind.name in INTEGER:
        low = f"CAST(CAST({value.sql} AS HUGEINT) & {2**_BITS - 1} AS UBIGINT)"
        if value.kind.name == "bigint":
            high = f"CAST((CAST({value.sql} AS HUGEINT) >> {_BITS}) & {2**_BITS - 1} AS UBIGINT)"
            low = f"xor({low}, {high})"
        return f"coalesce({low}, {_OF_NULL})"
    sql = value.sql
    if value.kind.is_text:
        sql = f"encode({f'left({sql}, {_OF_A_MAX})' if value.kind.is_long else sql})"  # bytes, whatever the collation
    elif value.kind.is_long:
        sql = f"{sql}[1:{_OF_A_MAX}]"
    elif value.kind.name in APPROXIMATE:
        sql = f"CAST({sql} AS DOUBLE)"
    return f"CASE WHEN {value.sql} IS NULL THEN {_OF_NULL} ELSE hash({sql}) & {2**_BITS - 1} END"


def _checksum_agg(compiler: Compiler, node: exp.Expr) -> Value:
    (inner,) = node.expressions
    value = compiler.value(inner)
    if value.kind != INT:
        raise not_emulated("CHECKSUM_AGG of anything but int")
    return Value(f"bit_xor({value.sql})", INT)


NAMED: dict[str, ValueRule] = {"BINARY_CHECKSUM": _binary_checksum, "CHECKSUM_AGG": _checksum_agg}
