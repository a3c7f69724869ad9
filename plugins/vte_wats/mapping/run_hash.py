"""The hash of a run as it was read, whatever settings and mapping make of it: what changed in VTE changes it."""

from __future__ import annotations

import hashlib

from pydantic_core import to_json

from vte_wats.domain.run import VteTestRun

_FORMAT = 1  # another one for another way to read or write a run: hashes of two formats say nothing of each other


def run_hash(run: VteTestRun, as_json: str | None = None) -> str:
    """Return the number of the format and the hash; runs of equal content have equal ones.

    ``as_json`` is the run's text where it is at hand: writing it takes longer than the hash.
    """
    text = run.as_json() if as_json is None else as_json
    if run.operator is not None:  # a setting decides what is read of it
        # Quotes inside texts are escaped, so the place is found exactly.
        text = text.replace(f',"operator":{to_json(run.operator).decode()}', "", 1)
    return f"{_FORMAT}:{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def is_comparable(one: str | None, other: str | None) -> bool:
    """Return whether two hashes are there and of one format."""
    return one is not None and other is not None and one.partition(":")[0] == other.partition(":")[0]
