"""The emulated SQL Server: a listening socket, one thread per connection, and its own lifecycle.

with SqlServer(db, logins=[Login("sa", "secret", can_write=True)]) as server:
    pymssql.connect(server.host, "sa", "secret", "sandbox", port=server.port)
"""

from __future__ import annotations

import logging
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Self
from zoneinfo import ZoneInfo

from sandbox.sqlserver.database import Database
from sandbox.sqlserver.faults import Faults
from sandbox.sqlserver.session import LogEntry, Login, ServerContext, Session

__all__ = ["LogEntry", "Login", "SqlServer"]

logger = logging.getLogger(__name__)

_FIRST_SPID = 51
_MAX_SPID = 32_767


class SqlServer:
    """Serves one database on host:port; port 0 takes a free one, which `port` is once the server is started.

    `clock` returns the server's moment in aware UTC; `timezone` is where the server stands, so that GETDATE() is wall
    time there. `latency_s` is added before every response. Clock, latency and server name may be changed at any time.
    `log` has one entry per request, oldest first. With `tls` every connection is encrypted, the login included.
    """

    def __init__(
        self,
        database: Database,
        logins: Sequence[Login],
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        clock: Callable[[], datetime] | None = None,
        timezone: str = "UTC",
        server_name: str = "EMULATED",
        latency_s: float = 0.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.database = database
        self.host = host
        self.port = port
        self.faults = Faults()
        self.log: list[LogEntry] = []
        self.latency_s = latency_s
        self.clock = clock or _now
        self.server_name = server_name
        zone = ZoneInfo(timezone)
        self._context = ServerContext(
            database=database,
            logins={login.name.lower(): login for login in logins},
            faults=self.faults,
            note=self._note,
            latency_s=lambda: self.latency_s,
            clock=lambda: self.clock(),  # noqa: PLW0108 - looked up at every call, because it may be changed
            to_local=lambda moment: moment.astimezone(zone),
            server_name=lambda: self.server_name,
            tls=tls,
        )
        self._lock = threading.Lock()
        self._sockets: dict[int, socket.socket] = {}
        self._threads: set[threading.Thread] = set()
        self._listener: socket.socket | None = None
        self._acceptor: threading.Thread | None = None
        self._spid = _FIRST_SPID

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Listen and accept; returns when connections are possible. A stopped server starts again on its port."""
        if self._listener is not None:
            return self
        listener = socket.create_server((self.host, self.port), backlog=128)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._acceptor = threading.Thread(target=self._accept, args=(listener,), name="tds-accept", daemon=True)
        self._acceptor.start()
        logger.info("emulated SQL Server on %s:%d, database %s", self.host, self.port, self.database.name)
        return self

    def stop(self) -> None:
        """Close the port and every connection, and wait for their threads."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        _shut(listener)
        with self._lock:
            sockets, threads = list(self._sockets.values()), list(self._threads)
        for sock in sockets:
            _shut(sock)
        if self._acceptor is not None:
            self._acceptor.join(10)
        for thread in threads:
            thread.join(10)

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        with self._lock:
            return len(self._sockets)

    def _note(self, entry: LogEntry) -> None:
        with self._lock:
            self.log.append(entry)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            fault = self.faults.find(frozenset({"refuse"}))
            if fault is not None and self.faults.strike(fault):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                sock.close()
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._lock:
                spid = self._spid
                self._spid = spid + 1 if spid < _MAX_SPID else _FIRST_SPID
                if self._listener is not listener:
                    sock.close()
                    return
                thread = threading.Thread(target=self._serve, args=(sock, spid), name=f"tds-{spid}", daemon=True)
                self._sockets[spid] = sock
                self._threads.add(thread)
            thread.start()

    def _serve(self, sock: socket.socket, spid: int) -> None:
        try:
            Session(sock, self._context, spid).serve()
        except Exception:
            logger.exception("session %d failed", spid)
        finally:
            sock.close()
            with self._lock:
                self._sockets.pop(spid, None)
                self._threads.discard(threading.current_thread())


def _now() -> datetime:
    return datetime.now(UTC)


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError as exc:
        logger.debug("shutdown: %s", exc)
    sock.close()
