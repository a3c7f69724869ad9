"""The tables of docs/benchmarks.md: one module each, in this order."""

from __future__ import annotations

from typing import Any, Protocol

from benchmarks import (
    backlog,
    batches,
    dead_letters,
    extraction,
    far,
    mapping,
    memory,
    near,
    scheduler,
    survey,
    upload,
)
from benchmarks.measure import Goal


class Table(Protocol):
    """A module of this package that measures one table. ``TINY`` is a size that only shows that it runs."""

    TITLE: str
    TINY: Any

    def measure(self, size: Any = ...) -> dict[str, Any]:
        """Measure, and return plain JSON."""

    def goals(self, result: dict[str, Any]) -> list[Goal]:
        """Return what was aimed at and what came of it."""

    def page(self, result: dict[str, Any]) -> list[str]:
        """Return the lines of the table's section."""


TABLES: dict[str, Table] = {
    "extraction": extraction,
    "mapping": mapping,
    "upload": upload,
    "batches": batches,
    "scheduler": scheduler,
    "backlog": backlog,
    "memory": memory,
    "near": near,
    "far": far,
    "dead_letters": dead_letters,
    "survey": survey,
}
