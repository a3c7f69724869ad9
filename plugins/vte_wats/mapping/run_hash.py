"""The hash of a run as it was read, whatever settings and mapping make of it: what changed in VTE changes it."""

from __future__ import annotations

import hashlib

from pydantic_core import to_json

from vte_wats.domain.run import VteTestRun

_FORMAT = 1  # another one for another way to read or write a run: hashes of two formats say nothing of each other


def run_hash(run: VteTestRun, as_json: bytes | None = None) -> str:
    """Return the number of the format and the hash; runs of equal content have equal ones.

    ``as_json`` is the run as it is staged where that is at hand: writing it takes longer than the hash.
    """
    staged = run.as_json() if as_json is None else as_json
    # A setting decides what is read of the operator. Quotes inside texts are escaped, so the place is found exactly.
    operator = b"" if run.operator is None else b',"operator":' + to_json(run.operator)
    return f"{_FORMAT}:{short_hash(staged, without=operator)}"


def short_hash(content: bytes, without: bytes = b"") -> str:
    """Return the hash of bytes without the first place of others; no copy is made, for they may be a large run."""
    found_at = content.find(without)
    end = max(found_at, 0)
    digest = hashlib.sha256(memoryview(content)[:end])
    digest.update(memoryview(content)[end + len(without) if found_at >= 0 else 0 :])
    return digest.hexdigest()[:16]


def is_comparable(one: str | None, other: str | None) -> bool:
    """Return whether two hashes are there and of one format."""
    return one is not None and other is not None and one.partition(":")[0] == other.partition(":")[0]
