"""What SQL Server's catalog knows: tables with the types they were declared with, their indexes and foreign keys."""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from sandbox.sqlserver.errors import SqlServerError, unknown_table
from sandbox.sqlserver.sql_types import SqlType

_FIRST_OBJECT_ID = 245_575_913


@dataclass(frozen=True)
class Column:
    name: str
    kind: SqlType
    nullable: bool = True
    identity: bool = False
    default: str | None = None


@dataclass(frozen=True)
class Index:
    """`columns` are (name, descending) in key order."""

    name: str
    columns: tuple[tuple[str, bool], ...]
    included: tuple[str, ...] = ()
    unique: bool = False
    primary: bool = False
    clustered: bool = False


@dataclass(frozen=True)
class ForeignKey:
    """`parent` is the key of the table referred to; columns and parent columns go in pairs."""

    name: str
    columns: tuple[str, ...]
    parent: str
    parent_columns: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    schema: str
    name: str
    columns: tuple[Column, ...]
    object_id: int
    created_local: str
    indexes: tuple[Index, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()

    def column(self, name: str) -> Column | None:
        return next((column for column in self.columns if column.name.lower() == name.lower()), None)

    @property
    def key(self) -> str:
        return f"{self.schema}.{self.name}".lower()

    @property
    def reference(self) -> str:
        """The table as DuckDB is asked for it."""
        return f"{quoted(self.schema)}.{quoted(self.name)}"


@dataclass(frozen=True)
class DatabaseFacts:
    """What sys.databases says about the one database."""

    name: str
    created_local: datetime
    compatibility_level: int = 110
    snapshot_isolation: bool = True
    read_committed_snapshot: bool = False


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@dataclass
class Catalog:
    """The declared tables by name, in any case. Thread-safe: readers see whole tables, old or new."""

    _tables: dict[str, Table] = field(default_factory=dict)
    _next_object_id: int = _FIRST_OBJECT_ID
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tables(self) -> tuple[Table, ...]:
        with self._lock:
            return tuple(self._tables.values())

    def find(self, name: str, schema: str = "dbo") -> Table | None:
        return self._tables.get(f"{schema}.{name}".lower())

    def find_key(self, key: str) -> Table | None:
        return self._tables.get(key)

    def table_of(self, key: ForeignKey) -> Table:
        """Return the table that a declared key refers to."""
        return self._tables[key.parent]

    def references_to(self, table: Table) -> list[tuple[Table, ForeignKey]]:
        """Return the keys that refer to the table, each with the table it belongs to."""
        return [(child, key) for child in self.tables() for key in child.foreign_keys if key.parent == table.key]

    def table(self, name: str, schema: str = "dbo") -> Table:
        found = self.find(name, schema)
        if found is None:
            raise unknown_table(name if schema == "dbo" else f"{schema}.{name}")
        return found

    def add(
        self, schema: str, name: str, columns: Sequence[Column], indexes: Sequence[Index], created_local: str
    ) -> Table:
        with self._lock:
            if f"{schema}.{name}".lower() in self._tables:
                raise SqlServerError(2714, f"There is already an object named '{name}' in the database.", state=6)
            names = [column.name.lower() for column in columns]
            for column in columns:
                if names.count(column.name.lower()) > 1:
                    raise SqlServerError(
                        2705,
                        f"Column names in each table must be unique. Column name '{column.name}' in table '{name}' is "
                        "specified more than once.",
                        state=3,
                    )
            table = Table(schema, name, tuple(columns), self._next_object_id, created_local, tuple(indexes))
            self._tables[table.key] = table
            self._next_object_id += 16_000_057
            return table

    def put(self, table: Table) -> None:
        with self._lock:
            self._tables[table.key] = table

    def drop(self, table: Table) -> None:
        with self._lock:
            del self._tables[table.key]

    def add_index(self, table: Table, index: Index) -> Table:
        for column, _ in index.columns:
            if table.column(column) is None:
                raise SqlServerError(
                    1911, f"Column name '{column}' does not exist in the target table or view.", state=1
                )
        if any(known.name.lower() == index.name.lower() for known in table.indexes):
            raise SqlServerError(
                1913,
                "The operation failed because an index or statistics with name "
                f"'{index.name}' already exists on table '{table.name}'.",
            )
        changed = replace(table, indexes=(*table.indexes, index))
        self.put(changed)
        return changed

    def add_foreign_key(self, table: Table, key: ForeignKey) -> Table:
        if any(known.name.lower() == key.name.lower() for other in self.tables() for known in other.foreign_keys):
            raise SqlServerError(2714, f"There is already an object named '{key.name}' in the database.", state=5)
        changed = replace(table, foreign_keys=(*table.foreign_keys, key))
        self.put(changed)
        return changed

    def dump(self) -> str:
        """Return the catalog as JSON, so that a database file keeps it."""
        return json.dumps([asdict(table) for table in self.tables()])

    def load(self, text: str) -> None:
        for entry in json.loads(text):
            table = Table(
                entry["schema"],
                entry["name"],
                tuple(Column(**{**column, "kind": SqlType(**column["kind"])}) for column in entry["columns"]),
                entry["object_id"],
                entry["created_local"],
                tuple(
                    Index(
                        **{
                            **index,
                            "columns": tuple((name, bool(descending)) for name, descending in index["columns"]),
                            "included": tuple(index["included"]),
                        }
                    )
                    for index in entry["indexes"]
                ),
                tuple(
                    ForeignKey(key["name"], tuple(key["columns"]), key["parent"], tuple(key["parent_columns"]))
                    for key in entry["foreign_keys"]
                ),
            )
            self._tables[table.key] = table
            self._next_object_id = max(self._next_object_id, table.object_id + 16_000_057)
