"""Foreign keys: a change runs, and its rows are checked before it is committed.

A check is one anti-join of the rows of the change against the table at the other end of the key, whatever their number;
only an UPDATE of columns that other tables refer to looks at all rows of those tables. A key of which a column is NULL
refers to nothing. Parents that another transaction has not committed yet do not count (SQL Server would wait for them).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from sandbox.sqlserver.errors import FOREIGN_KEY_CONFLICT, SqlServerError
from sandbox.sqlserver.tsql.catalog import Catalog, ForeignKey, Table, quoted
from sandbox.sqlserver.tsql.changes import Change

_CHANGED = "changed_rows"


@dataclass(frozen=True)
class ForeignKeyChecks:
    """The checks of one connection. Each raises error 547; whoever changed the rows must roll back then."""

    cursor: duckdb.DuckDBPyConnection
    catalog: Catalog
    database: str

    def run(self, change: Change, keep: Callable[[pa.Table], None] | None = None) -> int:
        """Run the change inside the cursor's transaction, check it, and return how many rows it changed.

        ``keep`` is given these rows.
        """
        own = _keys_to_check(change)
        referring = _references_to_check(change, self.catalog)
        deleted = change.statement == "DELETE"
        names = {name for key in own for name in key.columns}
        if deleted:
            names |= {name for _, key in referring for name in key.parent_columns}
        if not names and keep is None:
            count = int(self.cursor.execute(change.sql).fetchall()[0][0])
        else:
            listed = "*" if keep is not None else ", ".join(quoted(name) for name in sorted(names))
            rows = self.cursor.sql(f"{change.sql} RETURNING {listed}").to_arrow_table()
            self.cursor.register(_CHANGED, rows)
            count = int(rows.num_rows)
            if keep is not None:
                keep(rows)
        for key in own:
            self._check_parents(change.statement, _CHANGED, change.table, key)
        for child, key in referring:
            left = _left_behind(child, key, change.table) if deleted else _orphans(child.reference, key, change.table)
            if self._finds(left):
                raise _reference_conflict(change.statement, key, child, change.table, self.database)
        return count

    def verify(self, statement: str, table: Table, key: ForeignKey) -> None:
        """Check all rows of the table against one key, in the name of the statement."""
        self._check_parents(statement, table.reference, table, key)

    def verify_all(self, statement: str) -> None:
        """Check every row of the database against every key."""
        for table in self.catalog.tables():
            for key in table.foreign_keys:
                self.verify(statement, table, key)

    def _check_parents(self, statement: str, rows: str, table: Table, key: ForeignKey) -> None:
        parent = self.catalog.table_of(key)
        if self._finds(_orphans(rows, key, parent)):
            raise _conflict(statement, key, table, parent, self.database)

    def _finds(self, sql: str) -> bool:
        return bool(self.cursor.execute(f"{sql} LIMIT 1").fetchall())


def _keys_to_check(change: Change) -> list[ForeignKey]:
    if change.statement == "DELETE":
        return []
    keys = change.table.foreign_keys
    return [key for key in keys if change.statement == "INSERT" or _overlap(key.columns, change.columns)]


def _references_to_check(change: Change, catalog: Catalog) -> list[tuple[Table, ForeignKey]]:
    if change.statement == "INSERT":
        return []
    return [
        (child, key)
        for child, key in catalog.references_to(change.table)
        if change.statement == "DELETE" or _overlap(key.parent_columns, change.columns)
    ]


def _overlap(left: Sequence[str], right: Sequence[str]) -> bool:
    return not {name.lower() for name in left}.isdisjoint(name.lower() for name in right)


def _pairs(key: ForeignKey, child: str, parent: str) -> str:
    pairs = zip(key.columns, key.parent_columns, strict=True)
    return " AND ".join(
        f"{parent}.{quoted(parent_column)} = {child}.{quoted(column)}" for column, parent_column in pairs
    )


def _orphans(children: str, key: ForeignKey, parent: Table) -> str:
    """Return the query of those rows whose key is complete and has no parent."""
    complete = " AND ".join(f"c.{quoted(name)} IS NOT NULL" for name in key.columns)
    missing = f"NOT EXISTS (SELECT 1 FROM {parent.reference} AS p WHERE {_pairs(key, 'c', 'p')})"
    return f"SELECT 1 FROM {children} AS c WHERE {complete} AND {missing}"


def _left_behind(child: Table, key: ForeignKey, parent: Table) -> str:
    """Return the query of the children of deleted rows, unless a row with the same key is still there."""
    same = " AND ".join(f"p.{quoted(name)} = d.{quoted(name)}" for name in key.parent_columns)
    return (
        f"SELECT 1 FROM {child.reference} AS c JOIN {_CHANGED} AS d ON {_pairs(key, 'c', 'd')} "
        f"WHERE NOT EXISTS (SELECT 1 FROM {parent.reference} AS p WHERE {same})"
    )


def _conflict(statement: str, key: ForeignKey, child: Table, parent: Table, database: str) -> SqlServerError:
    kind = "FOREIGN KEY SAME TABLE" if child.key == parent.key else "FOREIGN KEY"
    return _error(statement, f'{kind} constraint "{key.name}"', database, _place(parent, key.parent_columns))


def _reference_conflict(statement: str, key: ForeignKey, child: Table, parent: Table, database: str) -> SqlServerError:
    kind = "SAME TABLE REFERENCE" if child.key == parent.key else "REFERENCE"
    return _error(statement, f'{kind} constraint "{key.name}"', database, _place(child, key.columns))


def _place(table: Table, columns: Sequence[str]) -> str:
    return f'table "{table.schema}.{table.name}"' + (f", column '{columns[0]}'" if len(columns) == 1 else "")


def _error(statement: str, constraint: str, database: str, place: str) -> SqlServerError:
    return SqlServerError(
        FOREIGN_KEY_CONFLICT,
        f"The {statement} statement conflicted with the {constraint}. The conflict occurred in database "
        f'"{database}", {place}.',
        state=0,
    )


def declared(table: Table, keys: Sequence[ForeignKey], catalog: Catalog) -> Iterator[ForeignKey]:
    """Complete and check the keys as they are declared for a table that exists; 1767, 1769, 1770, 1773 or 1776."""
    for key in keys:
        parent = catalog.find_key(key.parent)
        if parent is None:
            raise SqlServerError(1767, f"Foreign key '{key.name}' references invalid table '{key.parent}'.", state=0)
        candidates = [tuple(name.lower() for name, _ in index.columns) for index in parent.indexes if index.unique]
        primary = next((index for index in parent.indexes if index.primary), None)
        referred = key.parent_columns or (tuple(name for name, _ in primary.columns) if primary else ())
        if not referred:
            raise SqlServerError(
                1773,
                f"Foreign key '{key.name}' has implicit reference to object '{parent.name}' which does not have a "
                "primary key defined on it.",
                state=0,
            )
        own = _named(key, key.columns, table, 1769, "referencing")
        referred = _named(key, referred, parent, 1770, "referenced")
        if sorted(name.lower() for name in referred) not in [sorted(names) for names in candidates]:
            raise SqlServerError(
                1776,
                f"There are no primary or candidate keys in the referenced table '{parent.schema}.{parent.name}' that "
                f"match the referencing column list in the foreign key '{key.name}'.",
                state=0,
            )
        yield ForeignKey(key.name, own, parent.key, referred)


def _named(key: ForeignKey, names: Sequence[str], table: Table, number: int, side: str) -> tuple[str, ...]:
    """Return the names as the columns have them."""
    found = tuple(table.column(name) for name in names)
    for name, column in zip(names, found, strict=True):
        if column is None:
            raise SqlServerError(
                number, f"Foreign key '{key.name}' references invalid column '{name}' in {side} table '{table.name}'."
            )
    return tuple(column.name for column in found if column is not None)
