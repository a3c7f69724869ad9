"""The database behind the emulated SQL Server: filled in bulk, row by row or by a script; kept in a file if asked."""

import datetime as dt
import logging
import struct
import threading
import uuid

import pyarrow as pa
import pytest

from sandbox.sqlserver.database import Database
from sandbox.sqlserver.errors import SqlServerError
from tests.sandbox.sqlserver.clients import WRITER, RawClient, new_database, rows, served

NOON = dt.datetime(2026, 2, 3, 12)


@pytest.fixture
def db():
    return new_database()


def count(db, table="Runs") -> int:
    return db.query(f'SELECT count(*) FROM "{table}"')[0][0]


def test_arrow_goes_in_by_name_and_is_rounded_as_the_column_is(db):
    guid = uuid.uuid4()
    table = pa.table(
        {
            "timestamp": pa.array([NOON.replace(microsecond=1000), None], pa.timestamp("us")),
            "Run_GUID": [str(guid), str(uuid.uuid4())],
            "Duration": [1.1, None],
        }
    )
    assert db.insert_arrow("Runs", table) == 2
    assert db.query('SELECT "Timestamp", "Duration" = CAST(1.1 AS FLOAT) FROM "Runs" WHERE "Run_GUID" = ?', [guid]) == [
        (NOON, True)
    ]


def test_arrow_takes_guids_as_sixteen_bytes_too(db):
    guid = uuid.uuid4()
    db.insert_arrow("Runs", pa.table({"Run_GUID": pa.array([guid.bytes], pa.binary(16))}))
    assert db.query('SELECT "Run_GUID" FROM dbo."Runs"') == [(guid,)]


def test_one_bad_row_keeps_the_whole_table_out(db):
    guids = [str(uuid.uuid4()) for _ in range(3000)]
    with pytest.raises(SqlServerError, match="NULL into column 'Run_GUID'"):
        db.insert_arrow("Runs", pa.table({"Run_GUID": [*guids, None]}))
    with pytest.raises(SqlServerError, match="truncated"):
        db.insert_arrow("Runs", pa.table({"Run_GUID": guids[:2], "Product": ["x", "x" * 51]}))
    assert count(db) == 0


def test_rows_of_several_tables_go_in_together_or_not_at_all(db):
    guid = uuid.uuid4()
    good = {
        "Runs": [{"Run_GUID": guid, "Timestamp": NOON}],
        "Steps": [{"Run_GUID": guid}, {"Run_GUID": guid, "StepName": "Ω"}],
    }
    assert db.insert_rows(good) == 3
    with pytest.raises(SqlServerError, match="NULL into column 'Run_GUID'"):
        db.insert_rows({"Runs": [{"Run_GUID": uuid.uuid4()}], "Steps": [{"Run_GUID": None}]})
    assert (count(db), count(db, "Steps")) == (1, 2)


@pytest.mark.parametrize(("table", "number"), [("NoSuch", 208), ("Runs", 207)])
def test_unknown_names_are_refused_with_the_servers_numbers(db, table, number):
    for call in (
        lambda: db.insert_rows({table: [{"nosuch": 1}]}),
        lambda: db.insert_arrow(table, pa.table({"nosuch": [1]})),
    ):
        with pytest.raises(SqlServerError) as caught:
            call()
        assert caught.value.number == number


def test_many_threads_may_write_at_once(db):
    def write():
        for _ in range(10):
            db.insert_rows({"Runs": [{"Run_GUID": uuid.uuid4()}]})

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert count(db) == 40


def test_a_file_keeps_rows_and_declared_types(tmp_path):
    first = new_database(path=tmp_path / "plant.duckdb")
    first.insert_rows({"Runs": [{"Run_GUID": uuid.UUID(int=1), "Timestamp": NOON, "Duration": 1.5}]})
    first.close()
    again = Database(tmp_path / "plant.duckdb", "Plant")
    with served(again) as server:
        assert rows(server, "SELECT Run_GUID, [Timestamp], Duration FROM Runs") == [(uuid.UUID(int=1), NOON, 1.5)]
        assert rows(server, "SELECT DATA_TYPE FROM INFORMATION_SCHEMA.COLUMNS WHERE COLUMN_NAME = 'Duration'") == [
            ("real",)
        ]
        assert rows(server, "SELECT name FROM sys.indexes WHERE index_id = 2") == [("IX_Runs_Timestamp",)]


