"""The hash of a run as it was read, whatever settings and mapping make of it: what changed in VTE changes it."""

from __future__ import annotations

import hashlib

from vte_wats.domain.run import VteTestRun

_FORMAT = 1  # another one for another way to read or write a run: hashes of two formats say nothing of each other
_LEFT_OUT = {"operator"}  # a setting decides what is read of it


def run_hash(run: VteTestRun) -> str:
    """Return the number of the format and the hash; runs of equal content have equal ones."""
    text = run.model_dump_json(exclude=_LEFT_OUT, exclude_none=True)
    return f"{_FORMAT}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def is_comparable(one: str | None, other: str | None) -> bool:
    """Return whether two hashes are there and of one format."""
    return one is not None and other is not None and one.partition(":")[0] == other.partition(":")[0]
