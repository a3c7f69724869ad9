"""The emulated server encrypts as SQL Server does: the handshake in PRELOGIN packets, the login and all else after it."""

import struct

import pymssql
import pytest

from tests.certificates import self_signed
from tests.sandbox.sqlserver.clients import WRITER, RawClient, connect, served

PRELOGIN = "00000b00060100110001ff" + "00" * 6  # version and encryption, whose byte is still to come
ON, NOT_SUPPORTED, REQUIRED = "01", "02", b"\x03"


@pytest.fixture
def server(tmp_path, monkeypatch):
    pem, context = self_signed(tmp_path)
    conf = tmp_path / "freetds.conf"
    conf.write_text(f"[global]\n\tca file = {pem}\n")
    monkeypatch.setenv("FREETDSCONF", str(conf))
    with served(tls=context) as running:
        yield running


def answers(server) -> bool:
    with connect(server, encryption="require") as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return cursor.fetchone() == (1,)


def test_what_is_written_and_read_goes_through_whatever_its_size(server):
    with connect(server, WRITER, encryption="require") as connection, connection.cursor() as cursor:
        text = "ø" * 200_000
        cursor.execute("SELECT %s", (text,))
        assert cursor.fetchone() == (text,)


def test_a_client_that_cannot_encrypt_is_left_without_a_login(server):
    with RawClient(server, log_in=False) as raw:
        raw.send(0x12, bytes.fromhex(PRELOGIN + NOT_SUPPORTED))
        assert REQUIRED in raw.answer()
        assert raw.sock.recv(10) == b""
    assert server.log == []
    assert answers(server)


@pytest.mark.parametrize("handshake", [b"", struct.pack(">BBHHBB", 0x12, 1, 13, 0, 1, 0) + b"hello"])
def test_a_handshake_that_is_none_ends_that_connection_alone(server, handshake):
    with RawClient(server, log_in=False) as raw:
        raw.send(0x12, bytes.fromhex(PRELOGIN + ON))
        raw.answer()
        raw.sock.sendall(handshake)
    assert server.log == []
    assert answers(server)


def test_a_client_that_trusts_somebody_else_sends_no_login(server, tmp_path):
    other, _ = self_signed(tmp_path, "other.example")
    (tmp_path / "freetds.conf").write_text(f"[global]\n\tca file = {other}\n")
    with pytest.raises(pymssql.OperationalError):
        connect(server, encryption="require")
    assert server.log == []
