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

from sandbox.vte.database import VteDatabase
from sandbox.vte.server import Login, VteServer

WRITER, READER = Login("sa", "s3cret Ø", can_write=True), Login("vte_adapter_readonly", "r3ad")

SCHEMA = """
CREATE TABLE [dbo].[IndexData] (
    [Index_GUID] uniqueidentifier NOT NULL CONSTRAINT [PK_IndexData] PRIMARY KEY,
    [Timestamp] datetime NULL,
    [Result] int NULL,
    [TestTime] real NULL,
    [ProductName] nvarchar(50) NULL
);
GO
CREATE TABLE [dbo].[TestDataNumeric] (
    [Index_GUID] uniqueidentifier NOT NULL,
    [TestStepNumber] int NULL,
    [TestName] nvarchar(255) NULL,
    [TestResult] float NULL,
    CONSTRAINT [FK_Numeric] FOREIGN KEY ([Index_GUID]) REFERENCES [dbo].[IndexData] ([Index_GUID])
);
GO
CREATE NONCLUSTERED INDEX [IX_IndexData_Timestamp] ON [dbo].[IndexData] ([Timestamp] DESC) INCLUDE ([Result]);
"""


def new_database(**given: Any) -> VteDatabase:
    db = VteDatabase(**given)
    db.run_script(SCHEMA)
    return db


@contextmanager
def served(db: VteDatabase | None = None, **given: Any) -> Iterator[VteServer]:
    with VteServer(db or new_database(), [WRITER, READER], **given) as server:
        yield server


def connect(server: VteServer, login: Login = READER, **given: Any) -> pymssql.Connection:
    arguments = {"database": "VTE9_3", "login_timeout": 60, "timeout": 120, "autocommit": True} | given
    return pymssql.connect(server=server.host, port=server.port, user=login.name, password=login.password, **arguments)


def connect_pytds(server: VteServer, login: Login = READER, **given: Any) -> Any:
    arguments = {"database": "VTE9_3", "login_timeout": 60, "timeout": 120, "autocommit": True} | given
    return pytds.connect(dsn=server.host, port=server.port, user=login.name, password=login.password, **arguments)


def hook(server: VteServer, login: Login = READER, **extra: Any) -> MsSqlHook:
    conn_id = f"vte_{uuid.uuid4().hex}"
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(
        {
            "conn_type": "mssql",
            "host": server.host,
            "port": server.port,
            "login": login.name,
            "password": login.password,
            "schema": "VTE9_3",
            "extra": extra,
        }
    )
    assert Connection.get(conn_id).port == server.port
    return MsSqlHook(mssql_conn_id=conn_id)


class RawClient:
    """A socket that speaks just enough TDS to log in and to show the bytes of an answer."""

    def __init__(self, server: VteServer, login: Login = READER, *, log_in: bool = True) -> None:
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


def login7(login: Login, database: str = "VTE9_3") -> bytes:
    password = bytes((((byte << 4) | (byte >> 4)) & 0xFF) ^ 0xA5 for byte in login.password.encode("utf-16-le"))
    texts = ["host", login.name, password, "raw", "server", "", "library", "", database]
    head, tail, offset = b"", b"", 94
    for text in texts:
        content = text if isinstance(text, bytes) else text.encode("utf-16-le")
        head += struct.pack("<HH", offset + len(tail), len(content) // 2)
        tail += content
    fixed = struct.pack("<IIIIIBBBBii", 0x74000004, 4096, 0, 0, 0, 0xE0, 3, 0, 0, 0, 0)
    body = fixed + head + bytes(94 - 4 - len(fixed) - len(head)) + tail
    return struct.pack("<I", len(body) + 4) + body


def rows(server: VteServer, sql: str, *parameters: Any, login: Login = READER) -> list[tuple[Any, ...]]:
    with connect(server, login) as connection, connection.cursor() as cursor:
        cursor.execute(sql, parameters or None)
        return cursor.fetchall()


def error_number(call: Any) -> int:
    """Run and return the number of the SQL Server error it ends with."""
    try:
        call()
    except pymssql.Error as error:
        first = error.args[0]
        return first[0] if isinstance(first, tuple) else first
    except pytds.Error as error:
        return error.number
    raise AssertionError("no error came")


_REFUSED = """
import sys, pymssql
host, port, user, password, database = sys.argv[1:]
try:
    pymssql.connect(server=host, port=int(port), user=user, password=password, database=database, login_timeout=60)
except pymssql.Error as error:
    print(*error.args[0])
"""


def refusal(server: VteServer, login: Login, database: str = "VTE9_3") -> tuple[int, str]:
    """Connect with pymssql where it is refused, and return number and words.

    In a process of its own, because the error pymssql gives for a failed connect is that of the worst one so far.
    """
    arguments = [server.host, str(server.port), login.name, login.password, database]
    done = subprocess.run(
        [sys.executable, "-c", _REFUSED, *arguments], capture_output=True, text=True, check=True, timeout=120
    )
    number, _, words = done.stdout.partition(" ")
    return int(number), words


def _through_pymssql(server: VteServer, sql: str, login: Login) -> list[tuple[Any, ...]]:
    return rows(server, sql, login=login)


def _through_hook(server: VteServer, sql: str, login: Login) -> list[tuple[Any, ...]]:
    return hook(server, login).get_records(sql)


def _through_pytds(server: VteServer, sql: str, login: Login) -> list[tuple[Any, ...]]:
    with connect_pytds(server, login) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        return [tuple(row) for row in cursor.fetchall()]


READERS = {"pymssql": _through_pymssql, "hook": _through_hook, "pytds": _through_pytds}
