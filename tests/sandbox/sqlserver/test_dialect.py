"""The T-SQL the emulated SQL Server understands, and the errors it answers the rest with."""

import datetime as dt
from decimal import Decimal
from uuid import UUID

import pytest

from tests.sandbox.sqlserver.clients import WRITER, connect, connect_pytds, error_number, new_database, rows, served

NOON = dt.datetime(2026, 2, 3, 12)
# In the order SQL Server sorts them: by the last group, then the fourth, and so on; bytes reversed in the first three.
GUIDS = [
    UUID("ffffffff-ffff-ffff-ffff-000000000001"),
    UUID("ffffffff-ffff-ff00-0001-000000000002"),
    UUID("00000000-0000-00ff-0001-000000000002"),
    UUID("00000001-0000-0000-0002-000000000002"),
    UUID("00000100-0001-0000-0002-000000000002"),
    UUID("00000000-0000-0000-0000-0000000000ff"),
]


@pytest.fixture(scope="module")
def server():
    db = new_database()
    db.insert_rows(
        {
            "Runs": [
                {
                    "Run_GUID": guid,
                    "Timestamp": NOON + dt.timedelta(milliseconds=250 * index),
                    "Result": index % 2,
                    "Duration": index / 2,
                    "Product": ["Psu", "PSU  ", "rf%_[x]", None, "Sensor", "psu"][index],
                }
                for index, guid in enumerate(GUIDS)
            ],
            "Steps": [
                {"Run_GUID": GUIDS[0], "StepNumber": step, "StepName": f"Step {step}", "Reading": step * 1.5}
                for step in range(1, 4)
            ],
        }
    )
    with served(db, timezone="Europe/Oslo", server_name="STATION\\MAIN") as running:
        yield running


