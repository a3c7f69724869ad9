"""T-SQL types, as both halves of the emulator speak of them: names, families, sizes and the DuckDB type of the values.

datetime2 and time keep microseconds, the finest DuckDB can (SQL Server: 100 ns).
"""

from __future__ import annotations

from dataclasses import dataclass

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

TEXT = frozenset({"nvarchar", "nchar", "varchar", "char"})
UNICODE = frozenset({"nvarchar", "nchar"})
BINARY = frozenset({"varbinary", "binary"})
INTEGER = frozenset(_INTEGERS)
EXACT = frozenset({"decimal", "numeric", "money", "smallmoney"})
APPROXIMATE = frozenset({"float", "real"})
NUMBER = INTEGER | EXACT | APPROXIMATE | {"bit"}
TEMPORAL = frozenset({"datetime", "smalldatetime", "datetime2", "datetimeoffset", "date", "time"})


SYSTEM_TYPE_IDS = {
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
    """A type as SQL Server names it. `length` counts characters (bytes for binary), MAX for (max).

    `of_text` is set for the bytes of a text: the store keeps the text, which is encoded on its way to the client.
    """

    name: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    of_text: bool = False

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
        if self.of_text:
            return "VARCHAR"
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
        return SYSTEM_TYPE_IDS[self.name]

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


UTF16_UNITS = SqlType("varbinary", length=MAX, of_text=True)
"""What nvarchar becomes as varbinary(max)."""
