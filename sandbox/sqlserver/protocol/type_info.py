"""TYPE_INFO: how a column of a T-SQL type is announced on the wire (MS-TDS 2.2.5.6)."""

from __future__ import annotations

import struct

from sandbox.sqlserver.sql_types import BINARY, TEXT, UNICODE, SqlType

COLLATION = bytes.fromhex("0904d00034")  # SQL_Latin1_General_CP1_CI_AS


def type_info(kind: SqlType) -> bytes:
    """TYPE_INFO of a nullable column of this type (MS-TDS 2.2.5.6)."""
    name = kind.name
    if name in TEXT | BINARY:
        token = {"nvarchar": 0xE7, "nchar": 0xEF, "varchar": 0xA7, "char": 0xAF, "varbinary": 0xA5, "binary": 0xAD}
        width = 2 if name in UNICODE else 1
        size = 0xFFFF if kind.is_long else max(kind.length, 1) * width
        return struct.pack("<BH", token[name], size) + (COLLATION if kind.is_text else b"")
    if name in {"decimal", "numeric"}:
        return bytes((0x6A if name == "decimal" else 0x6C, kind.size_bytes, kind.precision, kind.scale))
    if name in {"time", "datetime2", "datetimeoffset"}:
        return bytes(({"time": 0x29, "datetime2": 0x2A, "datetimeoffset": 0x2B}[name], kind.scale))
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
    return bytes((token_of.get(name, 0x26), kind.size_bytes))
