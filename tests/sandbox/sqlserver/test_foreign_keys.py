"""Foreign keys are enforced as SQL Server enforces them, however the rows come and go."""

import struct
import uuid

import pyarrow as pa
import pytest

from sandbox.sqlserver.database import Database
from sandbox.sqlserver.errors import SqlServerError
from tests.sandbox.sqlserver.clients import WRITER, RawClient, connect, error_number, new_database, rows, served

RUN, OTHER = (f"00000000-0000-0000-0000-00000000000{digit}" for digit in "12")
NOWHERE = "ffffffff-0000-0000-0000-000000000000"
NO_RUN = (
    'The {} statement conflicted with the FOREIGN KEY constraint "FK_Steps_Runs". The conflict occurred in database '
    '"Plant", table "dbo.Runs", column \'Run_GUID\'.'
)
HAS_STEPS = (
    'The {} statement conflicted with the REFERENCE constraint "FK_Steps_Runs". The conflict occurred in database '
    '"Plant", table "dbo.Steps", column \'Run_GUID\'.'
)


@pytest.fixture
def db():
    """Two runs, the first of which has two steps."""
    db = new_database()
    db.insert_rows(
        {
            "Runs": [{"Run_GUID": RUN}, {"Run_GUID": OTHER}],
            "Steps": [{"Run_GUID": RUN, "StepNumber": 1}, {"Run_GUID": RUN, "StepNumber": 2}],
        }
    )
    return db


def refusal(db: Database, sql: str) -> str:
    """Run T-SQL that must end with error 547 and change nothing; return its words."""
    before = contents(db)
    with pytest.raises(SqlServerError) as caught:
        db.run_script(sql)
    assert (caught.value.number, caught.value.severity, caught.value.state) == (547, 16, 0)
    assert contents(db) == before
    return caught.value.message


def contents(db: Database) -> list[list[tuple[object, ...]]]:
    return [sorted(db.query(f'SELECT * FROM "{table.name}"'), key=repr) for table in db.catalog.tables()]


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        (f"INSERT INTO Steps (Run_GUID) VALUES ('{NOWHERE}')", NO_RUN.format("INSERT")),
        (f"INSERT INTO Steps (Run_GUID) VALUES ('{RUN}'), ('{NOWHERE}')", NO_RUN.format("INSERT")),
        ("INSERT INTO Steps (Run_GUID) SELECT NEWID() FROM Runs", NO_RUN.format("INSERT")),
        (f"UPDATE Steps SET Run_GUID = '{NOWHERE}' WHERE StepNumber = 2", NO_RUN.format("UPDATE")),
        (f"DELETE FROM Runs WHERE Run_GUID = '{RUN}'", HAS_STEPS.format("DELETE")),
        ("DELETE FROM Runs", HAS_STEPS.format("DELETE")),
        (f"UPDATE Runs SET Run_GUID = '{NOWHERE}' WHERE Run_GUID = '{RUN}'", HAS_STEPS.format("UPDATE")),
    ],
    ids=["one row", "one of two rows", "rows of a query", "update", "parent", "parents", "key of the parent"],
)
def test_a_row_without_its_parent_is_refused_in_the_servers_words(db, sql, words):
    assert refusal(db, sql) == words


@pytest.mark.parametrize(
    "sql",
    [
        f"INSERT INTO Steps (Run_GUID) VALUES ('{RUN}'), ('{OTHER}')",
        f"UPDATE Steps SET Run_GUID = '{OTHER}'; DELETE FROM Runs WHERE Run_GUID = '{RUN}'",
        "UPDATE Steps SET StepNumber = 7; UPDATE Runs SET Result = 7",
        f"DELETE FROM Steps; DELETE FROM Runs; INSERT INTO Runs (Run_GUID) VALUES ('{NOWHERE}')",
        f"DELETE FROM Runs WHERE Run_GUID = '{OTHER}'",
        f"UPDATE Runs SET Run_GUID = '{NOWHERE}' WHERE Run_GUID = '{OTHER}'",
        f"BEGIN TRAN; INSERT INTO Runs (Run_GUID) VALUES ('{NOWHERE}') INSERT INTO Steps (Run_GUID) SELECT '{NOWHERE}'; COMMIT",
    ],
)
def test_a_change_that_leaves_every_row_with_its_parent_passes(db, sql):
    before = contents(db)
    db.run_script(sql)
    assert contents(db) != before


