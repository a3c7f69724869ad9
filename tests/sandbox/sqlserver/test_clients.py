"""The emulated SQL Server serves pymssql, Airflow's MsSqlHook and python-tds unchanged."""

import datetime as dt
import threading
from decimal import Decimal
from uuid import UUID

import pymssql
import pytds
import pytest

from sandbox.sqlserver.server import Login
from tests.sandbox.sqlserver.clients import (
    READER,
    READERS,
    WRITER,
    connect,
    connect_pytds,
    error_number,
    hook,
    new_database,
    refusal,
    rows,
    served,
)

GUID = UUID("6f9619ff-8b86-d011-b42d-00c04fc964ff")
TYPES = {
    "uniqueidentifier": ("'6F9619FF-8B86-D011-B42D-00C04FC964FF'", GUID),
    "datetime": ("'2026-02-03T10:00:00.005'", dt.datetime(2026, 2, 3, 10, 0, 0, 7000)),
    "smalldatetime": ("'2026-02-03T10:00:31'", dt.datetime(2026, 2, 3, 10, 1)),
    "datetime2(3)": ("'2026-02-03T10:00:00.1239'", dt.datetime(2026, 2, 3, 10, 0, 0, 124000)),
    "datetime2(7)": ("'1899-12-31T23:59:59.123456'", dt.datetime(1899, 12, 31, 23, 59, 59, 123456)),
    "date": ("'2026-02-03'", dt.date(2026, 2, 3)),
    "time(3)": ("'10:11:12.345'", dt.time(10, 11, 12, 345000)),
    "real": ("1.5", 1.5),
    "float": ("-9.9E37", -9.9e37),
    "decimal(9,2)": ("-1234.56", Decimal("-1234.56")),
    "decimal(38,10)": ("12345678901234567890.0123456789", Decimal("12345678901234567890.0123456789")),
    "money": ("-12.3456", Decimal("-12.3456")),
    "int": ("-2147483648", -(2**31)),
    "bigint": ("9223372036854775807", 2**63 - 1),
    "smallint": ("-32768", -32768),
    "tinyint": ("255", 255),
    "bit": ("1", True),
    "nvarchar(50)": ("N'Ø測試😀'", "Ø測試😀"),
    "nvarchar(max)": ("N'𝔘𝔫𝔦 😀'", "𝔘𝔫𝔦 😀"),
    "varchar(50)": ("'café'", "café"),
    "varchar(max)": ("''", ""),
    "char(5)": ("'ab'", "ab   "),
    "nchar(5)": ("N'Øb'", "Øb   "),
    "varbinary(10)": ("0x00FF10", b"\x00\xff\x10"),
    "varbinary(max)": ("0x", b""),
    "binary(4)": ("0x01", b"\x01\x00\x00\x00"),
}


@pytest.fixture(scope="module")
def server():
    db = new_database()
    columns = ", ".join(f"[c{index}] {kind} NULL" for index, kind in enumerate(TYPES))
    values = ", ".join(written for written, _ in TYPES.values())
    db.run_script(f"CREATE TABLE dbo.Everything (Id int NOT NULL, {columns})\nGO\n")
    db.run_script(f"INSERT INTO dbo.Everything VALUES (1, {values}), (2{', NULL' * len(TYPES)})")
    with served(db, timezone="Europe/Oslo") as running:
        yield running


@pytest.fixture(params=READERS)
def read(request, server):
    return lambda sql, login=READER: READERS[request.param](server, sql, login)


def test_every_type_arrives_as_the_python_value_it_is(read):
    ((_, *values),) = read("SELECT * FROM dbo.Everything WHERE Id = 1")
    assert dict(zip(TYPES, values, strict=True)) == {kind: value for kind, (_, value) in TYPES.items()}


def test_every_type_can_be_null(read):
    assert read("SELECT * FROM dbo.Everything WHERE Id = 2") == [(2, *[None] * len(TYPES))]


def test_an_empty_result_still_shows_its_columns(server):
    for connection in (connect(server), connect_pytds(server)):
        with connection, connection.cursor() as cursor:
            cursor.execute("SELECT Id, c0 AS guid, c7 FROM dbo.Everything WHERE 1 = 0")
            assert [column[0] for column in cursor.description] == ["Id", "guid", "c7"]
            assert cursor.fetchall() == []


def test_a_row_of_all_types_survives_any_packet_size(server):
    for size in (512, 4096, 32767):
        with connect_pytds(server, blocksize=size) as connection, connection.cursor() as cursor:
            cursor.execute(
                "SELECT c18 FROM dbo.Everything WHERE Id = 1 UNION ALL SELECT REPLICATE(CAST(N'測' AS nvarchar(max)), 20000)"
            )
            assert [len(value) for (value,) in cursor.fetchall()] == [len("𝔘𝔫𝔦 😀"), 20000]


