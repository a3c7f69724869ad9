"""What a statement answers with."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from sandbox.sqlserver.sql_types import SqlType


@dataclass(frozen=True)
class Rows:
    """A result to be read once; `reader` must be exhausted or closed before the next statement."""

    columns: tuple[tuple[str, SqlType], ...]
    reader: pa.RecordBatchReader


@dataclass(frozen=True)
class Affected:
    """A change of so many rows by INSERT, UPDATE or DELETE."""

    count: int
    statement: str


@dataclass(frozen=True)
class Quiet:
    """A statement that answers with nothing but DONE; `note` is an INFO message."""

    note: str | None = None


@dataclass(frozen=True)
class DatabaseChanged:
    new: str
    old: str


@dataclass(frozen=True)
class TransactionChanged:
    """`change` is begin, commit or rollback of the outermost transaction."""

    change: str
    descriptor: bytes


Outcome = Rows | Affected | Quiet | DatabaseChanged | TransactionChanged
