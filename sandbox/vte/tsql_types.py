"""T-SQL types: how each is declared, put on the wire (TYPE_INFO) and kept in DuckDB.

datetime2 and time keep microseconds, the finest DuckDB can (SQL Server: 100 ns).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

COLLATION = bytes.fromhex("0904d00034")  # SQL_Latin1_General_CP1_CI_AS
MAX = -1

_INTEGERS = {"tinyint": (1, "UTINYINT"), "smallint": (2, "SMALLINT"), "int": (4, "INTEGER"), "bigint": (8, "BIGINT")}
_STORAGE = {
    "bit": "BOOLEAN",
    "real": "FLOAT",
    "float": "DOUBLE",
    "uniqueidentifier": "UUID",
    "datetime": "TIMESTAMP",
    "smalldatetime": "TIMESTAMP",
    "datetime2": "TIMESTAMP",
    "datetimeoffset": "TIMESTAMPTZ",
    "date": "DATE",
    "time": "TIME",
    "varbinary": "BLOB",
    "binary": "BLOB",
    "varchar": "VARCHAR",
    "char": "VARCHAR",
    "nvarchar": "VARCHAR",
    "nchar": "VARCHAR",
}

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

TEXT = frozenset({"nvarchar", "nchar", "varchar", "char"})
UNICODE = frozenset({"nvarchar", "nchar"})
BINARY = frozenset({"varbinary", "binary"})
INTEGER = frozenset(_INTEGERS)
EXACT = frozenset({"decimal", "numeric", "money", "smallmoney"})
APPROXIMATE = frozenset({"float", "real"})
NUMBER = INTEGER | EXACT | APPROXIMATE | {"bit"}
MOMENT = frozenset({"datetime", "smalldatetime", "datetime2", "datetimeoffset", "date", "time"})
_FIXED_LENGTH = frozenset({"nchar", "char", "binary"})
_INTEGER_DIGITS = {"bit": 1, "tinyint": 3, "smallint": 5, "int": 10, "bigint": 19}

_SYSTEM_TYPE_IDS = {
    "uniqueidentifier": 36,
    "date": 40,
    "time": 41,
    "datetime2": 42,
    "datetimeoffset": 43,
    "tinyint": 48,
    "smallint": 52,
    "int": 56,
    "smalldatetime": 58,
    "real": 59,
    "money": 60,
    "datetime": 61,
    "float": 62,
    "bit": 104,
    "decimal": 106,
    "numeric": 108,
    "smallmoney": 122,
    "bigint": 127,
    "varbinary": 165,
    "varchar": 167,
    "binary": 173,
    "char": 175,
    "nvarchar": 231,
    "nchar": 239,
}


@dataclass(frozen=True)
class SqlType:
    """A type as SQL Server names it. `length` counts characters (bytes for binary), MAX for (max)."""

    name: str
    length: int = 0
    precision: int = 0
    scale: int = 0

    def __str__(self) -> str:
        if self.name in TEXT | BINARY:
            return f"{self.name}({'max' if self.length == MAX else self.length})"
        if self.name in {"decimal", "numeric"}:
            return f"{self.name}({self.precision},{self.scale})"
        if self.name in {"datetime2", "time", "datetimeoffset"}:
            return f"{self.name}({self.scale})"
        return self.name

    @property
    def storage(self) -> str:
        """The DuckDB type that holds the values."""
        if self.name in _INTEGERS:
            return _INTEGERS[self.name][1]
        if self.name in EXACT:
            return f"DECIMAL({self.precision},{self.scale})"
        return _STORAGE[self.name]

    @property
    def is_text(self) -> bool:
        return self.name in TEXT

    @property
    def is_long(self) -> bool:
        """Say whether values travel as PLP, the chunked form of the (max) types."""
        return self.length == MAX

    @property
    def system_type_id(self) -> int:
        return _SYSTEM_TYPE_IDS[self.name]

    @property
    def max_length(self) -> int:
        """Return sys.columns.max_length: bytes, -1 for (max)."""
        if self.name in UNICODE:
            return MAX if self.is_long else self.length * 2
        if self.name in TEXT | BINARY:
            return self.length
        return self.size_bytes

    @property
    def size_bytes(self) -> int:
        """Bytes of a value on the wire, for types whose values all have one size."""
        name = self.name
        if name in _INTEGERS:
            return _INTEGERS[name][0]
        if name in {"decimal", "numeric"}:
            return 5 if self.precision <= 9 else 9 if self.precision <= 19 else 13 if self.precision <= 28 else 17
        if name in {"time", "datetime2", "datetimeoffset"}:
            time_size = 3 if self.scale <= 2 else 4 if self.scale <= 4 else 5
            return time_size + {"time": 0, "datetime2": 3, "datetimeoffset": 5}[name]
        return {
            "bit": 1,
            "real": 4,
            "float": 8,
            "uniqueidentifier": 16,
            "datetime": 8,
            "smalldatetime": 4,
            "date": 3,
            "money": 8,
            "smallmoney": 4,
        }[name]

    def type_info(self) -> bytes:
        """TYPE_INFO of a nullable column of this type (MS-TDS 2.2.5.6)."""
        name = self.name
        if name in TEXT | BINARY:
            token = {"nvarchar": 0xE7, "nchar": 0xEF, "varchar": 0xA7, "char": 0xAF, "varbinary": 0xA5, "binary": 0xAD}
            width = 2 if name in UNICODE else 1
            size = 0xFFFF if self.is_long else max(self.length, 1) * width
            return struct.pack("<BH", token[name], size) + (COLLATION if self.is_text else b"")
        if name in {"decimal", "numeric"}:
            return bytes((0x6A if name == "decimal" else 0x6C, self.size_bytes, self.precision, self.scale))
        if name in {"time", "datetime2", "datetimeoffset"}:
            return bytes(({"time": 0x29, "datetime2": 0x2A, "datetimeoffset": 0x2B}[name], self.scale))
        if name == "date":
            return b"\x28"
        token_of = {
            "bit": 0x68,
            "real": 0x6D,
            "float": 0x6D,
            "uniqueidentifier": 0x24,
            "datetime": 0x6F,
            "smalldatetime": 0x6F,
            "money": 0x6E,
            "smallmoney": 0x6E,
        }
        return bytes((token_of.get(name, 0x26), self.size_bytes))


BIT = SqlType("bit")
TINYINT = SqlType("tinyint")
SMALLINT = SqlType("smallint")
INT = SqlType("int")
BIGINT = SqlType("bigint")
REAL = SqlType("real")
FLOAT = SqlType("float")
DATETIME = SqlType("datetime")
DATE = SqlType("date")
GUID = SqlType("uniqueidentifier")


def datetime2(scale: int = 7) -> SqlType:
    return SqlType("datetime2", scale=scale)


def decimal(precision: int, scale: int) -> SqlType:
    return SqlType("decimal", precision=min(max(precision, 1), 38), scale=min(max(scale, 0), 38))


def nvarchar(length: int) -> SqlType:
    return SqlType("nvarchar", length=MAX if length == MAX or length > 4000 else max(length, 1))


def varchar(length: int) -> SqlType:
    return SqlType("varchar", length=MAX if length == MAX or length > 8000 else max(length, 1))


def varbinary(length: int) -> SqlType:
    return SqlType("varbinary", length=MAX if length == MAX or length > 8000 else max(length, 1))


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