CASES = {
    "bracketed names in any case": (
        "SELECT [Runs].[result] FROM [DBO].[runs] AS [Runs] WHERE [Runs].[Run_GUID] = 'FFFFFFFF-FFFF-FFFF-FFFF-000000000001'",
        [(0,)],
    ),
    "half-open range of datetime": (
        "SELECT COUNT(*) FROM Runs WHERE [Timestamp] >= CAST('2026-02-03T12:00:00' AS datetime) AND [Timestamp] < CAST('2026-02-03T12:00:01' AS datetime)",
        [(4,)],
    ),
    "group by the second": (
        "SELECT CONVERT(char(19), [Runs].[Timestamp], 126) AS s, COUNT_BIG(*) AS n FROM [dbo].[Runs] AS [Runs] GROUP BY CONVERT(char(19), [Runs].[Timestamp], 126) ORDER BY s",
        [("2026-02-03T12:00:00", 4), ("2026-02-03T12:00:01", 2)],
    ),
    "styles of datetime": (
        "SELECT CONVERT(varchar(23), T, 126), CONVERT(varchar(23), T, 121), CONVERT(varchar(33), T, 127), CONVERT(char(19), T, 120), CONVERT(varchar(8), T, 112), CONVERT(varchar(30), T) FROM (SELECT CAST('2026-02-03T09:05:06.123' AS datetime) AS T) AS q",
        [
            (
                "2026-02-03T09:05:06.123",
                "2026-02-03 09:05:06.123",
                "2026-02-03T09:05:06.123",
                "2026-02-03 09:05:06",
                "20260203",
                "Feb  3 2026  9:05AM",
            )
        ],
    ),
    "style 126 without milliseconds": (
        "SELECT CONVERT(varchar(23), CAST('2026-02-03T09:05:06' AS datetime), 126)",
        [("2026-02-03T09:05:06",)],
    ),
    "style 126 of datetime2": (
        "SELECT CONVERT(varchar(27), CAST('2026-02-03T09:05:06.123456' AS datetime2), 126)",
        [("2026-02-03T09:05:06.1234560",)],
    ),
    "rounding to 1/300 s": (
        "SELECT CAST('2026-02-03T00:00:00.001' AS datetime), CAST('2026-02-03T23:59:59.999' AS datetime), CAST('2026-02-03T00:00:00.005' AS datetime)",
        [(dt.datetime(2026, 2, 3), dt.datetime(2026, 2, 4), dt.datetime(2026, 2, 3, microsecond=7000))],
    ),
    "left joins": (
        "SELECT COUNT(*), COUNT(n.StepNumber) FROM Runs AS i LEFT JOIN Steps AS n ON i.Run_GUID = n.Run_GUID",
        [(8, 3)],
    ),
    "union with untyped nulls": (
        "SELECT 'n' AS k, CAST(n.Reading AS float) AS v, NULL AS t, CAST(NULL AS varbinary(max)) AS b FROM Steps AS n WHERE StepNumber = 2 UNION ALL SELECT 'text', NULL, CAST(N'x' AS nvarchar(max)), NULL ORDER BY k",
        [("n", 3.0, None, None), ("text", None, "x", None)],
    ),
    "uniqueidentifier order": ("SELECT Run_GUID FROM Runs ORDER BY Run_GUID", [(guid,) for guid in GUIDS]),
    "uniqueidentifier comparison": (
        f"SELECT COUNT(*) FROM Runs WHERE Run_GUID > '{GUIDS[0]}' AND Run_GUID <= '{GUIDS[3]}'",
        [(3,)],
    ),
    "uniqueidentifier min and max": ("SELECT MIN(Run_GUID), MAX(Run_GUID) FROM Runs", [(GUIDS[0], GUIDS[5])]),
    "guid list": (
        f"SELECT COUNT(*) FROM Runs WHERE Run_GUID IN ('{GUIDS[0]}', N'{GUIDS[1]}', '{UUID(int=7)}')",
        [(2,)],
    ),
    "text ignores case and trailing blanks": (
        "SELECT COUNT(*) FROM Runs WHERE Product = 'PSU ' OR Product IN ('SENSOR')",
        [(4,)],
    ),
    "binary collation does not": (
        "SELECT COUNT(*) FROM Runs WHERE Product COLLATE Latin1_General_BIN = 'psu'",
        [(1,)],
    ),
    "group by in any case": (
        "SELECT COUNT(*) FROM Runs WHERE Product LIKE 'psu' GROUP BY Product",
        [(2,)],
    ),
    "like with classes and escape": (
        "SELECT COUNT(*) FROM Runs WHERE Product LIKE '[q-t][ef]%' AND Product LIKE '%!%!_[[]x]' ESCAPE '!'",
        [(1,)],
    ),
    "null sorts first": ("SELECT TOP (1) Product FROM Runs ORDER BY Product", [(None,)]),
    "null sorts last downwards": ("SELECT TOP 1 Product FROM Runs ORDER BY Product DESC", [("Sensor",)]),
    "offset and fetch": (
        "SELECT Result, Duration FROM Runs ORDER BY Duration OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY",
        [(1, 0.5), (0, 1.0)],
    ),
    "cte with column names": (
        "WITH a (x, y) AS (SELECT Result, Duration FROM Runs), b AS (SELECT MAX(y) AS m FROM a) SELECT m, 1 AS one FROM b",
        [(2.5, 1)],
    ),
    "exists and not exists": (
        "SELECT COUNT(*) FROM Runs i WHERE EXISTS (SELECT 1 FROM Steps n WHERE n.Run_GUID = i.Run_GUID) AND NOT EXISTS (SELECT 1 FROM Steps n WHERE n.StepNumber > 99)",
        [(1,)],
    ),
    "in a subquery and a scalar one": (
        "SELECT (SELECT MAX(Reading) FROM Steps), COUNT(*) FROM Runs WHERE Run_GUID IN (SELECT Run_GUID FROM Steps)",
        [(4.5, 1)],
    ),
    "values as a table": ("SELECT v.b FROM (VALUES (1, N'x'), (2, NULL)) AS v(a, b) WHERE v.a = 2", [(None,)]),
    "arithmetic": (
        "SELECT 7 / 2, -7 / 2, 7 % 4, 7 / 2.0, 1 + 1.5, 1e0 / 4, 'a' + N'b'",
        [(3, -3, 3, Decimal("3.5"), Decimal("2.5"), 0.25, "ab")],
    ),
    "conversions": (
        "SELECT CAST('12' AS int), CAST(12.7 AS int), CAST(1.5 AS float), CAST(2 AS bit), CAST('abc' AS varchar(2)), CAST(1.256 AS decimal(9,2)), TRY_CAST('x' AS int), TRY_CONVERT(datetime, 'x')",
        [(12, 12, 1.5, True, "ab", Decimal("1.26"), None, None)],
    ),
    "null functions": (
        "SELECT ISNULL(NULL, 'x'), COALESCE(NULL, NULL, 3), NULLIF(2, 2), IIF(1 = 1, 'y', 'n'), CASE 2 WHEN 1 THEN 'a' WHEN 2 THEN 'b' END",
        [("x", 3, None, "y", "b")],
    ),
    "text functions": (
        "SELECT LEN(N'ab  '), UPPER('a'), LTRIM(RTRIM(' a ')), SUBSTRING('hello', 2, 3), LEFT('abc', 2), RIGHT('abc', 1), REPLACE('aXbx', 'x', '-'), CHARINDEX('L', 'hello'), CONCAT('a', NULL, 1), REPLICATE('ab', 2), DATALENGTH(N'😀a')",
        [(2, "A", "a", "ell", "ab", "c", "a-b-", 3, "a1", "abab", 6)],
    ),
    "date functions": (
        "SELECT DATEADD(minute, -5, T), DATEADD(ms, 2, T), DATEADD(month, 1, T), DATEDIFF(second, '2026-01-31T23:59:59', T), DATEDIFF(day, '2026-01-30T23:59:59', T), DATEDIFF_BIG(ms, '2026-01-31T00:00:00', T), DATEPART(hour, T), YEAR(T), MONTH(T) FROM (SELECT CAST('2026-02-01T00:00:00' AS datetime) AS T) AS q",
        [
            (
                dt.datetime(2026, 1, 31, 23, 55),
                dt.datetime(2026, 2, 1, microsecond=3000),
                dt.datetime(2026, 3, 1),
                1,
                2,
                86_400_000,
                0,
                2026,
                2,
            )
        ],
    ),
    "aggregates": (
        "SELECT COUNT(*), COUNT(Product), SUM(Result), AVG(Result), MIN(Duration), MAX([Timestamp]), AVG(Duration) FROM Runs",
        [(6, 5, 3, 0, 0.0, NOON + dt.timedelta(seconds=1, milliseconds=250), 1.25)],
    ),
    "having": ("SELECT Result FROM Runs GROUP BY Result HAVING MAX(Duration) > 2.2", [(1,)]),
    "window": (
        "SELECT n FROM (SELECT ROW_NUMBER() OVER (PARTITION BY Result ORDER BY Duration DESC) AS n FROM Runs) AS q WHERE n > 2",
        [(3,), (3,)],
    ),
    "distinct sorted by guid": ("SELECT DISTINCT Run_GUID FROM Steps ORDER BY Run_GUID", [(GUIDS[0],)]),
    "hints without effect": ("SELECT COUNT(*) FROM Runs WITH (NOLOCK) OPTION (RECOMPILE)", [(6,)]),
    "if and else": ("IF EXISTS (SELECT 1 FROM Runs) SELECT 'yes' ELSE SELECT 'no'", [("yes",)]),
    "if with blocks": ("IF @@TRANCOUNT > 3 BEGIN SELECT 1 SELECT 2 END ELSE BEGIN SELECT 'none' END", [("none",)]),
    "system functions": (
        "SELECT DB_NAME(), SERVERPROPERTY('MachineName'), SERVERPROPERTY('ServerName'), @@SERVERNAME, @@TRANCOUNT, SCHEMA_NAME(), SUSER_SNAME(), HAS_PERMS_BY_NAME(NULL, 'DATABASE', 'INSERT')",
        [("Plant", "STATION", "STATION\\MAIN", "STATION\\MAIN", 0, "dbo", "reader", 0)],
    ),
    "old enough": (
        "SELECT SERVERPROPERTY('ProductVersion'), CASE WHEN @@VERSION LIKE 'Microsoft SQL Server 2012%' THEN 1 END, SERVERPROPERTY('Edition')",
        [("11.0.7001.0", 1, "Express Edition (64-bit)")],
    ),
    "sys.databases": (
        "SELECT name, snapshot_isolation_state, is_read_committed_snapshot_on, compatibility_level FROM sys.databases WHERE name = DB_NAME() AND create_date < GETDATE()",
        [("Plant", 1, False, 110)],
    ),
    "schema of a table": (
        "SELECT COLUMN_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH, IS_NULLABLE FROM INFORMATION_SCHEMA.COLUMNS WHERE TABLE_SCHEMA = 'dbo' AND TABLE_NAME = 'Runs' ORDER BY ORDINAL_POSITION",
        [
            ("Run_GUID", "uniqueidentifier", None, "NO"),
            ("Timestamp", "datetime", None, "YES"),
            ("Result", "int", None, "YES"),
            ("Duration", "real", None, "YES"),
            ("Product", "nvarchar", 50, "YES"),
        ],
    ),
    "tables": (
        "SELECT TABLE_NAME FROM Plant.INFORMATION_SCHEMA.TABLES ORDER BY 1",
        [("Runs",), ("Steps",)],
    ),
    "types of columns": (
        "SELECT c.name, t.name, c.max_length FROM sys.tables AS o JOIN sys.columns AS c ON c.object_id = o.object_id JOIN sys.types AS t ON t.user_type_id = c.user_type_id WHERE o.name = 'Steps' ORDER BY c.column_id",
        [
            ("Run_GUID", "uniqueidentifier", 16),
            ("StepNumber", "int", 4),
            ("StepName", "nvarchar", 510),
            ("Reading", "float", 8),
        ],
    ),
    "an index on Timestamp": (
        "SELECT i.name, i.is_primary_key, ic.is_descending_key FROM sys.indexes AS i JOIN sys.index_columns AS ic ON ic.object_id = i.object_id AND ic.index_id = i.index_id JOIN sys.columns AS c ON c.object_id = ic.object_id AND c.column_id = ic.column_id WHERE i.object_id = OBJECT_ID(N'[dbo].[Runs]') AND c.name = N'Timestamp' AND ic.key_ordinal = 1",
        [("IX_Runs_Timestamp", False, True)],
    ),
    "no such object": ("SELECT OBJECT_ID('dbo.nosuch')", [(None,)]),
    "statements without semicolons": (
        "SET NOCOUNT ON SET DEADLOCK_PRIORITY LOW SET TRANSACTION ISOLATION LEVEL SNAPSHOT SELECT @@LOCK_TIMEOUT",
        [(-1,)],
    ),
    "comments": ("-- SELECT 1\n/* SELECT ' */ SELECT 2 -- the end", [(2,)]),
}


