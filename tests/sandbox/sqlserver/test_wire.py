"""The bytes on the wire are those of TDS 7.4, as clients were seen to exchange them."""

import contextlib
import struct

import pytest

from sandbox.sqlserver.protocol.login import read_login7
from tests.sandbox.sqlserver.clients import READER, RawClient, login7, new_database, served

NULLABLE = "000000000900"
DONE_SELECT = "fd1000c100"


@pytest.fixture(scope="module")
def server():
    with served(new_database()) as running:
        yield running


@pytest.fixture
def client(server):
    with RawClient(server) as raw:
        yield raw


def test_the_answer_to_prelogin_says_that_there_is_no_encryption(server):
    with RawClient(server, log_in=False) as raw:
        raw.send(
            0x12,
            bytes.fromhex(
                "00001a00060100200001020021000103002200040400260001ff" + "00" * 6 + "00" + "00" + "00" * 4 + "00"
            ),
        )
        answer = raw.answer()
    options = {}
    position = 0
    while answer[position] != 0xFF:
        token, offset, length = struct.unpack_from(">BHH", answer, position)
        options[token] = answer[offset : offset + length]
        position += 5
    assert options[1] == b"\x02"
    assert options[4] == b"\x00"
    assert len(options[0]) == 6


def test_a_client_that_insists_on_encryption_gets_the_reason_and_is_left(server):
    with RawClient(server, log_in=False) as raw:
        raw.send(0x12, bytes.fromhex("00000b00060100110001ff" + "00" * 6 + "01"))
        assert b"\x02" in raw.answer()
        assert raw.sock.recv(10) == b""


def test_login7_is_read_field_by_field():
    request = read_login7(login7(READER))
    assert (request.user, request.password, request.host_name) == (READER.name, READER.password, "host")
    assert (request.app_name, request.library, request.database) == ("raw", "library", "Plant")
    assert (request.packet_size, request.tds_version) == (4096, 0x74000004)


def test_the_greeting_has_its_tokens_in_the_order_clients_expect(client):
    kinds, position = [], 0
    while position < len(client.greeting):
        token = client.greeting[position]
        if token == 0xFD:
            kinds.append("done")
            position += 13
            continue
        (length,) = struct.unpack_from("<H", client.greeting, position + 1)
        kind = {0xE3: f"env {client.greeting[position + 3]}", 0xAB: "info", 0xAD: "ack"}[token]
        kinds.append(kind)
        position += 3 + length
    assert kinds == ["env 1", "info", "env 2", "info", "env 7", "ack", "env 4", "done"]


@pytest.mark.parametrize(
    ("written", "info", "value"),
    [
        ("CAST('6F9619FF-8B86-D011-B42D-00C04FC964FF' AS uniqueidentifier)", "2410", "10ff19966f868b11d0b42d00c04fc964ff"),
        ("CAST('1900-01-02T00:00:01' AS datetime)", "6f08", "08010000002c010000"),
        ("CAST('2026-02-03T10:00:00.123456' AS datetime2)", "2a07", "0880e6bed15341490b"),
        ("CAST('0001-01-02T00:00:00.5' AS datetime2(1))", "2a01", "06050000010000"),
        ("CAST('0001-01-03' AS date)", "28", "03020000"),
        ("CAST(-2 AS int)", "2604", "04feffffff"),
        ("CAST(1.5 AS real)", "6d04", "040000c03f"),
        ("CAST(1.5 AS float)", "6d08", "08000000000000f83f"),
        ("CAST(1 AS bit)", "6801", "0101"),
        ("CAST(-1.50 AS decimal(9,2))", "6a050902", "050096000000"),
        ("CAST(1.50 AS decimal(38,2))", "6a112602", "1101" + "96" + "00" * 15),
        ("N'ab'", "e704000904d00034", "040061006200"),
        ("CAST(N'a' AS nvarchar(max))", "e7ffff0904d00034", "020000000000000002000000610000000000"),
        ("CAST('é' AS varchar(3))", "a703000904d00034", "0100e9"),
        ("CAST(NULL AS varbinary(max))", "a5ffff", "ff" * 8),
        ("CAST(0x AS varbinary(max))", "a5ffff", "00" * 8 + "00" * 4),
        ("CAST(NULL AS nvarchar(5))", "e70a000904d00034", "ffff"),
        ("CAST(NULL AS int)", "2604", "00"),
    ],
)  # fmt: skip
def test_a_value_is_encoded_as_the_specification_says(client, written, info, value):
    expected = "810100" + NULLABLE + info + "0178" + "00" + "d1" + value + DONE_SELECT + "0100000000000000"
    assert client.batch(f"SELECT {written} AS x").hex() == expected


def test_every_statement_of_a_batch_gets_its_done_and_only_the_last_says_no_more(client):
    assert client.batch("SET ANSI_NULLS ON;SET TEXTSIZE 2147483647;SET LOCK_TIMEOUT 5;").hex() == (
        "fd0100" + "00" * 10 + "fd0100" + "00" * 10 + "fd0000" + "00" * 10
    )


def test_an_error_token_transfers_number_state_class_text_and_server(client):
    answer = client.batch("SELECT 1 FROM nosuch")
    token, length, number, state, severity, characters = struct.unpack_from("<BHiBBH", answer)
    assert (token, number, state, severity) == (0xAA, 208, 1, 16)
    assert answer[11 : 11 + 2 * characters].decode("utf-16-le") == "Invalid object name 'nosuch'."
    assert answer[3 + length :].hex() == "fd0200" + "00" * 10


def test_attention_is_answered_with_its_done_even_when_nothing_runs(client):
    for _ in range(2):
        client.send(0x06, b"")
        assert client.answer().hex() == "fd2000" + "00" * 10
    assert client.batch("SELECT 1").endswith(b"\x01" + b"\x00" * 7)


def test_attention_while_a_result_leaves_ends_it_between_two_rows(client):
    client.send_batch(
        "SELECT REPLICATE(CAST('x' AS varchar(max)), 100000) AS w FROM (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(0)) a(i) CROSS JOIN (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(0)) b(i) CROSS JOIN (VALUES (1),(2),(3),(4),(5),(6),(7),(8),(9),(0)) c(i)"
    )
    assert client.sock.recv(1, 0x2)  # MSG_PEEK: the answer has started
    client.send(0x06, b"")
    answer = client.answer()
    row = b"\xd1" + struct.pack("<QI", 100_000, 100_000) + b"x" * 100_000 + b"\x00" * 4
    metadata = answer[: answer.index(b"\xd1")]
    assert answer[-13:].hex() == "fd2000" + "00" * 10
    rows = answer[len(metadata) : -13]
    assert 0 < len(rows) < 1000 * len(row)
    assert rows == row * (len(rows) // len(row))


def test_a_transaction_has_a_descriptor(client):
    answer = client.batch("BEGIN TRAN")
    assert answer[:5].hex() == "e30b000808"
    descriptor = answer[5:13]
    assert descriptor != bytes(8)
    assert client.batch("COMMIT TRAN").hex().startswith("e30b00090008" + descriptor.hex())


def test_what_is_no_tds_ends_the_connection_and_harms_nobody(server, client):
    with RawClient(server, log_in=False) as raw:
        raw.sock.sendall(b"GET / HTTP/1.1\r\n\r\n" + bytes(300))
        raw.sock.settimeout(5)
        with contextlib.suppress(ConnectionResetError):
            assert raw.sock.recv(100) == b""
    assert client.batch("SELECT 1").startswith(b"\x81")
