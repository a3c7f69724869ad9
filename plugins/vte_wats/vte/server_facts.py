"""What the preflight asks SQL Server; transferring runs needs none of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Protocol

from vte_wats.config.settings import Settings
from vte_wats.domain.source import Index, SourceFacts
from vte_wats.vte.rows import INDEXES, NULLS, SERVER_FACTS, Row, Select
from vte_wats.vte.statements import Binds

_SNAPSHOT = 5
_ALLOWED = 1


class Rows(Protocol):
    """Runs a statement and yields its rows."""

    def __call__(self, select: Select[Row], binds: Binds) -> Iterator[Row]:
        """Yield the rows as the server sends them."""


def read_facts(rows: Rows, settings: Settings, *, encrypted: bool, verifies_server: bool) -> SourceFacts:
    """Ask for the facts, a statement each; what the connection insists on is known before."""
    (server,) = rows(SERVER_FACTS, {})
    keys: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows(INDEXES, {"schema_name": settings.source_schema}):
        keys[row.table_name, row.index_name].append(row.column_name)
    (nulls,) = rows(NULLS, {})
    return SourceFacts(
        version=server.product_version,
        edition=server.edition,
        compatibility_level=server.compatibility_level,
        allows_snapshot=server.snapshot_state == _ALLOWED,
        read_committed_snapshot=bool(server.read_committed_snapshot),
        reads_snapshot=server.isolation_level == _SNAPSHOT,
        may_write=1 in (server.is_sysadmin, server.is_owner, server.is_writer),
        encrypted=encrypted,
        verifies_server=verifies_server,
        indexes=tuple(Index(table, name, tuple(columns)) for (table, name), columns in keys.items()),
        null_times=int(nulls.null_times),
        null_keys=int(nulls.null_keys),
    )