def test_a_key_that_is_null_refers_to_nothing():
    db = Database(name="Plant")
    db.run_script(
        "CREATE TABLE Parents (A int NOT NULL, B int NOT NULL, PRIMARY KEY (A, B))\n"
        "CREATE TABLE Children (Id int, A int NULL, B int NULL, "
        "CONSTRAINT FK_Pair FOREIGN KEY (B, A) REFERENCES Parents (B, A))\n"
        "INSERT INTO Parents VALUES (1, 2)\n"
        "INSERT INTO Children VALUES (1, 1, 2), (2, NULL, 2), (3, 9, NULL), (4, NULL, NULL)"
    )
    assert refusal(db, "INSERT INTO Children VALUES (5, 2, 1)") == (
        'The INSERT statement conflicted with the FOREIGN KEY constraint "FK_Pair". The conflict occurred in database '
        '"Plant", table "dbo.Parents".'
    )
    db.run_script(
        "INSERT INTO Children (Id) VALUES (6); UPDATE Children SET A = NULL WHERE Id = 1; DELETE FROM Parents"
    )


def test_a_table_may_refer_to_itself():
    db = Database(name="Plant")
    db.run_script("CREATE TABLE Parts (Id int PRIMARY KEY, Whole int CONSTRAINT FK_Whole REFERENCES Parts (Id))")
    db.run_script("INSERT INTO Parts VALUES (3, 2), (2, 1), (1, 1)")
    assert '"FK_Whole"' in refusal(db, "INSERT INTO Parts VALUES (4, 5)")
    assert "FOREIGN KEY SAME TABLE constraint" in refusal(db, "UPDATE Parts SET Whole = 8")
    assert "SAME TABLE REFERENCE constraint" in refusal(db, "DELETE FROM Parts WHERE Id = 2")
    db.run_script("DELETE FROM Parts WHERE Id IN (2, 3); DELETE FROM Parts")


def test_an_error_547_is_of_class_16_on_the_wire(db):
    with served(db) as server, RawClient(server, WRITER) as client:
        answer = client.batch(f"INSERT INTO Steps (Run_GUID) VALUES ('{NOWHERE}')")
    token, _, number, state, severity, _ = struct.unpack_from("<BHiBBH", answer)
    assert (token, number, state, severity) == (0xAA, 547, 0, 16)


def test_an_error_547_inside_a_transaction_rolls_it_back_and_the_connection_goes_on(db):
    with served(db) as server, connect(server, WRITER, autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("UPDATE Runs SET Result = 5")
        assert error_number(lambda: cursor.execute("DELETE FROM Runs")) == 547
        cursor.execute("SELECT @@TRANCOUNT, (SELECT COUNT(*) FROM Runs WHERE Result = 5)")
        assert cursor.fetchall() == [(0, 0)]
        assert rows(server, "SELECT COUNT(*) FROM Runs") == [(2,)]


def test_one_orphan_among_many_rows_keeps_a_bulk_load_out(db):
    before = contents(db)
    runs = [RUN, OTHER] * 5_000
    with pytest.raises(SqlServerError) as caught:
        db.insert_arrow("Steps", pa.table({"Run_GUID": [*runs, NOWHERE, *runs]}))
    assert (caught.value.number, caught.value.message) == (547, NO_RUN.format("INSERT"))
    assert contents(db) == before
    assert db.insert_arrow("Steps", pa.table({"Run_GUID": runs})) == 10_000


def test_rows_of_several_tables_go_in_parents_first(db):
    guid = uuid.uuid4()
    run, step = {"Runs": [{"Run_GUID": guid}]}, {"Steps": [{"Run_GUID": guid}]}
    before = contents(db)
    with pytest.raises(SqlServerError, match="FK_Steps_Runs"):
        db.insert_rows(step | run)
    assert contents(db) == before
    assert db.insert_rows(run | step) == 2


@pytest.mark.parametrize(
    "sql",
    [
        'DELETE FROM "Runs" WHERE "Run_GUID" = ?',
        f"""UPDATE "Runs" SET "Run_GUID" = '{NOWHERE}' WHERE "Run_GUID" = ?""",
        f"""INSERT INTO "Steps" ("Run_GUID", "StepName") VALUES ('{NOWHERE}', CAST(? AS VARCHAR))""",
    ],
)
def test_a_change_beside_the_wire_is_checked_too(db, sql):
    before = contents(db)
    with pytest.raises(SqlServerError, match="FK_Steps_Runs"):
        db.query(sql, [RUN])
    assert contents(db) == before


def test_a_key_is_checked_on_the_rows_that_are_there_when_it_is_added():
    db = Database(name="Plant")
    db.run_script("CREATE TABLE P (Id int PRIMARY KEY)\nCREATE TABLE C (P int)\nINSERT INTO C VALUES (1)")
    add = "ALTER TABLE C ADD CONSTRAINT FK_C_P FOREIGN KEY (P) REFERENCES P (Id)"
    assert refusal(db, add).startswith(
        'The ALTER TABLE statement conflicted with the FOREIGN KEY constraint "FK_C_P". The conflict occurred in'
    )
    db.run_script(f"INSERT INTO P VALUES (1)\n{add}")
    assert "FK_C_P" in refusal(db, "INSERT INTO C VALUES (2)")


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ("CREATE TABLE C (P int REFERENCES Nosuch (Id))", 1767),
        ("CREATE TABLE C (P int, FOREIGN KEY (Q) REFERENCES Parents (Id))", 1769),
        ("CREATE TABLE C (P int REFERENCES Parents (Nosuch))", 1770),
        ("CREATE TABLE C (P int REFERENCES Keyless)", 1773),
        ("CREATE TABLE C (P int REFERENCES Parents (Name))", 1776),
        ("CREATE TABLE C (P int CONSTRAINT FK_Children REFERENCES Parents (Id))", 2714),
        ("CREATE TABLE C (P int REFERENCES Parents (Id) ON DELETE CASCADE)", 40517),
        ("DROP TABLE Parents", 3726),
        ("TRUNCATE TABLE Parents", 4712),
        ("ALTER TABLE Parents DROP COLUMN Id", 5074),
        ("ALTER TABLE Children DROP COLUMN Parent", 5074),
    ],
)
def test_what_a_key_does_not_allow_is_refused_with_the_servers_number(sql, number):
    db = Database(name="Plant")
    db.run_script(
        "CREATE TABLE Parents (Id int PRIMARY KEY, Name int)\nCREATE TABLE Keyless (Id int)\n"
        "CREATE TABLE Children (Parent int CONSTRAINT FK_Children REFERENCES Parents)"
    )
    names = {table.name for table in db.catalog.tables()}
    with pytest.raises(SqlServerError) as caught:
        db.run_script(sql)
    assert caught.value.number == number
    assert {table.name for table in db.catalog.tables()} == names
    db.run_script("DROP TABLE Children; DROP TABLE Parents")


