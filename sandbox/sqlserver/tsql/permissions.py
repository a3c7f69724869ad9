"""What a login may select and see that is no member of db_datareader: what GRANT gave it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sandbox.sqlserver.tsql.catalog import Catalog, Index, Table

_SELECT_RIGHT = re.compile(
    r"(?P<verb>GRANT|REVOKE)\s+SELECT\s*(?:\((?P<columns>[^)]*)\))?\s*ON\s+(?:OBJECT::)?"
    r"\[?(?P<schema>\w+)\]?\.\[?(?P<table>\w+)\]?\s+(?:TO|FROM)\s+\[?(?P<user>\w+)\]?\s*;?\s*",
    re.IGNORECASE,
)

_VIEW_RIGHT = re.compile(
    r"(?P<verb>GRANT|REVOKE)\s+VIEW\s+DEFINITION\s+ON\s+SCHEMA::\[?\w+\]?\s+(?:TO|FROM)\s+\[?(?P<user>\w+)\]?\s*;?\s*",
    re.IGNORECASE,
)


@dataclass
class Granted:
    """What scripts gave to one user: the columns of each table by its key (``None``: all of them), and every name."""

    columns: dict[str, frozenset[str] | None] = field(default_factory=dict)
    view_definition: bool = False


@dataclass(frozen=True)
class Rights:
    """What one user may select and see.

    Documentation does not say whether a user who may select some columns of a table sees the names of the others:
    ``sees_whole_tables`` decides.
    """

    granted: Granted
    sees_whole_tables: bool = False

    def may_select_of(self, table: Table) -> bool:
        return table.key in self.granted.columns

    def denied(self, table: Table) -> frozenset[str]:
        """Return the columns that may not be selected, in lower case."""
        columns = self.granted.columns[table.key]
        return frozenset() if columns is None else frozenset(c.name.lower() for c in table.columns) - columns

    def visible(self, catalog: Catalog) -> Catalog:
        """Return the part of the catalog that system views show."""
        if self.granted.view_definition:
            return catalog
        tables = [table for table in catalog.tables() if self.may_select_of(table)]
        if not self.sees_whole_tables:
            tables = [_without(table, self.denied(table)) for table in tables]
        seen = {table.key: table for table in tables}
        return Catalog({key: _with_visible_references(table, seen) for key, table in seen.items()})


def apply_right(text: str, granted: dict[str, Granted]) -> bool:
    """Apply GRANT or REVOKE of SELECT on a table or of VIEW DEFINITION on a schema; return whether it is one.

    REVOKE of SELECT on the whole table takes the rights on its columns with it.
    """
    if (view := _VIEW_RIGHT.fullmatch(text.strip())) is not None:
        granted.setdefault(view["user"].lower(), Granted()).view_definition = view["verb"].upper() == "GRANT"
        return True
    found = _SELECT_RIGHT.fullmatch(text.strip())
    if found is None:
        return False
    of_user = granted.setdefault(found["user"].lower(), Granted()).columns
    key = f"{found['schema']}.{found['table']}".lower()
    columns = _names(found["columns"])
    had = of_user.get(key, frozenset())
    if found["verb"].upper() == "GRANT":
        of_user[key] = None if columns is None or had is None else had | columns
    elif columns is None:
        of_user.pop(key, None)
    elif had is not None:
        of_user[key] = had - columns
    return True


def _names(listed: str | None) -> frozenset[str] | None:
    return None if listed is None else frozenset(name.strip(" \t\r\n[]").lower() for name in listed.split(","))


def _without(table: Table, hidden: frozenset[str]) -> Table:
    columns = tuple(column for column in table.columns if column.name.lower() not in hidden)
    indexes = (_index_without(index, hidden) for index in table.indexes)
    return replace(table, columns=columns, indexes=tuple(index for index in indexes if index.columns))


def _index_without(index: Index, hidden: frozenset[str]) -> Index:
    return replace(
        index,
        columns=tuple(column for column in index.columns if column[0].lower() not in hidden),
        included=tuple(name for name in index.included if name.lower() not in hidden),
    )


def _with_visible_references(table: Table, seen: Mapping[str, Table]) -> Table:
    keys = tuple(
        key
        for key in table.foreign_keys
        if key.parent in seen
        and all(table.column(name) for name in key.columns)
        and all(seen[key.parent].column(name) for name in key.parent_columns)
    )
    return replace(table, foreign_keys=keys)