def test_a_megabyte_of_bytes_comes_back_equal(server):
    blob = bytes(range(256)) * 4096
    server.database.run_script("CREATE TABLE dbo.Blobs (Id int, Content varbinary(max))")
    with connect(server, WRITER) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO dbo.Blobs VALUES (1, %s)", (blob,))
    for client in READERS.values():
        assert client(server, "SELECT Content FROM dbo.Blobs", READER) == [(blob,)]


def test_several_statements_give_several_results(server):
    with connect(server) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS a; SET LOCK_TIMEOUT 500 SELECT 2 AS b SELECT @@LOCK_TIMEOUT, 'x'")
        found = [cursor.fetchall()]
        while cursor.nextset():
            found.append(cursor.fetchall())
    assert found == [[(1,)], [(2,)], [(500, "x")]]


def test_parameters_are_values_not_text(server):
    values = ("O'Brien; DROP TABLE x", 7, None, 1.25, "測試😀", True)
    assert rows(server, "SELECT %s, %d, %s, %s, %s, %s", *values) == [
        (values[0], 7, None, Decimal("1.25"), "測試😀", 1)
    ]
    with connect_pytds(server) as connection, connection.cursor() as cursor:
        given = (
            "O'Brien",
            7,
            None,
            1.25,
            Decimal("-3.50"),
            GUID,
            dt.datetime(2026, 2, 3, 1, 2, 3, 500000),
            pytds.Binary(b"\x01"),
            True,
            "😀",
        )
        cursor.execute("SELECT %s, %s, %s, %s, %s, %s, %s, %s, %s, %s", given)
        assert tuple(cursor.fetchone()) == given
    assert [entry.sql for entry in server.log if "@P" in entry.sql]


def test_the_hook_reads_with_parameters_and_tests_its_connection(server):
    through = hook(server)
    assert through.get_first("SELECT Id FROM dbo.Everything WHERE c0 = %s", parameters=(str(GUID),)) == (1,)
    assert through.get_records(
        "SELECT Id FROM dbo.Everything WHERE Id >= %(low)s ORDER BY Id", parameters={"low": 2}
    ) == [(2,)]
    assert through.test_connection() == (True, "Connection successfully tested")
    through.run("SELECT 1", autocommit=True)


