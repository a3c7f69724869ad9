"""How much the database grows per month, from the runs of each month and what a run takes now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vte_wats.config.settings import Settings
from vte_wats.survey.sample_findings import Closed
from vte_wats.survey.schema import DeployedTable, name_at_site

_GROWING = ("IndexData", "TestDataNumeric", "TestDataText", "TestDataOther")


class MonthGrowth(Closed):
    """What the runs of one month take: rows and bytes are the shares of these runs in what the tables hold now."""

    month: str
    runs: int
    rows: int
    size_bytes: int | None


def stored_runs_of(tables: Sequence[DeployedTable], settings: Settings) -> int | None:
    """Return how many runs there are by the server's own count, ``None`` where that is not visible."""
    name = name_at_site("IndexData", settings).casefold()
    return next((table.rows for table in tables if table.name.casefold() == name), None)


def growth_of(tables: Sequence[DeployedTable], month_runs: Mapping[str, int], settings: Settings) -> list[MonthGrowth]:
    """Return the growth of each month by the tables of runs and steps; nothing where one of them has no count."""
    by_name = {table.name.casefold(): table for table in tables}
    growing = [by_name.get(name_at_site(name, settings).casefold()) for name in _GROWING]
    counts = [table.rows if table else None for table in growing]
    runs_now = counts[0]
    if not runs_now or None in counts:
        return []
    sizes = [table.size_bytes if table else None for table in growing]
    rows_now = sum(count for count in counts if count is not None)
    size_now = None if None in sizes else sum(size for size in sizes if size is not None)
    return [
        MonthGrowth(
            month=month,
            runs=runs,
            rows=round(rows_now * runs / runs_now),
            size_bytes=None if size_now is None else round(size_now * runs / runs_now),
        )
        for month, runs in month_runs.items()
    ]
