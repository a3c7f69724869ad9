"""Redrive: which runs a person asked to carry again, by name or by what is written on their dead letters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from uuid import UUID

from vte_wats.errors import FatalError
from vte_wats.storage.dead_letters import DeadLetters

ALL = "all"


def redrive(letters: DeadLetters, guids: Sequence[str], dead_letters: str | None) -> list[UUID]:
    """Return the runs to read from VTE again: those named, and those with letters of one signature, or ``all``.

    The source is read anew, so data that was corrected there goes through; success removes the letter. Raises
    FatalError for a text that is no Index_GUID and for a signature that no letter has.
    """
    named = [_guid(text) for text in guids]
    if not dead_letters:
        return named
    found = [letter for letter in letters if dead_letters in (ALL, letter.signature)]
    if not found and dead_letters != ALL:
        known = Counter(letter.signature for letter in letters)
        listed = "; ".join(f"{signature} ({runs} runs)" for signature, runs in known.most_common()) or "there are none"
        raise FatalError(f"dead_letters: no dead letter has the signature {dead_letters!r}. Signatures: {listed}")
    return named + [letter.index_guid for letter in found if letter.index_guid not in named]


def _guid(text: str) -> UUID:
    try:
        return UUID(text.strip())
    except ValueError:
        raise FatalError(f"guids: each is the Index_GUID of a run, given {text!r}") from None
