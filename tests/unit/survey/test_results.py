"""The growth of the database by month."""

from __future__ import annotations

import pytest

from tests.unit.builders import a_settings
from vte_wats.survey.results import MonthGrowth, growth_of, stored_runs_of
from vte_wats.survey.schema import DeployedTable

MONTHS = {"2026-01": 100, "2026-02": 300}


def table(name: str, rows: int | None, size: int | None) -> DeployedTable:
    return DeployedTable(name=name, columns=(), rows=rows, data_bytes=size, index_bytes=None if size is None else 0)


def tables(runs: int | None = 1_000, size: int | None = 4_000, name: str = "IndexData") -> list[DeployedTable]:
    steps = [table(f"TestData{kind}", 5_000, 20_000) for kind in ("Numeric", "Text")]
    return [table(name, runs, size), *steps, table("TestDataOther", 0, 0), table("Audit", 10**9, 10**12)]


def test_a_month_takes_the_share_of_its_runs_in_the_tables_of_runs_and_steps():
    found = growth_of(tables(), MONTHS, a_settings())
    assert found == [
        MonthGrowth(month="2026-01", runs=100, rows=1_100, size_bytes=4_400),
        MonthGrowth(month="2026-02", runs=300, rows=3_300, size_bytes=13_200),
    ]


def test_runs_are_counted_by_the_server_where_that_is_visible():
    named = a_settings(column_overrides={"IndexData": {"table": "Runs"}})
    assert stored_runs_of(tables(), a_settings()) == 1_000
    assert stored_runs_of(tables(name="RUNS"), named) == 1_000
    assert stored_runs_of(tables(runs=None), a_settings()) is None
    assert stored_runs_of([], a_settings()) is None


def test_where_one_size_is_not_visible_there_are_rows_alone():
    assert [month.size_bytes for month in growth_of(tables(size=None), MONTHS, a_settings())] == [None, None]


@pytest.mark.parametrize("runs", [None, 0])
def test_without_counted_runs_there_is_no_growth(runs):
    assert growth_of(tables(runs), MONTHS, a_settings()) == []


def test_tables_go_by_their_names_at_the_site():
    named = a_settings(column_overrides={"IndexData": {"table": "Runs"}})
    assert growth_of(tables(name="RUNS"), MONTHS, named) == growth_of(tables(), MONTHS, a_settings())
