"""How the tests reach the emulated SQL Server: three clients behind one call, and the tables they read."""

import json
import os
import socket
import struct
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import pymssql
import pytds
from airflow.providers.microsoft.mssql.hooks.mssql import MsSqlHook
from airflow.sdk import Connection

from sandbox.sqlserver.database import Database
from sandbox.sqlserver.server import Login, SqlServer

WRITER, READER = Login("sa", "s3cret Ø", can_write=True), Login("reader", "r3ad")

SCHEMA = """
CREATE TABLE [dbo].[Runs] (
    [Run_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_Runs] PRIMARY KEY,
    [Timestamp] datetime NULL,
    [Result] int NULL,
    [Duration] real NULL,
    [Product] nvarchar(50) NULL
);
GO
CREATE TABLE [dbo].[Steps] (
    [Run_GUID] uniqueidentifier NOT NULL,
    [StepNumber] int NULL,
    [StepName] nvarchar(255) NULL,
    [Reading] float NULL,
    CONSTRAINT [FK_Steps_Runs] FOREIGN KEY ([Run_GUID]) REFERENCES [dbo].[Runs] ([Run_GUID])
);
GO
CREATE NONCLUSTERED INDEX [IX_Runs_Timestamp] ON [dbo].[Runs] ([Timestamp] DESC) INCLUDE ([Result]);
"""


def new_database(**given: Any) -> Database:
    db = Database(**{"name": "Plant"} | given)
    db.run_script(SCHEMA)
    return db


@contextmanager
def served(db: Database | None = None, **given: Any) -> Iterator[SqlServer]:
    with SqlServer(db or new_database(), [WRITER, READER], **given) as server:
        yield server


def connect(server: SqlServer, login: Login = READER, **given: Any) -> pymssql.Connection:
    arguments: dict[str, Any] = {"database": "Plant", "login_timeout": 60, "timeout": 120, "autocommit": True} | given
    connection: pymssql.Connection = pymssql.connect(
        server=server.host, port=str(server.port), user=login.name, password=login.password, **arguments
    )
    return connection


def connect_pytds(server: SqlServer, login: Login = READER, **given: Any) -> Any:
    arguments: dict[str, Any] = {"database": "Plant", "login_timeout": 60, "timeout": 120, "autocommit": True} | given
    return pytds.connect(dsn=server.host, port=server.port, user=login.name, password=login.password, **arguments)


def hook(server: SqlServer, login: Login = READER, **extra: Any) -> MsSqlHook:
    conn_id = f"sqlserver_{uuid.uuid4().hex}"
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(
        {
            "conn_type": "mssql",
            "host": server.host,
            "port": server.port,
            "login": login.name,
            "password": login.password,
            "schema": "Plant",
            "extra": extra,
        }
    )
    assert Connection.get(conn_id).port == server.port
    return MsSqlHook(mssql_conn_id=conn_id)


class RawClient:
    """A socket that speaks just enough TDS to log in and to show the bytes of an answer."""

    def __init__(self, server: SqlServer, login: Login = READER, *, log_in: bool = True) -> None:
        self.sock = socket.create_connection((server.host, server.port), timeout=60)
        if log_in:
            self.send(0x10, login7(login))
            self.greeting = self.answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, kind: int, body: bytes) -> None:
        self.sock.sendall(struct.pack(">BBHHBB", kind, 1, len(body) + 8, 0, 1, 0) + body)

    def send_batch(self, sql: str) -> None:
        headers = struct.pack("<IIHQI", 22, 18, 2, 0, 1)
        self.send(0x01, headers + sql.encode("utf-16-le"))

    def batch(self, sql: str) -> bytes:
        self.send_batch(sql)
        return self.answer()

    def answer(self) -> bytes:
        """Return the body of the next message; its packet headers are checked on the way."""
        body, number = b"", 0
        while True:
            kind, status, length, _, packet, _ = struct.unpack(">BBHHBB", self._take(8))
            number += 1
            assert (kind, packet) == (0x04, number % 256)
            body += self._take(length - 8)
            if status & 1:
                return body

    def _take(self, size: int) -> bytes:
        content = b""
        while len(content) < size:
            received = self.sock.recv(size - len(content))
            if not received:
                raise ConnectionError("closed")
            content += received
        return content


def login7(login: Login, database: str = "Plant") -> bytes:
    password = bytes((((byte << 4) | (byte >> 4)) & 0xFF) ^ 0xA5 for byte in login.password.encode("utf-16-le"))
    texts: list[str | bytes] = ["host", login.name, password, "raw", "server", "", "library", "", database]
    head, tail, offset = b"", b"", 94
    for text in texts:
        content = text if isinstance(text, bytes) else text.encode("utf-16-le")
        head += struct.pack("<HH", offset + len(tail), len(content) // 2)
        tail += content
    fixed = struct.pack("<IIIIIBBBBii", 0x74000004, 4096, 0, 0, 0, 0xE0, 3, 0, 0, 0, 0)
    body = fixed + head + bytes(94 - 4 - len(fixed) - len(head)) + tail
    return struct.pack("<I", len(body) + 4) + body


def rows(server: SqlServer, sql: str, *parameters: Any, login: Login = READER) -> list[tuple[Any, ...]]:
    with connect(server, login) as connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return list(cursor.fetchall())


def error_number(call: Any) -> int:
    """Run and return the number of the SQL Server error it ends with."""
    try:
        call()
    except pymssql.Error as error:
        first = error.args[0]
        return int(first[0] if isinstance(first, tuple) else first)
    except pytds.Error as error:
        return int(error.number)
    raise AssertionError("no error came")


_REFUSED = """
import sys, pymssql
host, port, user, password, database = sys.argv[1:]
try:
    pymssql.connect(server=host, port=int(port), user=user, password=password, database=database, login_timeout=60)
except pymssql.Error as error:
    print(*error.args[0])
"""


def refusal(server: SqlServer, login: Login, database: str = "Plant") -> tuple[int, str]:
    """Connect with pymssql where it is refused, and return number and words.

    In a process of its own, because the error pymssql gives for a failed connect is that of the worst one so far.
    """
    arguments = [server.host, str(server.port), login.name, login.password, database]
    done = subprocess.run(
        [sys.executable, "-c", _REFUSED, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    number, _, words = done.stdout.partition(" ")
    return int(number), words


def _through_pymssql(server: SqlServer, sql: str, login: Login) -> list[tuple[Any, ...]]:
    return rows(server, sql, login=login)


def _through_hook(server: SqlServer, sql: str, login: Login) -> list[tuple[Any, ...]]:
    return list(hook(server, login).get_records(sql))


def _through_pytds(server: SqlServer, sql: str, login: Login) -> list[tuple[Any, ...]]:
    with connect_pytds(server, login) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]


READERS = {"pymssql": _through_pymssql, "hook": _through_hook, "pytds": _through_pytds}
