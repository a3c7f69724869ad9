"""Names that must differ from each other get numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from vte_wats.mapping.texts import TEXT_LIMIT, shortened


def numbered(names: Sequence[str]) -> Sequence[str]:
    """Return the names, each that stood before with a number: ``Gain``, ``Gain (2)``, ``Gain (3)``.

    A name that is there by itself is never given to another. What comes later changes nothing, so that a run that
    ended early has the names of the runs that did not.
    """
    own = set(names)
    if len(own) == len(names):
        return names
    taken: set[str] = set()
    numbers: dict[str, count[int]] = {}
    return [_free(name, own, taken, numbers.setdefault(name, count(2))) for name in names]


def _free(name: str, own: set[str], taken: set[str], numbers: count[int]) -> str:
    """Return the name or its first number that is free, and take it."""
    free = name
    while free in taken or (free != name and free in own):
        suffix = f" ({next(numbers)})"
        free = shortened(name, TEXT_LIMIT - len(suffix)) + suffix
    taken.add(free)
    return free
