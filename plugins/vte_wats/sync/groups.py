"""Take an endless stream a handful at a time (``itertools.batched`` is not in Python 3.11)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def in_groups(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield lists of ``size`` items, the last one shorter; nothing when there are no items."""
    rest = iter(items)
    while group := list(islice(rest, size)):
        yield group
