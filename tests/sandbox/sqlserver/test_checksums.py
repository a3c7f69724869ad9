"""BINARY_CHECKSUM and CHECKSUM_AGG notice what SQL Server's notice, and nothing more."""

from __future__ import annotations

import pytest

from tests.sandbox.sqlserver.clients import error_number, new_database, rows, served


@pytest.fixture(scope="module")
def server():
    with served(new_database()) as running:
        yield running


def checksum(server, columns: str) -> int:
    ((value,),) = rows(server, f"SELECT BINARY_CHECKSUM({columns})")
    return value


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("N'SN-1', 5", "N'SN-2', 5"),
        ("N'sn', 5", "N'SN', 5"),
        ("1.5e0", "1.5000000000000002e0"),
        ("N'a', N'b'", "N'b', N'a'"),
        ("NULL, 5", "N'', 5"),
        ("CONVERT(bigint, 5)", "CONVERT(bigint, 4294967301)"),
        ("CONVERT(nvarchar(4000), REPLICATE(N'x', 300) + N'a')", "CONVERT(nvarchar(4000), REPLICATE(N'x', 300) + N'b')"),
    ],
    ids=["text", "case", "float", "order", "null", "bigint", "end of a text"],
)  # fmt: skip
def test_a_changed_value_changes_the_checksum_of_its_row(server, before, after):
    assert checksum(server, before) == checksum(server, before) != checksum(server, after)


def test_of_a_max_text_the_first_255_characters_count(server):
    long = "CONVERT(nvarchar(MAX), REPLICATE(N'x', {}) + N'{}')"
    assert checksum(server, long.format(255, "a")) == checksum(server, long.format(255, "b"))
    assert checksum(server, long.format(254, "a")) != checksum(server, long.format(254, "b"))


def test_an_int_is_its_own_checksum(server):
    assert [checksum(server, number) for number in ("5", "-7")] == [5, -7]


@pytest.mark.parametrize(
    ("values", "expected"),
    [("(5), (3)", 6), ("(3), (5)", 6), ("(5), (5)", 0)],
    ids=["exclusive or", "any order", "equal rows cancel each other out"],
)
def test_the_checksum_of_rows_is_an_exclusive_or(server, values, expected):
    parts = " UNION ALL ".join(f"SELECT {value} AS [x]" for value in values.split(", "))
    assert rows(server, f"SELECT CHECKSUM_AGG([P].[x]) FROM ({parts}) AS [P]") == [(expected,)]


def test_an_exchange_between_two_rows_is_not_noticed(server):
    both = (
        "SELECT CHECKSUM_AGG(BINARY_CHECKSUM([P].[n], [P].[serial])) FROM "
        "(SELECT 1 AS [n], N'{}' AS [serial] UNION ALL SELECT 2, N'{}') AS [P]"
    )
    assert rows(server, both.format("SN-1", "SN-2")) == rows(server, both.format("SN-2", "SN-1"))
    assert rows(server, both.format("SN-1", "SN-2")) != rows(server, both.format("SN-1", "SN-3"))


@pytest.mark.parametrize(
    "sql", ["SELECT BINARY_CHECKSUM(*)", "SELECT CHECKSUM_AGG([P].[x]) FROM (SELECT 1.5 AS [x]) AS [P]"]
)
def test_what_is_not_emulated_is_an_error(server, sql):
    assert error_number(lambda: rows(server, sql)) == 40517