def test_a_file_keeps_its_keys(tmp_path):
    first = new_database(path=tmp_path / "plant.duckdb")
    first.close()
    again = Database(tmp_path / "plant.duckdb", "Plant")
    assert refusal(again, f"INSERT INTO Steps (Run_GUID) VALUES ('{NOWHERE}')") == NO_RUN.format("INSERT")


def test_the_system_views_list_the_keys_and_count_the_rows(db):
    with served(db) as server:
        keys = rows(
            server,
            "SELECT k.name, t.name, c.name, p.name, pc.name FROM sys.foreign_keys k "
            "JOIN sys.foreign_key_columns f ON f.constraint_object_id = k.object_id "
            "JOIN sys.tables t ON t.object_id = f.parent_object_id "
            "JOIN sys.columns c ON c.object_id = f.parent_object_id AND c.column_id = f.parent_column_id "
            "JOIN sys.tables p ON p.object_id = f.referenced_object_id "
            "JOIN sys.columns pc ON pc.object_id = f.referenced_object_id AND pc.column_id = f.referenced_column_id "
            "WHERE t.name = 'Steps' ORDER BY k.name, f.constraint_column_id",
        )
        counts = rows(
            server,
            "SELECT t.name, SUM(p.rows) FROM sys.tables t JOIN sys.partitions p ON p.object_id = t.object_id "
            "WHERE p.index_id IN (0, 1) AND t.name IN ('Runs', 'Steps') GROUP BY t.name ORDER BY t.name",
        )
        sizes = rows(
            server,
            "SELECT t.name, SUM(a.used_pages), COUNT(*) FROM sys.tables t JOIN sys.partitions p "
            "ON p.object_id = t.object_id JOIN sys.allocation_units a ON a.type = 1 AND a.container_id = p.hobt_id "
            "WHERE p.index_id IN (0, 1) AND t.name IN ('Runs', 'Steps') GROUP BY t.name ORDER BY t.name",
        )
    assert keys == [("FK_Steps_Runs", "Steps", "Run_GUID", "Runs", "Run_GUID")]
    assert counts == [("Runs", 2), ("Steps", 2)]
    assert sizes == [("Runs", 2, 1), ("Steps", 2, 1)]
