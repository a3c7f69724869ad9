"""Row locks: what open transactions have changed, and whether a reader meets it.

The rows of a table are sought by the first index whose first column is compared (`showplan.py`); a reader then meets
those that would show in its answer. Where there is no such index it reads all of the table, and meets every lock in it.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from sqlglot import exp

_ESCALATION = 5_000  # row locks of one transaction in one table, which become a lock of the table


@dataclass
class Locked:
    """The rows of a table that open transactions hold: as they were and as they are, and where the former stand."""

    rows: list[pa.Table] = field(default_factory=list)
    row_ids: set[int] = field(default_factory=set)

    @property
    def whole_table(self) -> bool:
        """Whether there are so many that nobody passes over them."""
        return bool(sum(part.num_rows for part in self.rows) >= _ESCALATION)


class Locks:
    """The locks of a database, by transaction and table. Thread-safe."""

    def __init__(self) -> None:
        self._held: dict[object, dict[str, Locked]] = {}
        self._lock = threading.Lock()

    def hold(self, owner: object, table: str, rows: pa.Table, row_ids: Collection[int] = ()) -> None:
        with self._lock:
            locked = self._held.setdefault(owner, {}).setdefault(table, Locked())
            locked.rows.append(rows)
            locked.row_ids.update(row_ids)

    def release(self, owner: object) -> None:
        with self._lock:
            self._held.pop(owner, None)

    def of_others(self, owner: object) -> dict[str, Locked]:
        """Return what others hold, by table."""
        found: dict[str, Locked] = {}
        with self._lock:
            for tables in (held for holder, held in self._held.items() if holder is not owner):
                for table, locked in tables.items():
                    together = found.setdefault(table, Locked())
                    together.rows += locked.rows
                    together.row_ids |= locked.row_ids
        return found


@dataclass(frozen=True)
class Reading:
    """How a query reads tables while others hold rows of them.

    Tables with the hint READPAST are read without these rows. With ``doubled`` the rows that others hold are there once
    more in all other tables, under the names of these relations: an answer that differs from the one without meets one.
    """

    locked: Mapping[str, Locked] = field(default_factory=dict)
    doubled: Mapping[str, str] = field(default_factory=dict)

    def source(self, table: str, reference: str, node: exp.Table) -> str:
        """Return what stands for the table in FROM."""
        locked = self.locked.get(table)
        if locked is None:
            return reference
        if passes_over(node):
            listed = ", ".join(map(str, sorted(locked.row_ids))) or "NULL"
            return f"(SELECT * FROM {reference} WHERE (rowid IN ({listed})) IS NOT TRUE)"
        if table in self.doubled and "NOLOCK" not in hints(node):
            return f"(SELECT * FROM {reference} UNION ALL BY NAME SELECT * FROM {self.doubled[table]})"
        return reference


def hints(node: exp.Table) -> frozenset[str]:
    """Return the table hints in upper case."""
    given = (hint for clause in node.args.get("hints") or [] for hint in clause.expressions)
    return frozenset(hint.name.upper() for hint in given)


def passes_over(node: exp.Table) -> bool:
    return "READPAST" in hints(node)


def reading_past(node: exp.Expr) -> Iterator[exp.Table]:
    """Yield the tables of a query with the hint READPAST."""
    return (table for table in node.find_all(exp.Table) if passes_over(table))


def relations(locked: Mapping[str, Locked]) -> dict[str, tuple[str, Any]]:
    """Return the name of a relation for each table, and its rows."""
    return {table: (f"locked_rows_{n}", pa.concat_tables(lock.rows)) for n, (table, lock) in enumerate(locked.items())}
