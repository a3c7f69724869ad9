"""Which parts make a report large, for a person who has to shorten it."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator
from typing import Any

_MOST_NAMED = 3


def largest_parts(document: bytes) -> list[str]:
    """Return where the longest texts of a WSJF document are and how long they are, the longest first."""
    largest = heapq.nlargest(_MOST_NAMED, _texts(json.loads(document), ""), key=lambda text: text[1])
    return [f"{where} {size_bytes:,} bytes" for where, size_bytes in largest]


def _texts(value: Any, where: str) -> Iterator[tuple[str, int]]:
    if isinstance(value, dict):
        name = value.get("name")
        inside = f"{where} {name[:60]!r}" if isinstance(name, str) else where
        for key, item in value.items():
            yield from _texts(item, f"{inside}.{key}" if inside else key)
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from _texts(item, f"{where}[{n}]")
    elif isinstance(value, str):
        yield where, len(value.encode())
