"""What the preflight asks SQL Server; transferring runs needs none of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Protocol

from vte_wats.config.settings import Settings
from vte_wats.domain.source import TEXT_TYPES, Index, SourceFacts
from vte_wats.vte.rows import DOUBLED_UNITS, INDEXES, NULLS, SERVER_FACTS, Row, Select
from vte_wats.vte.statements import Binds

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
    doubled = None if ruled_out or not _can_compare_serials(types, settings) else next(rows(DOUBLED_UNITS, {}))
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
        doubled_units=int(doubled.doubled_units) if doubled else 0,
        doubled_unit=doubled.example_guid if doubled else None,
    )


def _is_key_of_units(table: str, columns: list[str], settings: Settings) -> bool:
    """Return whether the columns of an index are the key of a unit and nothing else."""
    return ".".join([table, *columns]).casefold() == str(settings.name_here("UutData", "Uut_GUID")).casefold()


def _can_compare_serials(types: Mapping[str, str], settings: Settings) -> bool:
    """Return whether key and serial of a unit are there to be compared; what is missing is another finding."""
    key, serial = (str(settings.name_here("UutData", column)) for column in ("Uut_GUID", "Serial"))
    return key in types and types.get(serial) in TEXT_TYPES