@pytest.mark.parametrize(("sql", "expected"), CASES.values(), ids=CASES)
def test_a_statement_means_what_it_means_to_sql_server(server, sql, expected):
    assert rows(server, sql) == expected


ERRORS = {
    "unknown table": ("SELECT 1 FROM nosuch", 208),
    "unknown schema": ("SELECT 1 FROM other.Runs", 208),
    "unknown column": ("SELECT nosuch FROM Runs", 207),
    "unknown alias": ("SELECT x.Result FROM Runs", 4104),
    "ambiguous column": (
        "SELECT Run_GUID FROM Runs i JOIN Steps n ON i.Run_GUID = n.Run_GUID",
        209,
    ),
    "misspelt keyword": ("SELEC * FROM Runs", 102),
    "missing condition": ("SELECT 1 FROM Runs WHERE", 102),
    "another dialect's limit": ("SELECT 1 FROM Runs LIMIT 1", 102),
    "another dialect's cast": ("SELECT 1::int", 102),
    "another dialect's joined text": ("SELECT 'a' || 'b'", 102),
    "open text": ("SELECT 'abc", 105),
    "not a condition": ("SELECT 1 FROM Runs WHERE Result", 4145),
    "column outside group by": ("SELECT Result, COUNT(*) FROM Runs", 8120),
    "text to int": ("SELECT CAST('x' AS int)", 245),
    "text column to int": ("SELECT CAST(Product AS int) FROM Runs", 245),
    "text to float": ("SELECT CAST('x' AS float)", 8114),
    "text column to float": ("SELECT CAST(Product AS float) FROM Runs", 8114),
    "text to datetime": ("SELECT CAST('soon' AS datetime)", 241),
    "seven decimals to datetime": ("SELECT CAST('2026-02-03T10:00:00.1234567' AS datetime)", 241),
    "a day that is none": ("SELECT CAST('2026-02-30T10:00:00' AS datetime)", 242),
    "text to guid": ("SELECT 1 FROM Runs WHERE Run_GUID = 'x'", 8169),
    "guid against int": ("SELECT 1 FROM Runs WHERE Run_GUID = 1", 206),
    "division by zero": ("SELECT 1 / Result FROM Runs", 8134),
    "overflow": ("SELECT SUM(CAST(2147483647 AS int)) FROM Runs", 8115),
    "order by in a subquery": ("SELECT a FROM (SELECT Result AS a FROM Runs ORDER BY Result) AS q", 1033),
    "branches of different width": ("SELECT 1 UNION ALL SELECT 1, 2", 205),
    "too many rows for a value": ("SELECT (SELECT Result FROM Runs)", 512),
    "unknown function": ("SELECT NOSUCH(1)", 195),
    "function of a later version": ("SELECT STRING_AGG(Product, ',') FROM Runs", 195),
    "unknown set option": ("SET BOGUS ON", 195),
    "unknown variable": ("SELECT @nosuch", 137),
    "another database": ("SELECT 1 FROM Other.dbo.t", 40515),
    "known to T-SQL, not to this server": ("SELECT 1 FROM Runs FOR JSON PATH", 40517),
    "an unknown type": ("SELECT CAST(1 AS nosuch)", 243),
}


