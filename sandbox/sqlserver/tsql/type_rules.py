"""What T-SQL makes of types: a written type, the type two types meet in, the digits of exact numbers."""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from sandbox.sqlserver.errors import SqlServerError, not_emulated
from sandbox.sqlserver.sql_types import BINARY, EXACT, FLOAT, INTEGER, MAX, REAL, TEXT, SqlType, decimal, nvarchar

# A value of a type further right is converted to the type further left when both meet (data type precedence).
_PRECEDENCE = (
    "datetimeoffset",
    "datetime2",
    "datetime",
    "smalldatetime",
    "date",
    "time",
    "float",
    "real",
    "decimal",
    "numeric",
    "money",
    "smallmoney",
    "bigint",
    "int",
    "smallint",
    "tinyint",
    "bit",
    "uniqueidentifier",
    "nvarchar",
    "nchar",
    "varchar",
    "char",
    "varbinary",
    "binary",
)

_FIXED_LENGTH = frozenset({"nchar", "char", "binary"})
_INTEGER_DIGITS = {"bit": 1, "tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}


def type_of(node: exp.DataType, *, default_length: int = 30) -> SqlType:
    """Return the T-SQL type of a written type; error 243 when there is none of that name."""
    kind = node.this
    if kind == exp.DataType.Type.USERDEFINED:
        name = str(node.args.get("kind")).lower().strip("[]").split(".")[-1]
        if name == "sysname":
            return nvarchar(128)
    else:
        name = {
            "uuid": "uniqueidentifier",
            "utinyint": "tinyint",
            "timestamptz": "datetimeoffset",
            "timestamp": "datetime2",
            "double": "float",
            "text": "varchar",
        }.get(kind.value.lower(), kind.value.lower())
    if name in {"image", "ntext", "rowversion", "xml", "variant", "hierarchyid", "geography"}:
        raise not_emulated(f"type {name}")
    parameters: list[int] = []
    for parameter in node.expressions:
        written = parameter.this
        parameters.append(MAX if str(written.name).upper() == "MAX" else int(written.name))
    if kind == exp.DataType.Type.TEXT and not parameters:
        parameters = [MAX]
    try:
        return declare(name, parameters, default_length)
    except KeyError:
        raise SqlServerError(243, f"Type {name} is not a defined system type.") from None


def declare(name: str, parameters: list[int], default_length: int = 1) -> SqlType:
    """Build the type from its written form, filling in what T-SQL fills in.

    `default_length` is the length of a text type written without one: 1 in a declaration, 30 in CAST and CONVERT.
    """
    name = {"sysname": "nvarchar", "integer": "int", "dec": "decimal", "double": "float"}.get(name, name)
    if name in TEXT | BINARY:
        return SqlType(name, length=parameters[0] if parameters else default_length)
    if name in {"decimal", "numeric"}:
        precision = parameters[0] if parameters else 18
        return SqlType(name, precision=precision, scale=parameters[1] if len(parameters) > 1 else 0)
    if name in {"money", "smallmoney"}:
        return SqlType(name, precision=19 if name == "money" else 10, scale=4)
    if name in {"time", "datetime2", "datetimeoffset"}:
        return SqlType(name, scale=parameters[0] if parameters else 7)
    if name == "float":
        return REAL if parameters and parameters[0] <= 24 else FLOAT
    if name not in _PRECEDENCE:
        raise KeyError(name)
    return SqlType(name)


def digits(kind: SqlType) -> tuple[int, int]:
    """(precision, scale) of an exact number."""
    return (_INTEGER_DIGITS[kind.name], 0) if kind.name in _INTEGER_DIGITS else (kind.precision, kind.scale)


def unify(left: SqlType, right: SqlType) -> SqlType:
    """Return the type both values take when they meet in one column (UNION, CASE, COALESCE)."""
    if left == right:
        return left
    winner, other = sorted((left, right), key=lambda kind: _PRECEDENCE.index(kind.name))
    if winner.name in EXACT and other.name in EXACT | INTEGER | {"bit"}:
        (p1, s1), (p2, s2) = digits(left), digits(right)
        scale = max(s1, s2)
        return decimal(min(38, max(p1 - s1, p2 - s2) + scale), scale)
    if (winner.is_text and other.is_text) or (winner.name in BINARY and other.name in BINARY):
        variable = (
            winner.name
            if winner.name not in _FIXED_LENGTH or winner == other
            else winner.name.replace("char", "varchar")
        )
        variable = {"nvarvarchar": "nvarchar", "binary": "varbinary"}.get(variable, variable)
        length = MAX if MAX in {left.length, right.length} else max(left.length, right.length)
        return SqlType(variable, length=length)
    if winner.name in {"datetime2", "time", "datetimeoffset"} and other.name == winner.name:
        return replace(winner, scale=max(left.scale, right.scale))
    return winner
