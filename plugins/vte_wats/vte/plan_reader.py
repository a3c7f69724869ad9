"""Which statements a survey asks the server's plans of, and the form in which a plan comes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from vte_wats.config.settings import Settings
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.vte.rows import CHANGES, IDENTITY_AND_RUN_COUNTS, RUN_SIZES, RUN_TIMES, RUNS, STATION_TIMES, STEPS, Select
from vte_wats.vte.statements import Binds, among_guids, in_ranges

_BY_TIME: tuple[Select[Any], ...] = (IDENTITY_AND_RUN_COUNTS, RUN_TIMES, CHANGES, STATION_TIMES)
_OF_A_SLICE: tuple[Select[Any], ...] = (RUN_SIZES, RUNS, STEPS)
_GUIDS = tuple(UUID(int=n) for n in range(1, 101))  # of no run; what is read is looked up by GUID all the same


@dataclass(frozen=True, slots=True)
class PlannedStatement:
    """A statement as a sync would send it; ``title`` names it and what it selects by."""

    title: str
    select: Select[Any]
    binds: Binds
    conditions: dict[str, str]


def statements_of_a_sync(ranges: Sequence[LocalRange], settings: Settings) -> Iterator[PlannedStatement]:
    """Yield every statement of a sync in the order in which it sends them, those of a slice by time and by GUID."""
    condition, binds = in_ranges(ranges)
    binds["schema_name"] = settings.source_schema  # a bind that a statement does not name is left out
    for select in _BY_TIME:
        yield PlannedStatement(select.name, select, binds, {"ranges": condition})
    for by, (selection, its_binds) in {"time": (condition, binds), "GUID": among_guids(_GUIDS)}.items():
        for select in _OF_A_SLICE:
            yield PlannedStatement(f"{select.name} by {by}", select, its_binds, {"selection": selection})


def plan_text(rows: Sequence[Sequence[Any]]) -> str:
    """Return the plan in the one row of an answer; empty where there is none. XML may come as bytes of UTF-16."""
    value = rows[0][0] if len(rows) == 1 and rows[0] else None
    if isinstance(value, bytes):
        return value.decode("utf-16-le" if value[1:2] == b"\0" else "utf-8", "replace")
    return value if isinstance(value, str) else ""