@pytest.mark.parametrize(("sql", "number"), ERRORS.values(), ids=ERRORS)
def test_what_sql_server_refuses_is_refused_with_its_number(server, sql, number):
    assert error_number(lambda: rows(server, sql)) == number


def test_an_error_names_what_it_does_not_know(server):
    for sql, word in (
        ("SELECT FORMAT(1, 'x')", "FORMAT"),
        ("DECLARE @x int", "DECLARE"),
        ("SELECT a FROM Runs CROSS APPLY f(1)", "APPLY"),
    ):
        with connect(server, WRITER) as connection, connection.cursor() as cursor, pytest.raises(Exception, match=word):
            cursor.execute(sql)


def test_nothing_of_a_batch_runs_when_one_statement_has_a_syntax_error(server):
    with connect(server, WRITER) as connection, connection.cursor() as cursor:
        assert error_number(lambda: cursor.execute("DELETE FROM Steps; SELECT FROM WHERE")) == 102
    assert rows(server, "SELECT COUNT(*) FROM Steps") == [(3,)]


@pytest.mark.parametrize(
    ("written", "precision"),
    [
        ("CAST(1 AS decimal(9,2))", (9, 2)),
        ("CAST(1 AS decimal(38,10))", (38, 10)),
    ],
)
def test_decimals_keep_precision_and_scale(server, written, precision):
    with connect_pytds(server) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT {written} AS d")
        assert cursor.description[0][4:6] == precision


