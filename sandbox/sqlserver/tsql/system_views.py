"""The system views: sys.*, INFORMATION_SCHEMA.* and the session's own line of sys.dm_exec_sessions, as they are now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from sandbox.sqlserver.sql_types import (
    BIGINT,
    BIT,
    DATETIME,
    EXACT,
    INT,
    INTEGER,
    SMALLINT,
    SYSTEM_TYPE_IDS,
    TINYINT,
    SqlType,
    nvarchar,
)
from sandbox.sqlserver.tsql import tsql_datetimes
from sandbox.sqlserver.tsql.catalog import Catalog, DatabaseFacts, ForeignKey, Index, Table, quoted
from sandbox.sqlserver.tsql.conversions import quote
from sandbox.sqlserver.tsql.scope import SessionFacts

_SYSNAME = nvarchar(128)
_PAGE_BYTES = 8_096  # of 8 KB, what rows have
_ROW_BYTES = 9  # of each row beside its columns
_LONG_BYTES = 64  # a guess at what a text or binary takes, where its type allows more
_NULLABLE_TEXT = nvarchar(4000)


@dataclass(frozen=True)
class _RowsOf:
    """A cell that holds how many rows a table has at the moment of the query."""

    table: Table


@dataclass(frozen=True)
class _PagesOf:
    """A cell that holds about how many pages of 8 KB the rows of a table take, at so many bytes each."""

    table: Table
    row_bytes: int


@dataclass(frozen=True)
class View:
    """A system view: columns and the tuples that are in it right now."""

    columns: tuple[tuple[str, SqlType], ...]
    tuples: tuple[tuple[object, ...], ...]


def system_view(schema: str, name: str, catalog: Catalog, database: DatabaseFacts, facts: SessionFacts) -> View | None:
    """Return the view, or None when this server has none of that name."""
    if (schema.lower(), name.lower()) == ("sys", "dm_exec_sessions"):
        return _own_session(facts)
    build = _VIEWS.get((schema.lower(), name.lower()))
    return build(catalog.tables(), database) if build else None


def view_sql(view: View) -> str:
    """Return the view's content as a query; it is small and always as the catalog is now."""
    names = [name for name, _ in view.columns]
    typed = ", ".join(f"CAST(v.{quoted(name)} AS {kind.storage}) AS {quoted(name)}" for name, kind in view.columns)
    rows = view.tuples or ((None,) * len(names),)
    body = ", ".join("(" + ", ".join(_literal(cell) for cell in row) + ")" for row in rows)
    nothing = "" if view.tuples else " WHERE false"
    return f"SELECT {typed} FROM (VALUES {body}) AS v({', '.join(quoted(name) for name in names)}){nothing}"


def _literal(cell: object) -> str:
    if cell is None:
        return "NULL"
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, int):
        return str(cell)
    if isinstance(cell, str):
        return quote(cell)
    if isinstance(cell, _RowsOf):
        return f"(SELECT count(*) FROM {cell.table.reference})"
    if isinstance(cell, _PagesOf):
        pages = f"CAST(ceil(count(*) * {cell.row_bytes} / {_PAGE_BYTES}) AS BIGINT)"
        return f"(SELECT CASE WHEN count(*) = 0 THEN 0 ELSE {pages} + 1 END FROM {cell.table.reference})"
    return tsql_datetimes.literal(cell)  # type: ignore[arg-type]


_ISOLATION_LEVELS = {
    "READ UNCOMMITTED": 1,
    "READ COMMITTED": 2,
    "REPEATABLE READ": 3,
    "SERIALIZABLE": 4,
    "SNAPSHOT": 5,
}


def _own_session(facts: SessionFacts) -> View:
    """Return sys.dm_exec_sessions as a login without VIEW SERVER STATE sees it: itself alone."""
    columns = (
        ("session_id", SqlType("smallint")),
        ("login_name", nvarchar(128)),
        ("program_name", nvarchar(128)),
        ("host_name", nvarchar(128)),
        ("transaction_isolation_level", SqlType("smallint")),
        ("lock_timeout", INT),
    )
    level = _ISOLATION_LEVELS[facts.isolation]
    own = (facts.spid, facts.login, facts.app_name, facts.host_name, level, facts.lock_timeout_ms)
    return View(columns, (own,))


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

    def entry(name: str, number: int, *, snapshot: bool, committed: bool) -> tuple[object, ...]:
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

    own = entry(database.name, 5, snapshot=database.snapshot_isolation, committed=database.read_committed_snapshot)
    return View(columns, (entry("master", 1, snapshot=True, committed=False), own))


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
    return View(columns, tuple((name, number, number, 4, False) for name, number in SYSTEM_TYPE_IDS.items()))


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


