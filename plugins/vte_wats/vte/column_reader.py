"""Values of columns that no setting names yet, for the survey: every name is quoted, and no value is read whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from vte_wats.config.settings import Settings, quoted_name
from vte_wats.domain.source import TEXT_TYPES
from vte_wats.survey.column_rules import Pair
from vte_wats.survey.schema import BINARY_TYPES, DeployedColumn
from vte_wats.vte.rows import COLUMN_VALUES, VALUES_IN, Row, Select
from vte_wats.vte.statements import Binds


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
