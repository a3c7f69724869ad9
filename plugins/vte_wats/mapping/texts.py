"""Texts the way WATS can store them, and remarks that keep what did not fit."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator

TEXT_LIMIT = 100
"""Characters WATS keeps of a name, a serial number, a measured text or a misc info."""

WHOLE = sys.maxsize
"""A limit for texts that may have any length."""

# What XML 1.0 has no place for. Lone surrogates and the two noncharacters have no symbol of their own.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_CONTROL_PICTURES = 0x2400
REPLACEMENT = "\ufffd"
"""What stands for a character that is lost; the reader of VTE writes it for half a surrogate pair."""


def printable(text: str | None) -> str:
    """Return the text without surrounding blanks, and with a visible symbol for each character that XML does not allow.

    NULL becomes the empty text. What counts as a blank or a control is the same in every Python version.
    """
    if text is None:
        return ""
    if text.isprintable():
        return text.strip()
    return _UNPRINTABLE.sub(_symbol, text).strip()


def _symbol(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(_CONTROL_PICTURES + code) if code < ord(" ") else REPLACEMENT


def width(text: str) -> int:
    """Return the length as WATS counts it: in UTF-16 units, so characters beyond the BMP count twice."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", errors="surrogatepass")) // 2


def shortened(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return the text, or its beginning and an ellipsis when it is wider than the limit."""
    if width(text) <= limit:
        return text
    return (
        text.encode("utf-16-le", errors="surrogatepass")[: 2 * (limit - 1)].decode("utf-16-le", errors="ignore") + "…"
    )


def quoted(text: str) -> str:
    """Return a text for an error message: quoted, escaped and never long."""
    return repr(shortened(printable(text), 120))


class Remarks:
    """What the reader of a report or a step must know; each remark is there once, in the order it was made."""

    __slots__ = ("_lines",)

    def __init__(self, lines: Iterable[str] = ()) -> None:
        self._lines: dict[str, None] = dict.fromkeys(lines)

    def add(self, line: str) -> None:
        """Add a remark, unless it is empty."""
        if line:
            self._lines[line] = None

    def fit(self, name: str, text: str | None, limit: int = TEXT_LIMIT) -> str:
        """Return what WATS can store of a text; add the whole text as a remark under its name when it is shortened."""
        if not text:
            return ""
        if text.isascii() and text.isprintable() and len(text) <= limit:
            return text.strip()
        printed = printable(text)
        if not printed:
            return ""
        if REPLACEMENT in text or (not text.isprintable() and _UNPRINTABLE.search(text)):
            self.add(f"{name}: characters that WATS cannot carry are shown as symbols")
        if width(printed) <= limit:
            return printed
        self.add(f"{name} in full: {printed}")
        return shortened(printed, limit)

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __str__(self) -> str:
        return "\n".join(self._lines)