def test_pymssql_says_hello_the_way_it_does_to_sql_server(server):
    start = len(server.log)
    with connect(server, autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT @@TRANCOUNT")
        assert cursor.fetchall() == [(1,)]
        connection.commit()
    sent = [entry.sql for entry in server.log[start:]]
    assert sent[0].startswith("SET ARITHABORT ON;SET CONCAT_NULL_YIELDS_NULL ON;")
    assert sent[1] == "use [Plant]"
    assert [sql for sql in sent if "TRAN" in sql][:2] == ["BEGIN TRAN", "SELECT @@TRANCOUNT"]
    assert "COMMIT TRAN" in sent
    assert server.log[start].app_name.startswith("pymssql")


def test_what_is_rolled_back_was_never_there():
    with served() as server:
        for connection in (connect(server, WRITER, autocommit=False), connect_pytds(server, WRITER, autocommit=False)):
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO Runs (Run_GUID) VALUES (NEWID())")
                cursor.execute("SELECT COUNT(*) FROM Runs")
                assert cursor.fetchone()[0] == 1
                assert rows(server, "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; SELECT COUNT(*) FROM Runs") == [(0,)]
            connection.rollback()
            assert rows(server, "SELECT COUNT(*) FROM Runs") == [(0,)]
            connection.close()


def test_what_is_committed_stays():
    with served() as server:
        for connection in (connect(server, WRITER, autocommit=False), connect_pytds(server, WRITER, autocommit=False)):
            with connection.cursor() as cursor:
                cursor.execute("INSERT INTO Runs (Run_GUID) VALUES (NEWID())")
            connection.commit()
            connection.close()
        assert rows(server, "SELECT COUNT(*) FROM Runs") == [(2,)]


def test_a_wrong_password_is_18456(server):
    wrong = Login("sa", "wrong")
    number, words = refusal(server, wrong)
    assert number == 18456
    assert "Login failed for user 'sa'" in words
    with pytest.raises(pytds.Error, match="Login failed for user 'sa'"):
        connect_pytds(server, wrong)
    assert server.log[-1].error == 18456
    ok, why = hook(server, wrong).test_connection()
    assert not ok
    assert "18456" in why


def test_an_unknown_login_is_18456(server):
    assert refusal(server, Login("nobody", "x"))[0] == 18456


def test_an_unknown_database_cannot_be_opened(server):
    """The server says 4060 and 18456; FreeTDS shows the more severe one, python-tds both."""
    number, words = refusal(server, READER, "Elsewhere")
    assert number == 18456
    assert f"Login failed for user '{READER.name}'" in words
    with pytest.raises(pytds.Error, match='Cannot open database "Elsewhere"'):
        connect_pytds(server, READER, database="Elsewhere")
    assert error_number(lambda: rows(server, "USE [Elsewhere]")) == 911


def test_a_client_that_requires_encryption_is_refused_cleanly(server):
    with pytest.raises(pymssql.OperationalError):
        connect(server, encryption="require")
    assert connect(server, encryption="off").cursor() is not None
    assert rows(server, "SELECT 1") == [(1,)]


@pytest.mark.parametrize(
    "sql",
    [
        "INSERT INTO Runs (Run_GUID) VALUES (NEWID())",
        "UPDATE Runs SET Result = 1",
        "DELETE FROM Runs",
        "TRUNCATE TABLE Runs",
        "CREATE TABLE dbo.t (a int)",
        "CREATE INDEX i ON Runs (Result)",
        "ALTER TABLE Runs ADD a int",
        "DROP TABLE Runs",
        "EXEC sp_who",
        "SELECT * INTO copy FROM Runs",
        "GRANT SELECT ON Runs TO x",
        "WITH a AS (SELECT 1 AS b) INSERT INTO Runs (Result) SELECT b FROM a",
    ],
)
def test_the_read_only_login_gets_229_on_anything_but_select(server, sql):
    assert error_number(lambda: rows(server, sql)) == 229
    assert rows(server, "SELECT COUNT(*) FROM Runs") == [(0,)]


def test_a_called_procedure_is_unknown_and_for_a_reader_forbidden(server):
    for login, number in ((WRITER, 2812), (READER, 229)):
        with connect(server, login) as connection, connection.cursor() as cursor:
            assert error_number(lambda cursor=cursor: cursor.callproc("sp_something", (1,))) == number


def test_after_an_error_the_connection_goes_on(server):
    for connection in (connect(server), connect_pytds(server)):
        with connection, connection.cursor() as cursor:
            assert (
                error_number(lambda cursor=cursor: (cursor.execute("SELECT nosuch FROM Runs"), cursor.fetchall()))
                == 207
            )
            cursor.execute("SELECT 5")
            assert cursor.fetchone()[0] == 5


def test_connections_do_not_wait_for_one_another(server):
    together = threading.Barrier(6)
    found = []

    def one():
        with connect(server) as connection, connection.cursor() as cursor:
            together.wait(10)
            cursor.execute("SELECT @@SPID")
            found.append(cursor.fetchall()[0][0])
            together.wait(10)

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(set(found)) == 6


def test_the_clock_can_be_set_and_stands_where_the_server_stands():
    moment = dt.datetime(2026, 7, 1, 22, 30, 15, 123457, tzinfo=dt.UTC)
    with served(clock=lambda: moment, timezone="Europe/Oslo") as server:
        assert rows(server, "SELECT GETDATE(), GETUTCDATE(), SYSDATETIME(), SYSUTCDATETIME(), CURRENT_TIMESTAMP") == [
            (
                dt.datetime(2026, 7, 2, 0, 30, 15, 123000),
                dt.datetime(2026, 7, 1, 22, 30, 15, 123000),
                dt.datetime(2026, 7, 2, 0, 30, 15, 123457),
                dt.datetime(2026, 7, 1, 22, 30, 15, 123457),
                dt.datetime(2026, 7, 2, 0, 30, 15, 123000),
            )
        ]


def test_the_log_says_who_asked_what_and_what_became_of_it(server):
    rows(server, "SELECT Id FROM dbo.Everything")
    entry = server.log[-1]
    assert (entry.login, entry.sql, entry.rows, entry.error) == (
        "reader",
        "SELECT Id FROM dbo.Everything",
        2,
        None,
    )
    assert entry.duration_s > 0
    error_number(lambda: rows(server, "SELECT * FROM nosuch"))
    assert server.log[-1].error == 208


def test_latency_is_added_to_every_response(server):
    with connect(server) as connection, connection.cursor() as cursor:
        server.latency_s = 0.15
        try:
            cursor.execute("SELECT 1")
            cursor.fetchall()
        finally:
            server.latency_s = 0.0
    assert server.log[-1].duration_s >= 0.15


def test_a_stopped_server_is_gone_and_starts_again_on_its_port():
    with served() as server:
        port, connection = server.port, connect(server)
        server.stop()
        assert refusal(server, READER)[0] == 20009
        assert error_number(lambda: connection.cursor().execute("SELECT 1")) in {20002, 20004, 20006, 20017, 20047}
        server.start()
        assert server.port == port
        assert rows(server, "SELECT 1") == [(1,)]
