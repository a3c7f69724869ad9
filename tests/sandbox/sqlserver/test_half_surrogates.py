"""Texts that are no valid Unicode: the server holds and sends them, and FreeTDS does to them what it does."""

import pymssql
import pytest

from tests.sandbox.sqlserver.clients import WRITER, connect, connect_pytds, error_number, new_database, rows, served

BYTES = "CONVERT(varbinary(max), CONVERT(nvarchar(max), {}))"
HIGH, LOW = "\ud83d", "\ude00"


@pytest.fixture
def server():
    database = new_database()
    database.run_script("CREATE TABLE dbo.Texts (Id int NOT NULL, Short nvarchar(20) NULL, Long nvarchar(max) NULL)")
    with served(database) as running:
        running.database = database
        yield running


@pytest.mark.parametrize("text", ["fine 😀", f"cut {HIGH}", f"mid{HIGH}dle", f"low {LOW} one", "", None])
def test_the_bytes_of_a_text_arrive_as_they_were_written(server, text):
    server.database.insert_rows({"Texts": [{"Id": 1, "Short": text, "Long": text}]})
    units = None if text is None else text.encode("utf-16-le", "surrogatepass")
    size = None if units is None else len(units)
    sql = f"SELECT {BYTES.format('Short')}, {BYTES.format('Long')}, DATALENGTH(Short), DATALENGTH(Long) FROM Texts"
    assert rows(server, sql) == [(units, units, size, size)]
    with connect_pytds(server) as connection, connection.cursor() as cursor:
        cursor.execute(sql)
        assert cursor.fetchall() == [(units, units, size, size)]


def test_t_sql_writes_half_a_pair_and_joins_two_halves(server):
    with connect(server, WRITER) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO Texts (Id, Long) VALUES (1, N'cut ' + NCHAR(0xD83D))")
        cursor.execute("INSERT INTO Texts (Id, Long) VALUES (2, NCHAR(0xD83D) + NCHAR(0xDE00))")
    assert rows(server, f"SELECT {BYTES.format('Long')} FROM Texts ORDER BY Id") == [
        (f"cut {HIGH}".encode("utf-16-le", "surrogatepass"),),
        ("😀".encode("utf-16-le"),),
    ]


def test_freetds_cuts_replaces_or_loses_the_connection(server):
    server.database.insert_rows(
        {
            "Texts": [
                {"Id": 1, "Short": f"AB12{HIGH}"},
                {"Id": 2, "Short": f"A{HIGH}B"},
                {"Id": 3, "Long": f"cut {HIGH}"},
            ]
        }
    )
    assert rows(server, "SELECT Short FROM Texts WHERE Id < 3 ORDER BY Id") == [("AB12",), ("A?B",)]
    with pytest.raises(pymssql.OperationalError):
        rows(server, "SELECT Long FROM Texts WHERE Id = 3")


def test_what_is_not_emulated_of_a_texts_bytes_is_an_error_that_says_so(server):
    sql = f"SELECT CONVERT(varbinary(10), {BYTES.format('Long')}) FROM Texts"
    assert error_number(lambda: rows(server, sql)) == 40517
