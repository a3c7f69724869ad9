"""What a login may select and see that is no member of db_datareader."""

import pytest

from sandbox.sqlserver.server import Login, SqlServer
from tests.sandbox.sqlserver.clients import connect, error_number, new_database, rows

LIMITED = Login("limited", "l1m", reads_all=False)
SEES_TABLES = Login("sees_tables", "s33", reads_all=False, sees_whole_tables=True)
GRANTS = """
GRANT SELECT ([Run_GUID], [Timestamp]) ON [dbo].[Runs] TO [{user}];
"""
COLUMNS = "SELECT TABLE_NAME, COLUMN_NAME FROM INFORMATION_SCHEMA.COLUMNS ORDER BY TABLE_NAME, ORDINAL_POSITION"


@pytest.fixture
def server():
    db = new_database()
    for login in (LIMITED, SEES_TABLES):
        db.run_script(GRANTS.format(user=login.name))
    with SqlServer(db, [LIMITED, SEES_TABLES]) as server:
        yield server


def number_of(server, sql, login=LIMITED):
    return error_number(lambda: rows(server, sql, login=login))


def test_granted_columns_are_read(server):
    assert rows(server, "SELECT r.[Run_GUID], r.[Timestamp] FROM [dbo].[Runs] AS r", login=LIMITED) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT [Product] FROM [dbo].[Runs]",
        "SELECT [Run_GUID] FROM [dbo].[Runs] WHERE [Result] = 1",
        "SELECT r.[Run_GUID] FROM [dbo].[Runs] AS r ORDER BY r.[Duration]",
        "SELECT * FROM [dbo].[Runs]",
        "SELECT x.[n] FROM (SELECT [Product] AS [n] FROM [dbo].[Runs]) AS x",
    ],
)
def test_a_column_that_was_not_granted_is_denied_wherever_it_stands(server, sql):
    assert number_of(server, sql) == 230


def test_a_table_that_was_not_granted_is_denied(server):
    assert number_of(server, "SELECT [Reading] FROM [dbo].[Steps]") == 229
    assert number_of(server, "SELECT [Nothing] FROM [dbo].[NoTable]") == 208


def test_names_are_seen_of_what_was_granted_or_of_its_whole_tables(server):
    assert rows(server, COLUMNS, login=LIMITED) == [("Runs", "Run_GUID"), ("Runs", "Timestamp")]
    of_tables = rows(server, COLUMNS, login=SEES_TABLES)
    assert len(of_tables) == 5
    assert {table for table, _ in of_tables} == {"Runs"}
    assert rows(server, "SELECT OBJECT_ID('dbo.Steps')", login=SEES_TABLES) == [(None,)]
    assert number_of(server, "SELECT [Product] FROM [dbo].[Runs]", SEES_TABLES) == 230


def test_keys_and_indexes_show_the_columns_that_are_seen(server):
    sql = (
        "SELECT i.name, c.name FROM sys.indexes AS i INNER JOIN sys.index_columns AS k "
        "ON i.object_id = k.object_id AND i.index_id = k.index_id INNER JOIN sys.columns AS c "
        "ON k.object_id = c.object_id AND k.column_id = c.column_id ORDER BY i.name, c.name"
    )
    assert rows(server, sql, login=LIMITED) == [("IX_Runs_Timestamp", "Timestamp"), ("PK_Runs", "Run_GUID")]
    assert ("IX_Runs_Timestamp", "Result") in rows(server, sql, login=SEES_TABLES)
    assert rows(server, "SELECT name FROM sys.foreign_keys", login=LIMITED) == []


def test_rights_are_added_and_taken(server):
    def run(text):
        server.database.run_script(text)

    select = "SELECT [Product] FROM [dbo].[Runs]"
    run("GRANT SELECT ([Product]) ON OBJECT::[dbo].[Runs] TO [limited]")
    assert rows(server, select, login=LIMITED) == []
    assert rows(server, "SELECT [Timestamp] FROM [dbo].[Runs]", login=LIMITED) == []
    run("REVOKE SELECT ([Product]) ON [dbo].[Runs] FROM [limited]")
    assert number_of(server, select) == 230
    run("GRANT SELECT ON [dbo].[Runs] TO [limited]")
    assert rows(server, "SELECT * FROM [dbo].[Runs]", login=LIMITED) == []
    run("REVOKE SELECT ON [dbo].[Runs] FROM [limited]")
    assert number_of(server, "SELECT [Timestamp] FROM [dbo].[Runs]") == 229


def test_with_view_definition_every_name_is_seen_and_no_more_is_read(server):
    may_see = "SELECT HAS_PERMS_BY_NAME('dbo', 'SCHEMA', 'VIEW DEFINITION')"
    assert rows(server, may_see, login=LIMITED) == [(0,)]
    server.database.run_script("GRANT VIEW DEFINITION ON SCHEMA::[dbo] TO [limited]")
    assert rows(server, may_see, login=LIMITED) == [(1,)]
    assert rows(server, "SELECT HAS_PERMS_BY_NAME('dbo', 'SCHEMA', 'SELECT')", login=LIMITED) == [(0,)]
    assert {table for table, _ in rows(server, COLUMNS, login=LIMITED)} == {"Runs", "Steps"}
    assert number_of(server, "SELECT [Product] FROM [dbo].[Runs]") == 230
    assert number_of(server, "SELECT [Reading] FROM [dbo].[Steps]") == 229
    server.database.run_script("REVOKE VIEW DEFINITION ON SCHEMA::[dbo] FROM [limited]")
    assert {table for table, _ in rows(server, COLUMNS, login=LIMITED)} == {"Runs"}


def test_a_right_counts_from_the_next_statement_of_a_connection_on(server):
    with connect(server, LIMITED) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT [Timestamp] FROM [dbo].[Runs]")
        assert cursor.fetchall() == []
        server.database.run_script("REVOKE SELECT ON [dbo].[Runs] FROM [limited]")
        assert error_number(lambda: cursor.execute("SELECT [Timestamp] FROM [dbo].[Runs]")) == 229