def test_changes_answer_with_their_row_count():
    with served() as server, connect(server, WRITER) as connection, connection.cursor() as cursor:
        cursor.execute("INSERT INTO Runs (Run_GUID, Result) VALUES (NEWID(), 1), (NEWID(), 2)")
        assert cursor.rowcount == 2
        cursor.execute("UPDATE Runs SET Result = 5, Product = N'x' WHERE Result = 1")
        assert cursor.rowcount == 1
        cursor.execute("SELECT @@ROWCOUNT")
        assert cursor.fetchall() == [(1,)]
        cursor.execute("INSERT INTO Runs (Run_GUID, Result) SELECT NEWID(), Result FROM Runs")
        cursor.execute("DELETE FROM Runs WHERE Result = 5")
        assert cursor.rowcount == 2
        cursor.execute("TRUNCATE TABLE Steps; SELECT COUNT(*) FROM Steps")
        assert cursor.fetchall() == [(0,)]


@pytest.mark.parametrize(
    ("sql", "number"),
    [
        ("INSERT INTO Runs (Result) VALUES (1)", 515),
        ("INSERT INTO Runs (Run_GUID, Product) VALUES (NEWID(), REPLICATE('x', 51))", 8152),
        ("INSERT INTO Runs (Run_GUID) VALUES (1, 2)", 213),
        ("UPDATE Runs SET nosuch = 1", 207),
        ("DROP TABLE nosuch", 3701),
        ("CREATE TABLE dbo.Runs (a int)", 2714),
        ("DROP TABLE IF EXISTS Runs", 102),
        ("INSERT INTO sys.tables (name) VALUES ('x')", 259),
        ("COMMIT TRAN", 3902),
        ("ROLLBACK TRAN", 3903),
    ],
)
def test_a_change_that_cannot_be_is_refused(server, sql, number):
    assert error_number(lambda: rows(server, sql, login=WRITER)) == number


def test_an_error_that_dooms_the_transaction_rolls_it_back(server):
    with connect(server, WRITER, autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM Steps")
        assert error_number(lambda: (cursor.execute("SELECT CAST(Product AS int) FROM Runs"), cursor.fetchall())) == 245
        cursor.execute("SELECT @@TRANCOUNT, (SELECT COUNT(*) FROM Steps)")
        assert cursor.fetchall() == [(0, 3)]


def test_snapshot_isolation_must_be_allowed():
    with served(new_database(snapshot_isolation=False, read_committed_snapshot=True)) as server:
        assert (
            error_number(lambda: rows(server, "SET TRANSACTION ISOLATION LEVEL SNAPSHOT; SELECT 1 FROM Runs")) == 3952
        )
        assert rows(
            server,
            "SELECT snapshot_isolation_state, is_read_committed_snapshot_on FROM sys.databases WHERE name = 'Plant'",
        ) == [(0, True)]
