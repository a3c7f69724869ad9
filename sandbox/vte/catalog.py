"""What SQL Server's catalog knows: tables with the types they were declared with, indexes, and the system views."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from sandbox.vte.errors import SqlServerError, unknown_table
from sandbox.vte.tsql_types import BIT, DATETIME, EXACT, INT, INTEGER, SMALLINT, TINYINT, SqlType, nvarchar

_FIRST_OBJECT_ID = 245_575_913
_SYSNAME = nvarchar(128)
_NULLABLE_TEXT = nvarchar(4000)


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
class Table:
    schema: str
    name: str
    columns: tuple[Column, ...]
    object_id: int
    created_local: str
    indexes: tuple[Index, ...] = ()

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
class View:
    """A system view: columns and the tuples that are in it right now."""

    columns: tuple[tuple[str, SqlType], ...]
    tuples: tuple[tuple[object, ...], ...]


@dataclass(frozen=True)
class DatabaseFacts:
    """What sys.databases tells about the one database."""

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

    def dump(self) -> str:
        """Return the catalog as JSON, so that a database file keeps it."""
        return json.dumps([asdict(table) for table in self.tables()])

    def load(self, text: str) -> None:
        for each in json.loads(text):
            table = Table(
                each["schema"],
                each["name"],
                tuple(Column(**{**column, "kind": SqlType(**column["kind"])}) for column in each["columns"]),
                each["object_id"],
                each["created_local"],
                tuple(
                    Index(
                        **{
                            **index,
                            "columns": tuple((name, bool(down)) for name, down in index["columns"]),
                            "included": tuple(index["included"]),
                        }
                    )
                    for index in each["indexes"]
                ),
            )
            self._tables[table.key] = table
            self._next_object_id = max(self._next_object_id, table.object_id + 16_000_057)

    def system_view(self, schema: str, name: str, database: DatabaseFacts) -> View | None:
        """Return the view, or None when this server has none of that name."""
        build = _VIEWS.get((schema.lower(), name.lower()))
        return build(self.tables(), database) if build else None


def _databases(_: Sequence[Table], database: DatabaseFacts) -> View:
    columns = (
        ("name", _SYSNAME),
        ("database_id", INT),
        ("create_date", DATETIME),
        ("compatibility_level", TINYINT),
        ("collation_name", _SYSNAME),
        ("user_access", TINYINT),
        ("is_read_only", BIT),
        ("state", TINYINT),
        ("state_desc", nvarchar(60)),
        ("snapshot_isolation_state", TINYINT),
        ("snapshot_isolation_state_desc", nvarchar(60)),
        ("is_read_committed_snapshot_on", BIT),
        ("recovery_model_desc", nvarchar(60)),
    )
    collation = "SQL_Latin1_General_CP1_CI_AS"

    def one(name: str, number: int, *, snapshot: bool, committed: bool) -> tuple[object, ...]:
        return (
            name,
            number,
            database.created_local,
            database.compatibility_level,
            collation,
            0,
            False,
            0,
            "ONLINE",
            int(snapshot),
            "ON" if snapshot else "OFF",
            committed,
            "SIMPLE",
        )

    own = one(database.name, 5, snapshot=database.snapshot_isolation, committed=database.read_committed_snapshot)
    return View(columns, (one("master", 1, snapshot=True, committed=False), own))


def _tables(tables: Sequence[Table], _: DatabaseFacts) -> View:
    columns = (
        ("name", _SYSNAME),
        ("object_id", INT),
        ("schema_id", INT),
        ("type", SqlType("char", 2)),
        ("type_desc", nvarchar(60)),
        ("create_date", DATETIME),
        ("modify_date", DATETIME),
        ("is_ms_shipped", BIT),
    )
    return View(
        columns,
        tuple(
            (
                table.name,
                table.object_id,
                1,
                "U",
                "USER_TABLE",
                datetime.fromisoformat(table.created_local),
                datetime.fromisoformat(table.created_local),
                False,
            )
            for table in tables
        ),
    )


def _schemas(_: Sequence[Table], __: DatabaseFacts) -> View:
    return View((("name", _SYSNAME), ("schema_id", INT), ("principal_id", INT)), (("dbo", 1, 1), ("sys", 4, 4)))


def _columns(tables: Sequence[Table], _: DatabaseFacts) -> View:
    columns = (
        ("object_id", INT),
        ("name", _SYSNAME),
        ("column_id", INT),
        ("system_type_id", TINYINT),
        ("user_type_id", INT),
        ("max_length", SMALLINT),
        ("precision", TINYINT),
        ("scale", TINYINT),
        ("is_nullable", BIT),
        ("is_identity", BIT),
        ("is_computed", BIT),
    )
    return View(
        columns,
        tuple(
            (
                table.object_id,
                column.name,
                number,
                column.kind.system_type_id,
                column.kind.system_type_id,
                column.kind.max_length,
                column.kind.precision or {"int": 10, "float": 53, "real": 24, "datetime": 23}.get(column.kind.name, 0),
                column.kind.scale if column.kind.name != "datetime" else 3,
                column.nullable,
                column.identity,
                False,
            )
            for table in tables
            for number, column in enumerate(table.columns, 1)
        ),
    )


def _types(_: Sequence[Table], __: DatabaseFacts) -> View:
    columns = (
        ("name", _SYSNAME),
        ("system_type_id", TINYINT),
        ("user_type_id", INT),
        ("schema_id", INT),
        ("is_user_defined", BIT),
    )
    names = [
        "uniqueidentifier",
        "date",
        "time",
        "datetime2",
        "datetimeoffset",
        "tinyint",
        "smallint",
        "int",
        "smalldatetime",
        "real",
        "money",
        "datetime",
        "float",
        "bit",
        "decimal",
        "numeric",
        "smallmoney",
        "bigint",
        "varbinary",
        "varchar",
        "binary",
        "char",
        "nvarchar",
        "nchar",
    ]
    return View(
        columns, tuple((name, number, number, 4, False) for name in names for number in [SqlType(name).system_type_id])
    )


def _numbered(table: Table) -> list[tuple[int, Index]]:
    """Give the indexes the numbers of SQL Server: 1 is the clustered one, the others follow from 2."""
    others = iter(range(2, 1000))
    return [(1 if index.clustered else next(others), index) for index in table.indexes]


def _indexes(tables: Sequence[Table], _: DatabaseFacts) -> View:
    columns = (
        ("object_id", INT),
        ("name", _SYSNAME),
        ("index_id", INT),
        ("type", TINYINT),
        ("type_desc", nvarchar(60)),
        ("is_unique", BIT),
        ("is_primary_key", BIT),
        ("is_unique_constraint", BIT),
        ("is_disabled", BIT),
        ("is_hypothetical", BIT),
        ("has_filter", BIT),
        ("filter_definition", _NULLABLE_TEXT),
    )
    found: list[tuple[object, ...]] = []
    for table in tables:
        if not any(index.clustered for index in table.indexes):
            heap = (table.object_id, None, 0, 0, "HEAP", False, False, False, False, False, False, None)
            found.append(heap)
        found += [
            (
                table.object_id,
                index.name,
                number,
                1 if index.clustered else 2,
                "CLUSTERED" if index.clustered else "NONCLUSTERED",
                index.unique,
                index.primary,
                False,
                False,
                False,
                False,
                None,
            )
            for number, index in _numbered(table)
        ]
    return View(columns, tuple(found))


def _index_columns(tables: Sequence[Table], _: DatabaseFacts) -> View:
    columns = (
        ("object_id", INT),
        ("index_id", INT),
        ("index_column_id", INT),
        ("column_id", INT),
        ("key_ordinal", TINYINT),
        ("is_descending_key", BIT),
        ("is_included_column", BIT),
    )
    found: list[tuple[object, ...]] = []
    for table in tables:
        numbers = {column.name.lower(): number for number, column in enumerate(table.columns, 1)}
        for number, index in _numbered(table):
            for ordinal, (name, descending) in enumerate(index.columns, 1):
                found.append((table.object_id, number, ordinal, numbers[name.lower()], ordinal, descending, False))
            for ordinal, name in enumerate(index.included, len(index.columns) + 1):
                found.append((table.object_id, number, ordinal, numbers[name.lower()], 0, False, True))
    return View(columns, tuple(found))


def _information_tables(tables: Sequence[Table], database: DatabaseFacts) -> View:
    columns = (
        ("TABLE_CATALOG", _SYSNAME),
        ("TABLE_SCHEMA", _SYSNAME),
        ("TABLE_NAME", _SYSNAME),
        ("TABLE_TYPE", SqlType("varchar", 10)),
    )
    return View(columns, tuple((database.name, table.schema, table.name, "BASE TABLE") for table in tables))


def _information_columns(tables: Sequence[Table], database: DatabaseFacts) -> View:
    columns = (
        ("TABLE_CATALOG", _SYSNAME),
        ("TABLE_SCHEMA", _SYSNAME),
        ("TABLE_NAME", _SYSNAME),
        ("COLUMN_NAME", _SYSNAME),
        ("ORDINAL_POSITION", INT),
        ("COLUMN_DEFAULT", _NULLABLE_TEXT),
        ("IS_NULLABLE", SqlType("varchar", 3)),
        ("DATA_TYPE", _SYSNAME),
        ("CHARACTER_MAXIMUM_LENGTH", INT),
        ("CHARACTER_OCTET_LENGTH", INT),
        ("NUMERIC_PRECISION", TINYINT),
        ("NUMERIC_SCALE", INT),
        ("DATETIME_PRECISION", SMALLINT),
        ("COLLATION_NAME", _SYSNAME),
    )
    found: list[tuple[object, ...]] = []
    for table in tables:
        for number, column in enumerate(table.columns, 1):
            kind = column.kind
            sized = kind.is_text or kind.name in {"varbinary", "binary"}
            precision = {"tinyint": 3, "smallint": 5, "int": 10, "bigint": 19, "real": 24, "float": 53}.get(kind.name)
            found.append(
                (
                    database.name,
                    table.schema,
                    table.name,
                    column.name,
                    number,
                    column.default,
                    "YES" if column.nullable else "NO",
                    kind.name,
                    kind.length if sized else None,
                    kind.max_length if sized else None,
                    kind.precision if kind.name in EXACT else precision,
                    kind.scale if kind.name in EXACT else 0 if kind.name in INTEGER else None,
                    {"datetime": 3, "datetime2": kind.scale, "time": kind.scale, "date": 0}.get(kind.name),
                    "SQL_Latin1_General_CP1_CI_AS" if kind.is_text else None,
                )
            )
    return View(columns, tuple(found))


_VIEWS: dict[tuple[str, str], Callable[[Sequence[Table], DatabaseFacts], View]] = {
    ("sys", "databases"): _databases,
    ("sys", "tables"): _tables,
    ("sys", "objects"): _tables,
    ("sys", "schemas"): _schemas,
    ("sys", "columns"): _columns,
    ("sys", "types"): _types,
    ("sys", "indexes"): _indexes,
    ("sys", "index_columns"): _index_columns,
    ("information_schema", "tables"): _information_tables,
    ("information_schema", "columns"): _information_columns,
}
