"""TDS packets: framing of messages over a stream socket, in both directions. Knows nothing of what is inside."""

from __future__ import annotations

import select
import socket
import struct
from typing import Protocol

SQL_BATCH = 0x01
RPC = 0x03
RESPONSE = 0x04
ATTENTION = 0x06
BULK_LOAD = 0x07
TRANSACTION_MANAGER = 0x0E
LOGIN7 = 0x10
PRELOGIN = 0x12

_FROM_CLIENTS = frozenset({SQL_BATCH, RPC, ATTENTION, BULK_LOAD, TRANSACTION_MANAGER, LOGIN7, PRELOGIN})
HEADER = struct.Struct(">BBHHBB")
END_OF_MESSAGE = 0x01
DEFAULT_PACKET_SIZE = 4096
MAX_MESSAGE_SIZE_BYTES = 64 * 1024 * 1024


class ConnectionClosedError(ConnectionError):
    """The client has gone, at a packet border or inside a packet."""


class Wire(Protocol):
    """What the packets go through: the socket, or TLS over it."""

    def recv(self, size_bytes: int, /) -> bytes: ...

    def sendall(self, message: bytes, /) -> None: ...


class PacketStream:
    """One connection's packets. Not thread-safe: one thread serves one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._wire: Wire = sock
        self.packet_size = DEFAULT_PACKET_SIZE
        self._spid = 0
        self._pending = bytearray()
        self._packet_id = 1

    def encrypt(self, wire: Wire) -> None:
        """Go on over this; the socket stays what closes the connection."""
        self._wire = wire

    def set_spid(self, spid: int) -> None:
        self._spid = spid

    def _read_exactly(self, size_bytes: int) -> bytes:
        parts = bytearray()
        while len(parts) < size_bytes:
            received = self._wire.recv(size_bytes - len(parts))
            if not received:
                raise ConnectionClosedError("the client closed the connection")
            parts += received
        return bytes(parts)

    def read_message(self) -> tuple[int, bytes]:
        """Return (packet type, body without headers) of the next whole message.

        A message that the client gives up (status bit 0x02, ignore) is dropped and the next one returned.
        """
        body = bytearray()
        while True:
            kind, status, length, _, _, _ = HEADER.unpack(self._read_exactly(HEADER.size))
            if kind not in _FROM_CLIENTS or length < HEADER.size:
                raise ConnectionClosedError(f"type 0x{kind:02X} with {length} bytes is no packet of a client")
            body += self._read_exactly(length - HEADER.size)
            if len(body) > MAX_MESSAGE_SIZE_BYTES:
                raise ConnectionClosedError("the message is longer than the server accepts")
            if status & END_OF_MESSAGE:
                if status & 0x02:
                    body.clear()
                    continue
                return kind, bytes(body)

    def readable(self, timeout_s: float = 0.0) -> bool:
        """Say whether the client has sent something (or has gone) within the time given."""
        return bool(select.select([self.sock], [], [], timeout_s)[0])

    def write(self, *parts: bytes | memoryview) -> None:
        """Add to the current response message; full packets leave at once, blocking while the client is slow."""
        pending = self._pending
        for part in parts:
            pending += part
        if len(pending) >= self.packet_size:
            self._send_full_packets()

    def _header(self, status: int, size_bytes: int) -> bytes:
        header = HEADER.pack(RESPONSE, status, size_bytes + HEADER.size, self._spid, self._packet_id, 0)
        self._packet_id = (self._packet_id + 1) & 0xFF
        return header

    def _send_full_packets(self) -> None:
        room = self.packet_size - HEADER.size
        count = (len(self._pending) - 1) // room  # the last one stays: it may be the end of the message
        if count <= 0:
            return
        with memoryview(self._pending) as view:
            pieces: list[bytes | memoryview] = []
            for index in range(count):
                pieces.append(self._header(0, room))
                pieces.append(view[index * room : (index + 1) * room])
            message = b"".join(pieces)
            for piece in pieces:
                if isinstance(piece, memoryview):
                    piece.release()
        self._send(message)
        del self._pending[: count * room]

    def _send(self, message: bytes) -> None:
        self._wire.sendall(message)

    def push(self) -> None:
        """Send what is pending in packets that do not end the message (for faults inside a result)."""
        self._send_full_packets()
        if self._pending:
            message = self._header(0, len(self._pending)) + bytes(self._pending)
            self._pending.clear()
            self._send(message)

    def end_message(self) -> None:
        self._send_full_packets()
        message = self._header(END_OF_MESSAGE, len(self._pending)) + bytes(self._pending)
        self._pending.clear()
        self._packet_id = 1
        self._send(message)
