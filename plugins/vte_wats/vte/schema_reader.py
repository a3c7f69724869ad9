"""What the survey asks the server about its tables: a statement for columns, indexes, keys, rows and sizes."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Mapping

from vte_wats.config.settings import Settings
from vte_wats.domain.errors import FatalError
from vte_wats.survey.schema import DeployedColumn, DeployedIndex, DeployedKey, DeployedTable
from vte_wats.vte.rows import (
    FOREIGN_KEYS,
    INDEXES,
    ROW_COUNTS,
    SCHEMA_COLUMNS,
    TABLE_SIZES,
    ForeignKeyRow,
    IndexRow,
    TableSizeRow,
)
from vte_wats.vte.server_facts import Rows
from vte_wats.vte.statements import Binds

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
