"""TLS as TDS 7.4 has it: the handshake travels inside PRELOGIN packets, what follows is plain TLS (MS-TDS 2.2.6.5)."""

from __future__ import annotations

import socket
import ssl

from sandbox.sqlserver.protocol.packets import END_OF_MESSAGE, HEADER, PRELOGIN, ConnectionClosedError

_RECEIVED_AT_ONCE = 65_536


class TlsSocket:
    """The encrypted side of a connection, with the methods of a socket that packets need."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self._sock = sock
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._shake_hands()

    def recv(self, size_bytes: int) -> bytes:
        while True:
            try:
                return self._tls.read(size_bytes)
            except ssl.SSLWantReadError:
                received = self._sock.recv(_RECEIVED_AT_ONCE)
                if not received:
                    return b""
                self._incoming.write(received)

    def sendall(self, message: bytes) -> None:
        self._tls.write(message)
        self._sock.sendall(self._outgoing.read())

    def _shake_hands(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._send_wrapped()
                self._incoming.write(self._read_wrapped())
            except ssl.SSLError as exc:
                self._send_wrapped()
                raise ConnectionClosedError(f"no TLS: {exc}") from exc
            else:
                self._send_wrapped()
                return

    def _send_wrapped(self) -> None:
        if message := self._outgoing.read():
            self._sock.sendall(HEADER.pack(PRELOGIN, END_OF_MESSAGE, len(message) + HEADER.size, 0, 1, 0) + message)

    def _read_wrapped(self) -> bytes:
        header = self._read_exactly(HEADER.size)
        _, _, length, _, _, _ = HEADER.unpack(header)
        return self._read_exactly(length - HEADER.size)

    def _read_exactly(self, size_bytes: int) -> bytes:
        parts = bytearray()
        while len(parts) < size_bytes:
            received = self._sock.recv(size_bytes - len(parts))
            if not received:
                raise ConnectionClosedError("the client closed the connection during the handshake")
            parts += received
        return bytes(parts)
