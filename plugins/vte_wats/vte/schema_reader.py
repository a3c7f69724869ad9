"""What the preflight and the survey ask SQL Server about its tables; transferring runs needs none of it.

Statements for columns, indexes, keys, rows, sizes and plans; and values of columns that no setting names yet: every
name is quoted, and no value is read whole.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from vte_wats.config.settings import Settings, quoted_name
from vte_wats.domain.errors import FatalError
from vte_wats.domain.source import TEXT_TYPES, Index, SourceFacts
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.survey.column_rules import Pair
from vte_wats.survey.schema import BINARY_TYPES, DeployedColumn, DeployedIndex, DeployedKey, DeployedTable
from vte_wats.vte.rows import (
    CHANGES,
    COLUMN_VALUES,
    DUPLICATE_UNITS,
    FOREIGN_KEYS,
    IDENTITY_AND_RUN_COUNTS,
    INDEXES,
    NULLS,
    ROW_COUNTS,
    RUN_SIZES,
    RUN_TIMES,
    RUNS,
    SCHEMA_COLUMNS,
    SERVER_FACTS,
    STATION_TIMES,
    STEPS,
    TABLE_SIZES,
    VALUES_IN,
    ForeignKeyRow,
    IndexRow,
    Row,
    Select,
    TableSizeRow,
)
from vte_wats.vte.statements import Binds, among_guids, in_ranges

_SNAPSHOT = 5


class Rows(Protocol):
    """Runs a statement and yields its rows."""

    def __call__(self, select: Select[Row], binds: Binds) -> Iterator[Row]:
        """Yield the rows as the server sends them."""


def read_facts(
    rows: Rows, settings: Settings, types: Mapping[str, str], *, encrypted: bool, verifies_server: bool
) -> SourceFacts:
    """Ask for the facts, a statement each; ``types`` of columns and what the connection insists on are known before.

    Units of one key are looked for only where no index rules them out.
    """
    (server,) = rows(SERVER_FACTS, {})
    keys: dict[tuple[str, str], list[str]] = defaultdict(list)
    unique: set[tuple[str, str]] = set()
    for row in rows(INDEXES, {"schema_name": settings.source_schema}):
        keys[row.table_name, row.index_name].append(row.column_name)
        if row.is_unique:
            unique.add((row.table_name, row.index_name))
    (nulls,) = rows(NULLS, {})
    ruled_out = any(_is_key_of_units(index[0], keys[index], settings) for index in unique)
    doubled = None if ruled_out or not _can_compare_serials(types, settings) else next(rows(DUPLICATE_UNITS, {}))
    return SourceFacts(
        version=server.product_version,
        edition=server.edition,
        compatibility_level=server.compatibility_level,
        read_committed_snapshot=bool(server.read_committed_snapshot),
        reads_snapshot=server.isolation_level == _SNAPSHOT,
        may_write=1 in (server.is_sysadmin, server.is_owner, server.is_writer),
        encrypted=encrypted,
        verifies_server=verifies_server,
        indexes=tuple(Index(table, name, tuple(columns)) for (table, name), columns in keys.items()),
        null_times=int(nulls.null_times),
        null_keys=int(nulls.null_keys),
        duplicate_units=int(doubled.duplicate_units) if doubled else 0,
        doubled_unit=doubled.example_guid if doubled else None,
    )


def _is_key_of_units(table: str, columns: list[str], settings: Settings) -> bool:
    """Return whether the columns of an index are the key of a unit and nothing else."""
    return ".".join([table, *columns]).casefold() == str(settings.name_here("UutData", "Uut_GUID")).casefold()


def _can_compare_serials(types: Mapping[str, str], settings: Settings) -> bool:
    """Return whether key and serial of a unit are there to be compared; what is missing is another finding."""
    key, serial = (str(settings.name_here("UutData", column)) for column in ("Uut_GUID", "Serial"))
    return key in types and types.get(serial) in TEXT_TYPES


log = logging.getLogger(__name__)

_PAGE_BYTES = 8_192


def read_schema(rows: Rows, settings: Settings) -> list[DeployedTable]:
    """Return the tables that the login can see, by name. Nothing of their content is read."""
    binds = {"schema_name": settings.source_schema}
    columns: dict[str, list[DeployedColumn]] = defaultdict(list)
    for row in rows(SCHEMA_COLUMNS, {**binds}):
        column = DeployedColumn(
            name=row.column_name,
            data_type=row.data_type,
            max_length=row.max_length,
            nullable=row.is_nullable == "YES",
        )
        columns[row.table_name].append(column)
    indexes: dict[tuple[str, str], list[IndexRow]] = defaultdict(list)
    for index in rows(INDEXES, {**binds}):
        indexes[index.table_name, index.index_name].append(index)
    keys: dict[tuple[str, str], list[ForeignKeyRow]] = defaultdict(list)
    for key in rows(FOREIGN_KEYS, {**binds}):
        keys[key.table_name, key.key_name].append(key)
    counts = {row.table_name: int(row.row_count) for row in rows(ROW_COUNTS, {**binds})}
    sizes = _sizes(rows, {**binds})
    return [
        DeployedTable(
            name=table,
            columns=tuple(found),
            indexes=tuple(_index(name, parts) for (of, name), parts in indexes.items() if of == table),
            foreign_keys=tuple(_key(name, parts) for (of, name), parts in keys.items() if of == table),
            rows=counts.get(table),
            data_bytes=_bytes(sizes[table].data_pages) if table in sizes else None,
            index_bytes=_bytes(sizes[table].index_pages) if table in sizes else None,
        )
        for table, found in columns.items()
    ]


def _sizes(rows: Rows, binds: Binds) -> Mapping[str, TableSizeRow]:
    """Return the sizes by table; a login that may not look at them stops no survey."""
    try:
        return {row.table_name: row for row in rows(TABLE_SIZES, binds)}
    except FatalError as error:
        log.warning("%s; the sizes of tables stay unknown", error)
        return {}


def _bytes(pages: int | None) -> int | None:
    return None if pages is None else int(pages) * _PAGE_BYTES


def _index(name: str, parts: list[IndexRow]) -> DeployedIndex:
    return DeployedIndex(
        name=name,
        columns=tuple(part.column_name for part in parts),
        primary=bool(parts[0].is_primary_key),
        unique=bool(parts[0].is_unique),
    )


def _key(name: str, parts: list[ForeignKeyRow]) -> DeployedKey:
    return DeployedKey(
        name=name,
        columns=tuple(part.column_name for part in parts),
        parent=parts[0].parent_table,
        parent_columns=tuple(part.parent_column for part in parts),
    )


class RowsWhere(Protocol):
    """Runs a statement with parts of its text filled in and yields its rows."""

    def __call__(self, select: Select[Row], binds: Binds, **conditions: str) -> Iterator[Row]:
        """Yield the rows as the server sends them."""


def read_column_values(
    rows: RowsWhere, settings: Settings, table: str, column: DeployedColumn, beside: DeployedColumn | None
) -> list[Pair]:
    """Return values of a column with those of another one in the same rows, or with ``None``."""
    found = rows(
        COLUMN_VALUES,
        {},
        table=_table(table, settings),
        beside=_start_of(beside) if beside else "NULL",
        value=_start_of(column),
    )
    texts = [part is not None and part.data_type in TEXT_TYPES for part in (beside, column)]
    return [(_decoded(row.beside, is_text=texts[0]), _decoded(row.value, is_text=texts[1])) for row in found]


def count_values_in(
    rows: RowsWhere, settings: Settings, table: str, column: DeployedColumn, values: Sequence[Any]
) -> int:
    """Return how many of the values a column has."""
    binds: Binds = {f"value_{n}": value if isinstance(value, int) else str(value) for n, value in enumerate(values)}
    names = ", ".join(f"%({name})s" for name in binds)
    (row,) = rows(VALUES_IN, binds, table=_table(table, settings), column=_named(column), values=names)
    return int(row.found)


def _table(table: str, settings: Settings) -> str:
    return f"{quoted_name(settings.source_schema)}.{quoted_name(table)}"


def _named(column: DeployedColumn) -> str:
    return f"[Sampled].{quoted_name(column.name)}"


def _start_of(column: DeployedColumn) -> str:
    if column.data_type in TEXT_TYPES:
        return f"CONVERT(varbinary(MAX), CONVERT(nvarchar(100), {_named(column)}))"
    return f"CONVERT(varbinary(16), {_named(column)})" if column.data_type in BINARY_TYPES else _named(column)


def _decoded(value: Any, *, is_text: bool) -> Any:
    return value.decode("utf-16-le", "replace") if is_text and value is not None else value


_BY_TIME: tuple[Select[Any], ...] = (IDENTITY_AND_RUN_COUNTS, RUN_TIMES, CHANGES, STATION_TIMES)
_OF_A_SLICE: tuple[Select[Any], ...] = (RUN_SIZES, RUNS, STEPS)
_GUIDS = tuple(UUID(int=n) for n in range(1, 101))  # of no run; what is read is looked up by GUID all the same


@dataclass(frozen=True, slots=True)
class ExplainedStatement:
    """A statement as a sync would send it; ``title`` names it and what it selects by."""

    title: str
    select: Select[Any]
    binds: Binds
    conditions: dict[str, str]


def statements_of_a_sync(ranges: Sequence[LocalRange], settings: Settings) -> Iterator[ExplainedStatement]:
    """Yield every statement of a sync in the order in which it sends them, those of a slice by time and by GUID."""
    condition, binds = in_ranges(ranges)
    binds["schema_name"] = settings.source_schema  # a bind that a statement does not name is left out
    for select in _BY_TIME:
        yield ExplainedStatement(select.name, select, binds, {"ranges": condition})
    for key, (selection, its_binds) in {"time": (condition, binds), "GUID": among_guids(_GUIDS)}.items():
        for select in _OF_A_SLICE:
            yield ExplainedStatement(f"{select.name} by {key}", select, its_binds, {"selection": selection})


def plan_text(rows: Sequence[Sequence[Any]]) -> str:
    """Return the plan in the one row of an answer; empty where there is none. XML may come as bytes of UTF-16."""
    value = rows[0][0] if len(rows) == 1 and rows[0] else None
    if isinstance(value, bytes):
        return value.decode("utf-16-le" if value[1:2] == b"\0" else "utf-8", "replace")
    return value if isinstance(value, str) else ""
