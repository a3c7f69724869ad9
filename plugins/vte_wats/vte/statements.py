"""The T-SQL of ``include/sql/`` adapted to a site: names from the settings, selections with bound values.

The files are valid T-SQL for the documented schema. Every name that may differ between sites is written in brackets
(``[dbo].[IndexData]`` for a table, ``[IndexData].[Timestamp]`` for a column), so a site's names are put in by
replacing exactly those pairs. Each name is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from uuid import UUID

from vte_wats.config.settings import Settings, TableOverride
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.shipped import shipped_folder

SQL_FOLDER = shipped_folder("include") / "sql"

_COMMENT = re.compile(r"--[^\n]*\n")
_PAIR = re.compile(r"\[(\w+)\]\.\[(\w+)\]( AS \[\w+\])?")

Binds = dict[str, str | int]


@cache
def statement_text(name: str) -> str:
    """Return the statement of ``include/sql/<name>.sql`` without its comments."""
    return _COMMENT.sub("", (SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8")).strip()


def statement(name: str, settings: Settings, **conditions: str) -> str:
    """Return a statement with its conditions filled in and every name as this site has it."""
    text = statement_text(name)
    for placeholder, condition in conditions.items():
        text = text.replace(f"{{{placeholder}}}", condition)
    return _PAIR.sub(lambda pair: _site_name(pair, settings), text)


def in_ranges(ranges: Sequence[LocalRange]) -> tuple[str, Binds]:
    """Return the condition that Timestamp lies in one of the ranges, and its binds.

    The edges are ISO texts with ``T``, the one form every login language reads alike, cast to the column's type so
    that an index on it is still used. No ranges, no runs.
    """
    column = "[IndexData].[Timestamp]"
    binds: Binds = {}
    terms = []
    for n, time_range in enumerate(ranges):
        terms.append(f"({column} >= CAST(%(from_{n})s AS datetime) AND {column} < CAST(%(to_{n})s AS datetime))")
        binds |= {f"from_{n}": time_range.from_local.isoformat(), f"to_{n}": time_range.to_local.isoformat()}
    return (f"({' OR '.join(terms)})" if terms else "1 = 0"), binds


def among_guids(guids: Sequence[UUID]) -> tuple[str, Binds]:
    """Return the condition that Index_GUID is one of these, and its binds. At most 1,000 fit one statement."""
    binds: Binds = {f"guid_{n}": str(guid) for n, guid in enumerate(guids)}
    return f"[IndexData].[Index_GUID] IN ({', '.join(f'%({name})s' for name in binds)})", binds


def _site_name(pair: re.Match[str], settings: Settings) -> str:
    left, right, alias = pair[1], pair[2], pair[3] or ""
    if left == "dbo":
        table = settings.column_overrides.get(right, TableOverride()).table or right
        return f"{_quoted(settings.source_schema)}.{_quoted(table)}{alias}"
    columns = settings.column_overrides.get(left, TableOverride()).columns
    if right not in columns:
        return pair[0]
    site_column = columns[right]
    return ("NULL" if site_column is None else f"[{left}].{_quoted(site_column)}") + alias


def _quoted(name: str) -> str:
    return "[" + name.replace("]", "]]") + "]"
