"""What the bytes of an ``other`` result are: text, or which kind of file."""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from typing import NamedTuple

# Spelled out, because ``str.isprintable`` changes with the Unicode tables of each Python version.
_NOT_TEXT = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class FileType(NamedTuple):
    """A media type and the usual extension of its files."""

    content_type: str
    extension: str


_BY_SIGNATURE = {
    b"\x89PNG\r\n\x1a\n": FileType("image/png", "png"),
    b"\xff\xd8\xff": FileType("image/jpeg", "jpg"),
    b"%PDF-": FileType("application/pdf", "pdf"),
    b"PK\x03\x04": FileType("application/zip", "zip"),
}
_UNKNOWN = FileType("application/octet-stream", "bin")


def file_type(content: bytes) -> FileType:
    """Return the type of a file by its first bytes."""
    for signature, known in _BY_SIGNATURE.items():
        if content.startswith(signature):
            return known
    return _UNKNOWN


def text_in(content: bytes) -> str | None:
    """Return the text the bytes hold, or ``None`` when they are not text.

    Text is UTF-8, UTF-16 with a byte order mark, or the UTF-16 of plain Latin characters that ``nvarchar`` cast to
    ``varbinary`` leaves behind; anything with control characters other than tab and line ends is not text.
    """
    if not content or file_type(content) is not _UNKNOWN:
        return None
    if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return _decoded(content, "utf-16")
    text = _decoded(content, "utf-8-sig")
    if text is None and len(content) % 2 == 0 and not any(content[1::2]):
        text = _decoded(content, "utf-16-le")
    return text


def _decoded(content: bytes, encoding: str) -> str | None:
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError:
        return None
    return None if _NOT_TEXT.search(text) else text
