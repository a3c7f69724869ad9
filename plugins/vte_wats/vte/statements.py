"""The T-SQL of ``include/sql/`` adapted to a site: names from the settings, selections with bound values.

The files are valid T-SQL for the documented schema. Every name that may differ between sites is written in brackets
(``[dbo].[IndexData]`` for a table, ``[IndexData].[Timestamp]`` for a column), so a site's names are put in by
replacing exactly those pairs. Each name is quoted. A column of text is converted to its UTF-16 units, for FreeTDS cuts
or alters what is no valid text; at a site where the column holds something else, the conversion is taken out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from uuid import UUID

from vte_wats.config.settings import Settings, TableOverride, quoted_name
from vte_wats.intervals.wall_clock import FIRST, LAST, LocalRange
from vte_wats.package_folders import package_folder

SQL_FOLDER = package_folder("include") / "sql"

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_COMMENT = re.compile(r"--[^\n]*\n")
_PAIR = re.compile(r"\[(\w+)\]\.\[(\w+)\]( AS \[\w+\])?")

_UTF16_UNITS = re.compile(
    r"CONVERT\(varbinary\(MAX\), CONVERT\(nvarchar\((?:MAX|4000)\), (\[(\w+)\]\.\[(\w+)\])\)\) AS \[(\w+)\]"
)

_HEADERS = "[dbo].[IndexData] AS [IndexData]"
_TIMESTAMP = "[IndexData].[Timestamp]"

WITHOUT_GUID = "[IndexData].[Index_GUID] IS NULL"
EVERY_RUN = "1 = 1"

Binds = dict[str, str | int]

_NAMED = "guid_"


@cache
def statement_text(name: str) -> str:
    """Return the statement of ``include/sql/<name>.sql`` without its comments."""
    return _COMMENT.sub("", (SQL_FOLDER / f"{name}.sql").read_text(encoding="utf-8")).strip()


@cache
def text_columns(name: str) -> Mapping[str, frozenset[str]]:
    """Return the columns of a result that are converted texts, each with the documented columns it comes from."""
    text = statement_text(name)
    return {
        alias: frozenset(
            f"{table}.{column}" for table, column in re.findall(rf"\[(\w+)\]\.\[(\w+)\] AS \[{alias}\]", text)
        )
        or frozenset({f"{left}.{right}"})
        for _, left, right, alias in _UTF16_UNITS.findall(text)
    }


def statement(
    name: str, settings: Settings, *, as_they_are: Collection[str] = (), past_locks: bool = False, **conditions: str
) -> str:
    """Return a statement with its conditions filled in and every name as this site has it.

    The columns ``as_they_are`` are not converted to UTF-16 units. With ``past_locks`` runs whose header is locked are
    not there; no other table is read so, for a run without a part of its steps looks like a whole one.
    """
    text = _UTF16_UNITS.sub(
        lambda found: f"{found[1]} AS [{found[4]}]" if found[4] in as_they_are else found[0], statement_text(name)
    )
    if past_locks:
        text = text.replace(_HEADERS, f"{_HEADERS} WITH (READPAST)")
    text = _PLACEHOLDER.sub(lambda found: conditions.get(found[1], found[0]), text)  # once: a name may look like one
    return _PAIR.sub(lambda pair: _site_name(pair, settings), text)


def in_ranges(ranges: Sequence[LocalRange]) -> tuple[str, Binds]:
    """Return the condition that Timestamp lies in one of the ranges, and its binds.

    The edges are ISO texts with ``T``, the one form every login language reads alike, cast to the column's type so
    that an index on it is still used. A range without beginning or end has no edge there. No ranges, no runs.
    """
    binds: Binds = {}
    terms = []
    for n, time_range in enumerate(ranges):
        edges = []
        if time_range.from_local != FIRST:
            edges.append(f"{_TIMESTAMP} >= CAST(%(from_{n})s AS datetime)")
            binds[f"from_{n}"] = time_range.from_local.isoformat()
        if time_range.to_local != LAST:
            edges.append(f"{_TIMESTAMP} < CAST(%(to_{n})s AS datetime)")
            binds[f"to_{n}"] = time_range.to_local.isoformat()
        terms.append(f"({' AND '.join(edges) or f'{_TIMESTAMP} IS NOT NULL'})")
    return (f"({' OR '.join(terms)})" if terms else "1 = 0"), binds


def or_without_time(condition: str) -> str:
    """Return a condition that also selects the runs without a Timestamp."""
    return f"({condition} OR {_TIMESTAMP} IS NULL)"


def among_guids(guids: Sequence[UUID]) -> tuple[str, Binds]:
    """Return the condition that Index_GUID is one of these, and its binds. At most 1,000 fit one statement."""
    binds: Binds = {f"{_NAMED}{n}": str(guid) for n, guid in enumerate(guids)}
    return f"[IndexData].[Index_GUID] IN ({', '.join(f'%({name})s' for name in binds)})", binds


def names_runs(binds: Binds) -> bool:
    """Return whether a statement finds runs by their keys, as with :func:`among_guids`, and says no time."""
    return any(name.startswith(_NAMED) for name in binds)


def except_guids(guids: Sequence[UUID]) -> tuple[str, Binds]:
    """Return what to add to a condition so that these runs are left out, and its binds; nothing for none."""
    if not guids:
        return "", {}
    binds: Binds = {f"without_{n}": str(guid) for n, guid in enumerate(guids)}
    return f" AND [IndexData].[Index_GUID] NOT IN ({', '.join(f'%({name})s' for name in binds)})", binds


def _site_name(pair: re.Match[str], settings: Settings) -> str:
    left, right, alias = pair[1], pair[2], pair[3] or ""
    if left == "dbo":
        table = settings.column_overrides.get(right, TableOverride()).table or right
        return f"{quoted_name(settings.source_schema)}.{quoted_name(table)}{alias}"
    columns = settings.column_overrides.get(left, TableOverride()).columns
    if right not in columns:
        return pair[0]
    site_column = columns[right]
    return ("NULL" if site_column is None else f"[{left}].{quoted_name(site_column)}") + alias
