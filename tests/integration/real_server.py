"""The real SQL Server that tests marked `mssql` run against, and the check that they do reach it."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import pymssql
import pytest

from sandbox.seed_sql_server import SqlServerStore
from sandbox.vte.vte_database import SCHEMA


@dataclass(frozen=True)
class Served:
    """A VTE database that can be written to here and read through ``connection``."""

    store: Any
    connection: dict[str, Any]


@dataclass(frozen=True)
class RealDatabase:
    """An empty VTE database on a server, and a login that may do anything in it."""

    host: str
    port: int
    login: str
    password: str
    name: str
    store: Any


class Relay:
    """Passes connections on to a server byte by byte, and counts those that reached it."""

    def __init__(self, host: str, port: int) -> None:
        self.connections = 0
        self._target = (host, port)
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.host, self.port = self._listener.getsockname()[:2]

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="relay", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for sock in [self._listener, *self._sockets]:
            _shut(sock)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target, timeout=30)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            self.connections += 1
            self._sockets += [client, server]
            for source, target in ((client, server), (server, client)):
                threading.Thread(target=_pass_on, args=(source, target), name="relay", daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):  # one end is gone: so goes the other
        while content := source.recv(65_536):
            target.sendall(content)
    _shut(target)
    _shut(source)


def _shut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


@pytest.fixture
def real_database() -> Iterator[RealDatabase]:
    """A database of its own on the SQL Server of VTE_TEST_MSSQL_URI, dropped at the end."""
    uri = os.environ.get("VTE_TEST_MSSQL_URI")
    if not uri:
        pytest.skip("no real SQL Server: set VTE_TEST_MSSQL_URI=mssql://login:password@host:1433")
    server, name = urlsplit(uri), f"vte_wats_test_{uuid4().hex}"
    host, port = server.hostname or "", server.port or 1433
    login, password = unquote(server.username or ""), unquote(server.password or "")
    fields: dict[str, Any] = {
        "server": host,
        "port": str(port),
        "user": login,
        "password": password,
        "charset": "UTF-8",
    }
    with pymssql.connect(**fields, database="master", autocommit=True) as master:
        SqlServerStore(master).run_script(f"CREATE DATABASE [{name}]")
        try:
            with pymssql.connect(**fields, database=name, autocommit=True) as connection:
                store = SqlServerStore(connection)
                store.run_script(SCHEMA.read_text(encoding="utf-8"))
                yield RealDatabase(host, port, login, password, name, store)
        finally:
            SqlServerStore(master).run_script(
                f"ALTER DATABASE [{name}] SET SINGLE_USER WITH ROLLBACK IMMEDIATE; DROP DATABASE [{name}]"
            )


@pytest.fixture
def real(real_database: RealDatabase) -> Iterator[Served]:
    """The real database, read through a relay: a test that never opened a connection fails at its end."""
    database = real_database
    with Relay(database.host, database.port) as relay:
        fields = {"conn_type": "mssql", "host": relay.host, "port": relay.port, "schema": database.name}
        yield Served(database.store, fields | {"login": database.login, "password": database.password})
    if not relay.connections:
        pytest.fail("this test is marked mssql and has not connected to the SQL Server of VTE_TEST_MSSQL_URI")


@pytest.fixture(autouse=True)
def _reaches_the_real_server(request: pytest.FixtureRequest) -> None:
    """Give every test marked mssql the real server, whether it asks for it or not, and with it the check at its end."""
    if request.node.get_closest_marker("mssql"):
        request.getfixturevalue("real")
