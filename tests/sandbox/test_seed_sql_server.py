"""Filling a real SQL Server, as far as it shows without one: the T-SQL that is sent, and what it amounts to."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Self

import pyarrow as pa
import pytest
import sqlglot
from sqlglot import exp

from sandbox import seed_sql_server
from sandbox.factory_data.factory import FactoryData
from sandbox.seed_sql_server import SqlServerStore, batches, furnish, insert, literal, prepare
from sandbox.sqlserver.database import Database
from sandbox.sqlserver.server import Login, SqlServer
from sandbox.vte.vte_database import NAME, SCHEMA, open_database

END = datetime(2026, 3, 2, 12, tzinfo=UTC)


PASSWORD = "Aa1-secret"
SA = Login("sa", PASSWORD, can_write=True)


class Server:
    """A connection that keeps the T-SQL it is given and answers questions from a table."""

    def __init__(self, answers: dict[str, object] | None = None) -> None:
        self.sent: list[str] = []
        self._answers = answers or {}

    def cursor(self) -> Server:
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def execute(self, statement: str) -> None:
        self.sent.append(statement)

    def fetchone(self) -> tuple[object]:
        return (next(value for part, value in self._answers.items() if part in self.sent[-1]),)


def inserted(statements: list[str]) -> dict[str, int]:
    """Parse every INSERT as T-SQL and count the rows by table."""
    rows: dict[str, int] = {}
    for statement in statements:
        for parsed in sqlglot.parse(statement, read="tsql"):
            for found in parsed.find_all(exp.Insert) if parsed else ():
                table = found.this.this.name
                rows[table] = rows.get(table, 0) + len(found.expression.expressions)
                assert all(len(row.expressions) == len(found.this.expressions) for row in found.expression.expressions)
    return rows


@pytest.mark.parametrize(
    ("value", "text"),
    [
        pytest.param(None, "NULL", id="null"),
        pytest.param(True, "1", id="bit"),
        pytest.param(-7, "-7", id="int"),
        pytest.param(0.1, "0.1e0", id="float, never decimal"),
        pytest.param(9.9e37, "9.9e+37", id="overload"),
        pytest.param(b"\x00\xff", "0x00ff", id="bytes"),
        pytest.param(b"", "CAST('' AS varbinary(1))", id="no bytes"),
        pytest.param("O'Neil 測試 🙂", "N'O''Neil 測試 🙂'", id="text"),
        pytest.param(datetime(2026, 3, 2, 10, 0, 0, 3000), "'2026-03-02T10:00:00.003'", id="datetime with T"),
    ],
)
def test_literals_keep_every_value_whatever_the_language(value, text):
    assert literal(value) == text


def test_an_unknown_type_is_refused_by_name():
    with pytest.raises(TypeError, match="no T-SQL literal for complex"):
        literal(1j)


def test_a_large_table_goes_in_statements_of_a_thousand_rows():
    server = Server()
    SqlServerStore(server).insert_arrow("IndexData", pa.table({"Result": list(range(2_500))}))
    assert [len(re.findall(r"\(\d+\)", statement)) for statement in server.sent] == [1000, 1000, 500]


def test_rows_of_several_tables_are_one_transaction():
    server = Server()
    SqlServerStore(server).insert_rows(
        {"UutData": [{"Serial": "A"}], "IndexData": [{"Info1": "x"}, {"Info1": None, "Info2": "y"}]}
    )
    (batch,) = server.sent
    assert batch.startswith("SET XACT_ABORT ON;\nBEGIN TRANSACTION;")
    assert batch.endswith("COMMIT TRANSACTION;")
    assert inserted([batch]) == {"UutData": 1, "IndexData": 2}


def contents(server: SqlServer) -> dict[str, list[tuple[object, ...]]]:
    """Read every table the plant fills, over the wire; rows in an order of their content."""
    tables = ("Products", "UutData", "IndexData", "TestDataNumeric", "TestDataText", "TestDataOther")
    connection = seed_sql_server._connect(server.host, server.port, "sa", PASSWORD, "VTE9_3")
    with connection.cursor() as cursor:
        found = {}
        for table in tables:
            cursor.execute(f"SELECT * FROM [dbo].[{table}]")
            found[table] = sorted(cursor.fetchall(), key=repr)
    return found


def test_what_is_sent_over_the_wire_is_what_the_plant_made(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("MSSQL_SA_PASSWORD", PASSWORD)
    monkeypatch.setenv("VTE_ADAPTER_PASSWORD", "Aa1-it's")
    by_insert, directly = Database(name=NAME), open_database()
    ready, command = tmp_path / "ready", ["--runs", "10", "--oddities", "--ready-file", str(tmp_path / "ready")]
    with SqlServer(by_insert, [SA]) as seeded, SqlServer(directly, [SA]) as expected:
        seed_sql_server.main(["--host", seeded.host, "--port", str(seeded.port), *command], now_at=END)
        FactoryData(1).load(directly, start=END - timedelta(hours=2), end=END, runs=10, oddities=True)
        assert contents(seeded) == contents(expected)
        assert ready.exists()
        seed_sql_server.main(["--host", seeded.host, "--port", str(seeded.port), *command], now_at=END)
        assert contents(seeded) == contents(expected), "a second start writes no second history"
    assert "VTE9_3 holds runs already; none written" in capsys.readouterr().out


def test_batches_end_at_go_and_take_variables():
    text = "-- $(UNKNOWN)\nUSE [$(DB)];\nGO\nSELECT 'GO';\ngo\n\n"
    assert list(batches(text, {"DB": "VTE9_3"})) == ["USE [VTE9_3];", "SELECT 'GO';"]
    with pytest.raises(KeyError, match="DB"):
        list(batches(text, {}))


def test_an_empty_server_gets_database_tables_and_login():
    server = Server({"sys.databases": 0, "sys.tables": 0, "IndexData": 0})
    prepare(SqlServerStore(server), "VTE9_3")
    assert furnish(SqlServerStore(server), "VTE9_3", "it's") is True
    sent = "\n".join(server.sent)
    assert "CREATE DATABASE [VTE9_3]" in sent
    assert sent.count("CREATE TABLE") == SCHEMA.read_text(encoding="utf-8").count("CREATE TABLE") == 21
    assert "PASSWORD = N'it''s'" in sent


def test_a_furnished_server_keeps_what_it_has():
    server = Server({"sys.databases": 1, "sys.tables": 1, "IndexData": 5})
    prepare(SqlServerStore(server), "VTE9_3")
    assert furnish(SqlServerStore(server), "VTE9_3", "x") is False
    assert not any("CREATE TABLE" in statement or "CREATE DATABASE" in statement for statement in server.sent)


def test_a_missing_password_is_named(monkeypatch):
    monkeypatch.delenv("MSSQL_SA_PASSWORD", raising=False)
    with pytest.raises(SystemExit, match="MSSQL_SA_PASSWORD is not set"):
        seed_sql_server.main(["--host", "nowhere"])


def test_an_insert_names_its_columns():
    assert insert("Users", ("Name", "Active"), [("a", True)]) == (
        "INSERT INTO [dbo].[Users] ([Name], [Active]) VALUES\n(N'a', 1);"
    )