def _partitions(tables: Sequence[Table], _: DatabaseFacts) -> View:
    """One partition per index or heap: no table here is partitioned."""
    columns = (
        ("partition_id", BIGINT),
        ("object_id", INT),
        ("index_id", INT),
        ("partition_number", INT),
        ("hobt_id", BIGINT),
        ("rows", BIGINT),
    )
    return View(
        columns,
        tuple(
            (container, table.object_id, number, 1, container, _RowsOf(table))
            for table, number, container in _partitioned(tables)
        ),
    )


def _partitioned(tables: Sequence[Table]) -> Iterator[tuple[Table, int, int]]:
    """Yield every index or heap of every table: its number, and the id of its one partition."""
    for table in tables:
        numbers = [number for number, _ in _numbered(table)]
        for number in numbers if 1 in numbers else [0, *numbers]:
            yield table, number, (table.object_id << 8) + number


def _allocation_units(tables: Sequence[Table], _: DatabaseFacts) -> View:
    """One unit of rows in their pages per index or heap; sizes are guessed from the types, not measured."""
    columns = (
        ("allocation_unit_id", BIGINT),
        ("type", TINYINT),
        ("type_desc", nvarchar(60)),
        ("container_id", BIGINT),
        ("data_space_id", INT),
        ("total_pages", BIGINT),
        ("used_pages", BIGINT),
        ("data_pages", BIGINT),
    )
    found: list[tuple[object, ...]] = []
    for table, number, container in _partitioned(tables):
        indexes = dict(_numbered(table))
        names = [name for name, _ in indexes[number].columns] + [*indexes[number].included] if number > 1 else None
        pages = _PagesOf(table, _row_bytes(table, names))
        found.append((container, 1, "IN_ROW_DATA", container, 1, pages, pages, pages))
    return View(columns, tuple(found))


def _row_bytes(table: Table, names: Sequence[str] | None) -> int:
    """Return about how many bytes a row takes; with ``names``, one of an index that has these columns alone."""
    wanted = None if names is None else {name.lower() for name in names}
    kinds = [column.kind for column in table.columns if wanted is None or column.name.lower() in wanted]
    return _ROW_BYTES + sum(_LONG_BYTES if kind.is_long else min(kind.max_length, _LONG_BYTES) for kind in kinds)


def _numbered_keys(tables: Sequence[Table]) -> list[tuple[int, Table, ForeignKey]]:
    """Return the foreign keys with object ids that no table has, which stay while keys are only added."""
    keys = [(table, key) for table in tables for key in table.foreign_keys]
    return [(-number, table, key) for number, (table, key) in enumerate(keys, 1)]


def _foreign_keys(tables: Sequence[Table], _: DatabaseFacts) -> View:
    columns = (
        ("name", _SYSNAME),
        ("object_id", INT),
        ("parent_object_id", INT),
        ("referenced_object_id", INT),
        ("is_disabled", BIT),
        ("is_not_trusted", BIT),
    )
    ids = {table.key: table.object_id for table in tables}
    return View(
        columns,
        tuple(
            (key.name, number, table.object_id, ids[key.parent], False, False)
            for number, table, key in _numbered_keys(tables)
        ),
    )


def _foreign_key_columns(tables: Sequence[Table], _: DatabaseFacts) -> View:
    columns = (
        ("constraint_object_id", INT),
        ("constraint_column_id", INT),
        ("parent_object_id", INT),
        ("parent_column_id", INT),
        ("referenced_object_id", INT),
        ("referenced_column_id", INT),
    )
    by_key = {table.key: table for table in tables}
    found: list[tuple[object, ...]] = []
    for number, table, key in _numbered_keys(tables):
        parent = by_key[key.parent]
        pairs = zip(key.columns, key.parent_columns, strict=True)
        for place, (column, parent_column) in enumerate(pairs, 1):
            here, there = _column_number(table, column), _column_number(parent, parent_column)
            found.append((number, place, table.object_id, here, parent.object_id, there))
    return View(columns, tuple(found))


def _column_number(table: Table, name: str) -> int:
    return [column.name.lower() for column in table.columns].index(name.lower()) + 1


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
    ("sys", "partitions"): _partitions,
    ("sys", "allocation_units"): _allocation_units,
    ("sys", "foreign_keys"): _foreign_keys,
    ("sys", "foreign_key_columns"): _foreign_key_columns,
    ("information_schema", "tables"): _information_tables,
    ("information_schema", "columns"): _information_columns,
}
