"""What the preflight asks SQL Server: nothing that carrying runs would ever need."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from vte_wats.config.settings import Settings
from vte_wats.domain.source import Index, SourceFacts
from vte_wats.vte.statements import Binds

_SNAPSHOT = 5
_ALLOWED = 1

Rows = Callable[[str, Binds], Iterator[tuple[Any, ...]]]


def read_facts(rows: Rows, settings: Settings, *, encrypted: bool) -> SourceFacts:
    """Ask for the facts, a statement each; ``encrypted`` is what the connection insists on."""
    level, snapshot, committed_snapshot, isolation, version, edition, *roles = next(rows("select_server_facts", {}))
    keys: dict[tuple[str, str], list[str]] = {}
    for table, index, _, column in rows("select_indexes", {"schema_name": settings.source_schema}):
        keys.setdefault((table, index), []).append(column)
    ((null_times,),) = rows("select_null_times", {})
    return SourceFacts(
        version=version,
        edition=edition,
        compatibility_level=level,
        allows_snapshot=snapshot == _ALLOWED,
        read_committed_snapshot=bool(committed_snapshot),
        reads_snapshot=isolation == _SNAPSHOT,
        may_write=1 in roles,
        encrypted=encrypted,
        indexes=tuple(Index(table, name, tuple(columns)) for (table, name), columns in keys.items()),
        null_times=int(null_times),
    )
