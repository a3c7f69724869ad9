"""Redrive: which dead letters a person asked to carry again, by what is written on them."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW521
from vte_wats.storage.dead_letters import DeadLetters

ALL = "all"


def lettered(letters: DeadLetters, dead_letters: str) -> list[UUID]:
    """Return the runs with letters of one signature, or of ``all``."""
    return [head.index_guid for head in letters.headers() if dead_letters in (ALL, head.signature)]


def redrive(letters: DeadLetters, dead_letters: str) -> list[UUID]:
    """Return the runs with letters of one signature, or of ``all``, to be read from VTE again.

    The source is read anew, so data that was corrected there goes through; success removes the letter. Raises
    FatalError for a signature that no letter has.
    """
    found = lettered(letters, dead_letters)
    if not found and dead_letters != ALL:
        known = Counter(head.signature for head in letters.headers())
        listed = "; ".join(f"{signature} ({runs} runs)" for signature, runs in known.most_common()) or "there are none"
        raise FatalError(
            VW521, f"dead_letters: no dead letter has the signature {dead_letters!r}. Signatures: {listed}"
        )
    return found
