"""Texts as SQL Server holds them: UTF-16 units, of which half a surrogate pair may stand alone.

DuckDB holds UTF-8, which has no place for such a half. Inside the store it is a private character instead: U+10D800 to
U+10DFFF stand for the units D800 to DFFF. Texts change their form where they enter the store and where they leave it.
"""

from __future__ import annotations

import re

_OFFSET = 0x100000
_HALF = re.compile("[\ud800-\udfff]")
_STORED_HALF = re.compile(f"[{chr(_OFFSET + 0xD800)}-{chr(_OFFSET + 0xDFFF)}]")


def to_store(text: str) -> str:
    """Return the text in the form that the store can hold."""
    return _HALF.sub(lambda half: chr(ord(half[0]) + _OFFSET), text)


def to_wire(stored: str) -> bytes:
    """Return the UTF-16 units of a text of the store."""
    text = _STORED_HALF.sub(lambda half: chr(ord(half[0]) - _OFFSET), stored)
    return text.encode("utf-16-le", "surrogatepass")
