"""The Arrow types in which values go from the store to the wire, and into the store in bulk."""

from __future__ import annotations

import pyarrow as pa

from sandbox.sqlserver.sql_types import BINARY, EXACT, INTEGER, SqlType


def arrow_type(kind: SqlType) -> pa.DataType:
    """Return the Arrow type of values of this T-SQL type."""
    name = kind.name
    if name in INTEGER:
        return {"tinyint": pa.uint8(), "smallint": pa.int16(), "int": pa.int32(), "bigint": pa.int64()}[name]
    if name in EXACT:
        return pa.decimal128(kind.precision, kind.scale)
    if kind.is_text or kind.of_text:
        return pa.string()
    if name in BINARY:
        return pa.binary()
    return {
        "bit": pa.bool_(),
        "real": pa.float32(),
        "float": pa.float64(),
        "uniqueidentifier": pa.binary(16),
        "datetime": pa.timestamp("us"),
        "smalldatetime": pa.timestamp("us"),
        "datetime2": pa.timestamp("us"),
        "datetimeoffset": pa.timestamp("us", "UTC"),
        "date": pa.date32(),
        "time": pa.time64("us"),
    }[name]
