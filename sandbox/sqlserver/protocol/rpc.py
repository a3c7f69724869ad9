"""RPC requests (0x03): the procedure and its parameters, as Python values of the types the client declared."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from sandbox.sqlserver.errors import SqlServerError, not_emulated
from sandbox.sqlserver.sql_types import (
    BIGINT,
    BIT,
    DATE,
    DATETIME,
    FLOAT,
    GUID,
    INT,
    MAX,
    REAL,
    SMALLINT,
    TINYINT,
    SqlType,
    datetime2,
    decimal,
)

Plain = str | bytes | bool | int | float | uuid.UUID | Decimal | datetime | date | time | None
Typed = tuple[SqlType, Plain]

_PROCEDURES = {10: "sp_executesql", 11: "sp_prepare", 12: "sp_execute", 13: "sp_prepexec", 15: "sp_unprepare"}
_ZERO = datetime.fromisoformat("1900-01-01")
_PLP_NULL = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True)
class Parameter:
    """One argument; the name is in lower case and without its @."""

    name: str
    kind: SqlType
    value: Plain


class _Reader:
    def __init__(self, body: bytes, position: int = 0) -> None:
        self.body = body
        self.position = position

    @property
    def finished(self) -> bool:
        return self.position >= len(self.body)

    def take(self, size: int) -> bytes:
        content = self.body[self.position : self.position + size]
        if len(content) != size:
            raise SqlServerError(4002, "The incoming tabular data stream (TDS) protocol stream is incorrect.", 16)
        self.position += size
        return content

    def number(self, form: str) -> int:
        return int(struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))[0])

    def b_varchar(self) -> str:
        return self.take(2 * self.number("B")).decode("utf-16-le")


def headers_size(body: bytes) -> int:
    """Return the length of ALL_HEADERS, which a 7.2 or later client puts before batches, RPCs and requests."""
    return int(struct.unpack_from("<I", body)[0]) if len(body) >= 4 else 0


def read_request(body: bytes) -> tuple[str, list[Parameter]]:
    """Return the procedure name and the parameters in order."""
    reader = _Reader(body, headers_size(body))
    length = reader.number("H")
    if length == 0xFFFF:
        number = reader.number("H")
        name = _PROCEDURES.get(number, f"procedure {number}")
    else:
        name = reader.take(2 * length).decode("utf-16-le")
    reader.number("H")
    parameters: list[Parameter] = []
    while not reader.finished:
        parameter_name = reader.b_varchar()
        reader.number("B")
        parameters.append(Parameter(parameter_name.lstrip("@").lower(), *_value(reader)))
    return name, parameters


def _plp(reader: _Reader) -> bytes | None:
    total = reader.number("Q")
    if total == _PLP_NULL:
        return None
    parts: list[bytes] = []
    while size := reader.number("I"):
        parts.append(reader.take(size))
    return b"".join(parts)


def _sized(reader: _Reader, maximum: int) -> bytes | None:
    if maximum == 0xFFFF:
        return _plp(reader)
    size = reader.number("H")
    return None if size == 0xFFFF else reader.take(size)


def _value(reader: _Reader) -> Typed:
    token = reader.number("B")
    read = _READERS.get(token)
    if read is None:
        raise not_emulated(f"an RPC parameter of TDS type 0x{token:02X}")
    return read(reader)


def _text(kind: str) -> Callable[[_Reader], Typed]:
    def read(reader: _Reader) -> Typed:
        maximum = reader.number("H")
        reader.take(5)
        content = _sized(reader, maximum)
        width = 2 if kind[0] == "n" else 1
        declared = SqlType(kind, length=MAX if maximum == 0xFFFF else max(maximum // width, 1))
        return declared, None if content is None else content.decode("utf-16-le" if width == 2 else "cp1252")

    return read


def _binary(reader: _Reader) -> Typed:
    maximum = reader.number("H")
    content = _sized(reader, maximum)
    kind = SqlType("varbinary", length=MAX if maximum == 0xFFFF else max(maximum, 1))
    return kind, content


def _integer(reader: _Reader) -> Typed:
    size = reader.number("B")
    kind = {1: TINYINT, 2: SMALLINT, 4: INT, 8: BIGINT}[size]
    used = reader.number("B")
    return kind, int.from_bytes(reader.take(used), "little", signed=used > 1) if used else None


def _fixed_integer(kind: SqlType) -> Callable[[_Reader], Typed]:
    def read(reader: _Reader) -> Typed:
        size = kind.size_bytes
        return kind, int.from_bytes(reader.take(size), "little", signed=size > 1)

    return read


def _bit(reader: _Reader) -> Typed:
    reader.number("B")
    used = reader.number("B")
    return BIT, reader.take(used) != b"\x00" if used else None


def _real(reader: _Reader) -> Typed:
    kind = REAL if reader.number("B") == 4 else FLOAT
    used = reader.number("B")
    return kind, struct.unpack("<f" if used == 4 else "<d", reader.take(used))[0] if used else None


def _guid(reader: _Reader) -> Typed:
    reader.number("B")
    used = reader.number("B")
    return GUID, uuid.UUID(bytes_le=reader.take(used)) if used else None


def _decimal(reader: _Reader) -> Typed:
    _, precision, scale = reader.take(3)
    kind = decimal(precision, scale)
    used = reader.number("B")
    if not used:
        return kind, None
    content = reader.take(used)
    magnitude = Decimal(int.from_bytes(content[1:], "little")).scaleb(-scale)
    return kind, magnitude if content[0] else -magnitude


def _datetime(reader: _Reader) -> Typed:
    reader.number("B")
    used = reader.number("B")
    if not used:
        return DATETIME, None
    if used == 4:
        days, minutes = struct.unpack("<HH", reader.take(4))
        return DATETIME, _ZERO + timedelta(days=days, minutes=minutes)
    days, ticks = struct.unpack("<iI", reader.take(8))
    return DATETIME, _ZERO + timedelta(days=days, milliseconds=(ticks * 10 + 1) // 3)


def _time_of(content: bytes, scale: int) -> timedelta:
    return timedelta(microseconds=int.from_bytes(content, "little") * 10**7 // 10**scale // 10)


def _day_of(content: bytes) -> date:
    return date.fromordinal(int.from_bytes(content, "little") + 1)


def _date(reader: _Reader) -> Typed:
    used = reader.number("B")
    return DATE, _day_of(reader.take(used)) if used else None


def _scaled(name: str) -> Callable[[_Reader], Typed]:
    def read(reader: _Reader) -> Typed:
        scale = reader.number("B")
        kind = datetime2(scale) if name == "datetime2" else SqlType(name, scale=scale)
        used = reader.number("B")
        if not used:
            return kind, None
        content = reader.take(used)
        if name == "time":
            return kind, (_ZERO + _time_of(content, scale)).time()
        offset = content[-2:] if name == "datetimeoffset" else b""
        stem = content[: -2 or None] if offset else content
        moment = datetime.combine(_day_of(stem[-3:]), time()) + _time_of(stem[:-3], scale)
        return kind, moment.replace(tzinfo=UTC) if offset else moment

    return read


_READERS: dict[int, Callable[[_Reader], Typed]] = {
    0x24: _guid,
    0x26: _integer,
    0x30: _fixed_integer(TINYINT),
    0x34: _fixed_integer(SMALLINT),
    0x38: _fixed_integer(INT),
    0x7F: _fixed_integer(BIGINT),
    0x28: _date,
    0x29: _scaled("time"),
    0x2A: _scaled("datetime2"),
    0x2B: _scaled("datetimeoffset"),
    0x68: _bit,
    0x6A: _decimal,
    0x6C: _decimal,
    0x6D: _real,
    0x6F: _datetime,
    0xA5: _binary,
    0xA7: _text("varchar"),
    0xAD: _binary,
    0xAF: _text("char"),
    0xE7: _text("nvarchar"),
    0xEF: _text("nchar"),
}