def test_a_script_may_have_everything_a_schema_needs():
    db = Database(name="Plant")
    db.run_script(
        """
        -- a comment; with 'a quote
        CREATE TABLE dbo.Users (
            [User_GUID] uniqueidentifier NOT NULL DEFAULT NEWID(),
            [Name] nvarchar(20) NOT NULL CONSTRAINT [DF_Name] DEFAULT (N'nobody'),
            [Level] tinyint NULL CHECK ([Level] < 9),
            CONSTRAINT [PK_Users] PRIMARY KEY CLUSTERED ([User_GUID] ASC),
            CONSTRAINT [UQ_Users] UNIQUE ([Name])
        )
        GO
        CREATE TABLE dbo.Registrations (Id int NOT NULL, User_GUID uniqueidentifier)
        ALTER TABLE dbo.Registrations ADD CONSTRAINT PK_R PRIMARY KEY (Id);
        ALTER TABLE dbo.Registrations WITH CHECK ADD CONSTRAINT FK_R FOREIGN KEY (User_GUID) REFERENCES dbo.Users (User_GUID)
        ALTER TABLE dbo.Registrations ADD Remark nvarchar(max) NULL
        CREATE UNIQUE INDEX IX_R ON dbo.Registrations (User_GUID, Id DESC)
        GO
        INSERT INTO dbo.Users (Level) VALUES (1), (DEFAULT)
        INSERT INTO dbo.Registrations VALUES (1, NULL, N'Ø')
        go
        IF NOT EXISTS (SELECT 1 FROM sys.tables WHERE name = 'Extra') CREATE TABLE dbo.Extra (a int)
        IF OBJECT_ID('dbo.Extra') IS NOT NULL DROP TABLE dbo.Extra
        GO
        """
    )
    assert db.query('SELECT "Name", "Level" FROM "Users" ORDER BY 2 NULLS LAST') == [("nobody", 1), ("nobody", None)]
    assert db.query('SELECT "Remark" FROM "Registrations"') == [("Ø",)]
    with served(db) as server:
        assert rows(
            server,
            "SELECT t.name, i.name, i.is_unique, i.is_primary_key FROM sys.indexes i JOIN sys.tables t ON t.object_id = i.object_id WHERE i.name IS NOT NULL ORDER BY 2",
        ) == [
            ("Registrations", "IX_R", True, False),
            ("Registrations", "PK_R", True, True),
            ("Users", "PK_Users", True, True),
            ("Users", "UQ_Users", True, False),
        ]


def test_logins_and_other_rights_of_a_script_are_accepted_without_effect_and_said_so(db, caplog):
    caplog.set_level(logging.INFO, "sandbox.sqlserver.tsql.execution")
    db.run_script(
        """
        IF SUSER_ID(N'viewer') IS NULL
            CREATE LOGIN [viewer] WITH PASSWORD = N'it''s secret; really';
        GO
        IF USER_ID(N'viewer') IS NULL CREATE USER [viewer] FOR LOGIN [viewer];
        GO
        ALTER USER [viewer] WITH LOGIN = [viewer];
        GRANT SELECT ON OBJECT::[dbo].[Runs] TO [viewer];
        DENY INSERT, UPDATE, DELETE ON SCHEMA::dbo TO [viewer];
        """
    )
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 4  # not GRANT SELECT
    assert all("without effect" in message for message in said)
    assert not any("secret" in message for message in said)


def test_a_script_that_says_what_is_not_emulated_stops_there(db):
    for text, word in (
        ("CREATE VIEW v AS SELECT 1 AS a", "CREATE VIEW"),
        ("CREATE TABLE t (a int IDENTITY(1,1))", "IDENTITY"),
        ("WAITFOR DELAY '1'", "WAITFOR"),
    ):
        with pytest.raises(SqlServerError, match=word):
            db.run_script(text)


def test_what_one_login_writes_another_reads(db):
    with served(db) as server:
        rows(server, "INSERT INTO Runs (Run_GUID, Product) VALUES (NEWID(), N'測試'); SELECT 1", login=WRITER)
        assert rows(server, "SELECT Product FROM Runs") == [("測試",)]
    assert db.query('SELECT "Product" FROM "Runs"') == [("測試",)]


@pytest.mark.parametrize(
    ("column", "dependent"),
    [
        ("Run_GUID", "object 'PK_Runs'"),
        ("timestamp", "index 'IX_Runs_Timestamp'"),
        ("Result", "index 'IX_Runs_Timestamp'"),
    ],
)
def test_a_column_of_an_index_stays_and_the_server_names_both_the_index_and_the_failure(db, column, dependent):
    with served(db) as server, RawClient(server, WRITER) as raw:
        answer = raw.batch(f"ALTER TABLE Runs DROP COLUMN [{column}]")
        assert rows(server, "SELECT COUNT(*) FROM sys.index_columns WHERE object_id = OBJECT_ID('Runs')") == [(3,)]
    failed = f"ALTER TABLE DROP COLUMN {column} failed because one or more objects access this column."
    texts = [f"The {dependent} is dependent on column '{column}'.", failed]
    assert [server.log[0].error, *(text.encode("utf-16-le") in answer for text in texts)] == [5074, True, True]
    assert struct.pack("<I", 4922) in answer


def test_a_column_that_nothing_depends_on_is_dropped(db):
    db.run_script("ALTER TABLE Runs DROP COLUMN Product")
    assert "Product" not in [column.name for column in db.catalog.find("Runs").columns]
