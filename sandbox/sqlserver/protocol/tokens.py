"""TDS response tokens as bytes (MS-TDS 2.2.7). Pure functions; rows are encoded in `rows`."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from sandbox.sqlserver.errors import SqlServerError
from sandbox.sqlserver.protocol.type_info import COLLATION, type_info
from sandbox.sqlserver.sql_types import SqlType

DONE_MORE = 0x0001
DONE_ERROR = 0x0002
DONE_COUNT = 0x0010
DONE_ATTENTION = 0x0020

DONE = 0xFD
DONE_PROC = 0xFE
DONE_IN_PROC = 0xFF

# The code that DONE holds for the statement it ends.
COMMANDS = {"SELECT": 0xC1, "INSERT": 0xC3, "DELETE": 0xC4, "UPDATE": 0xC5}
PROGRAM_NAME = "Microsoft SQL Server"
VERSION = bytes((16, 0)) + struct.pack(">H", 1000)

_NULLABLE_READ_WRITE_UNKNOWN = 0x0009


def _b_varchar(text: str) -> bytes:
    return bytes((len(text.encode("utf-16-le")) // 2,)) + text.encode("utf-16-le")


def _us_varchar(text: str) -> bytes:
    encoded = text.encode("utf-16-le")
    return struct.pack("<H", len(encoded) // 2) + encoded


def column_metadata(columns: Sequence[tuple[str, SqlType]]) -> bytes:
    """COLMETADATA for (name, type) pairs."""
    parts = [struct.pack("<BH", 0x81, len(columns))]
    for name, kind in columns:
        parts += [struct.pack("<IH", 0, _NULLABLE_READ_WRITE_UNKNOWN), type_info(kind), _b_varchar(name[:128])]
    return b"".join(parts)


def done(status: int = 0, command: int = 0, rows: int = 0, token: int = DONE) -> bytes:
    return struct.pack("<BHHQ", token, status, command, rows)


def return_status(value: int) -> bytes:
    return struct.pack("<Bi", 0x79, value)


def _message(token: int, problem: SqlServerError, server: str) -> bytes:
    body = (
        struct.pack("<iBB", problem.number, problem.state, problem.severity)
        + _us_varchar(problem.message[:4000])
        + _b_varchar(server)
        + _b_varchar("")
        + struct.pack("<i", 1)
    )
    return struct.pack("<BH", token, len(body)) + body


def error(problem: SqlServerError, server: str) -> bytes:
    return _message(0xAA, problem, server)


def info(number: int, message: str, server: str, state: int = 1) -> bytes:
    return _message(0xAB, SqlServerError(number, message, 0, state), server)


def _env_change(kind: int, new: bytes, old: bytes) -> bytes:
    body = bytes((kind,)) + new + old
    return struct.pack("<BH", 0xE3, len(body)) + body


def env_database(new: str, old: str) -> bytes:
    return _env_change(1, _b_varchar(new), _b_varchar(old))


def env_language(new: str) -> bytes:
    return _env_change(2, _b_varchar(new), _b_varchar(""))


def env_packet_size(new: int, old: int) -> bytes:
    return _env_change(4, _b_varchar(str(new)), _b_varchar(str(old)))


def env_collation() -> bytes:
    return _env_change(7, bytes((len(COLLATION),)) + COLLATION, b"\x00")


def env_begin_transaction(descriptor: bytes) -> bytes:
    return _env_change(8, b"\x08" + descriptor, b"\x00")


def env_commit_transaction(descriptor: bytes) -> bytes:
    return _env_change(9, b"\x00", b"\x08" + descriptor)


def env_rollback_transaction(descriptor: bytes) -> bytes:
    return _env_change(10, b"\x00", b"\x08" + descriptor)


def login_ack() -> bytes:
    body = b"\x01" + bytes.fromhex("74000004") + _b_varchar(PROGRAM_NAME) + VERSION
    return struct.pack("<BH", 0xAD, len(body)) + body
