"""Where the plant writes to, as far as the plant has to know it."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pyarrow as pa


class TargetDatabase(Protocol):
    """A database with the VTE tables. GUIDs come as canonical lower-case text, times as naive wall-clock time."""

    def insert_arrow(self, table: str, rows: pa.Table) -> object:
        """Append rows to a table; columns go by name."""

    def insert_rows(self, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> object:
        """Append rows to several tables in one transaction, in the order given."""
