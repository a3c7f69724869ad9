"""Whether a report in WATS says what was posted, and which parts make a report large.

Whatever WATS adds itself and however it writes instants is no difference.
"""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from vte_wats.domain.redaction import redact

_INSTANTS = frozenset({"start", "startUTC"})
_DROPPED = frozenset({"numericMeas", "stringMeas", "booleanMeas", "chart", "attachment"})
"""What WATS may leave out of a skipped step; its report text says it, too."""


def differences(expected: Any, stored: Any, where: str = "") -> Iterator[str]:
    """Yield a line per value of ``expected`` that is not in ``stored``; what WATS adds itself does not count.

    Nor does what it drops from skipped steps.
    """
    if isinstance(expected, dict) and isinstance(stored, dict):
        is_skipped = expected.get("status") == stored.get("status") == "S"
        for name, value in expected.items():
            if is_skipped and name in _DROPPED and not stored.get(name):
                continue
            yield from differences(value, stored.get(name), f"{where}.{name}" if where else name)
    elif isinstance(expected, list) and isinstance(stored, list):
        if len(expected) != len(stored):
            yield f"{where}: {len(expected)} in VTE, {len(stored)} in WATS"
        for n, (item, other) in enumerate(zip(_in_order(expected), _in_order(stored), strict=False)):
            yield from differences(item, other, f"{where}[{n}]")
    elif not _same(where.rpartition(".")[2], expected, stored):
        yield f"{where}: {_shown(expected)} in VTE, {_shown(stored)} in WATS"


def _in_order(items: Sequence[Any]) -> Sequence[Any]:
    """Sort misc infos, which have no order, by their descriptions; steps and measurements keep their order."""
    if all(isinstance(item, dict) and "description" in item for item in items):
        return sorted(items, key=lambda info: str(info["description"]))
    return items


def _same(name: str, expected: Any, stored: Any) -> bool:
    if expected == stored:
        return True
    if name in _INSTANTS and isinstance(expected, str) and isinstance(stored, str):
        try:
            return datetime.fromisoformat(expected) == datetime.fromisoformat(stored)
        except ValueError:
            return False
    return name == "id" and str(expected).lower() == str(stored).lower()


def _shown(value: Any) -> str:
    text = "nothing" if value is None else redact(json.dumps(value, ensure_ascii=False))
    return text if len(text) <= 60 else text[:59] + "…"


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
