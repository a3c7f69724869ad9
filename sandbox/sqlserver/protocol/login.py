"""The two messages that open a connection: PRELOGIN and LOGIN7 (MS-TDS 2.2.6.5, 2.2.6.4)."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from sandbox.sqlserver.protocol.packets import DEFAULT_PACKET_SIZE
from sandbox.sqlserver.protocol.tokens import VERSION

ENCRYPT_ON = 0x01
ENCRYPT_NOT_SUPPORTED = 0x02
ENCRYPT_REQUIRED = 0x03

_VERSION_OPTION = 0
_ENCRYPTION_OPTION = 1
_INSTANCE_OPTION = 2
_THREAD_OPTION = 3
_MARS_OPTION = 4
_TERMINATOR = 0xFF


def read_prelogin(body: bytes) -> dict[int, bytes]:
    """Return the options by number."""
    options: dict[int, bytes] = {}
    position = 0
    while position < len(body) and body[position] != _TERMINATOR:
        token, offset, length = struct.unpack_from(">BHH", body, position)
        options[token] = body[offset : offset + length]
        position += 5
    return options


def requires_encryption(options: dict[int, bytes]) -> bool:
    return options.get(_ENCRYPTION_OPTION, b"\x00")[:1] in {bytes((ENCRYPT_ON,)), bytes((ENCRYPT_REQUIRED,))}


def refuses_encryption(options: dict[int, bytes]) -> bool:
    return options.get(_ENCRYPTION_OPTION, b"\x02")[:1] == bytes((ENCRYPT_NOT_SUPPORTED,))


def prelogin_answer(*, encrypted: bool = False) -> bytes:
    """Answer that everything is to be encrypted, or that this server has no encryption at all.

    The latter lets the client go on in clear text or give up.
    """
    options = [
        (_VERSION_OPTION, VERSION + b"\x00\x00"),
        (_ENCRYPTION_OPTION, bytes((ENCRYPT_REQUIRED if encrypted else ENCRYPT_NOT_SUPPORTED,))),
        (_INSTANCE_OPTION, b"\x00"),
        (_THREAD_OPTION, b""),
        (_MARS_OPTION, b"\x00"),
    ]
    offset = 5 * len(options) + 1
    head, tail = bytearray(), bytearray()
    for token, value in options:
        head += struct.pack(">BHH", token, offset + len(tail), len(value))
        tail += value
    return bytes(head) + bytes((_TERMINATOR,)) + bytes(tail)


@dataclass(frozen=True)
class LoginRequest:
    user: str
    password: str
    host_name: str
    app_name: str
    library: str
    database: str
    packet_size: int
    tds_version: int


def _clear_password(scrambled: bytes) -> str:
    return bytes((((byte ^ 0xA5) >> 4) | (((byte ^ 0xA5) << 4) & 0xF0)) for byte in scrambled).decode("utf-16-le")


def read_login7(body: bytes) -> LoginRequest:
    """Read the fields this server cares about.

    The fixed part is 36 bytes; from there on follow (offset, length in characters) pairs.
    """
    _, tds_version, packet_size = struct.unpack_from("<III", body, 0)

    def field(position: int) -> bytes:
        offset, characters = struct.unpack_from("<HH", body, position)
        return body[offset : offset + 2 * characters]

    def text(position: int) -> str:
        return field(position).decode("utf-16-le")

    return LoginRequest(
        host_name=text(36),
        user=text(40),
        password=_clear_password(field(44)),
        app_name=text(48),
        library=text(60),
        database=text(68),
        packet_size=min(max(packet_size or DEFAULT_PACKET_SIZE, 512), 32767),
        tds_version=tds_version,
    )
