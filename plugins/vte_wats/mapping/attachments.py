"""Files of a report: what is no text, and texts too long for their field."""

from __future__ import annotations

from pywats.domains.report.report_models import Attachment

from vte_wats.domain.errors import RejectedError
from vte_wats.mapping.texts import shortened, width
from vte_wats.messages import VW416

LONG_TEXT_LIMIT = 5000
"""Characters WATS keeps of a report's comment; applied to a step's report text too."""

_SIZE_LIMIT_BYTES = Attachment.DEFAULT_MAX_SIZE


def attach(name: str, content: bytes, content_type: str) -> Attachment:
    """Return the content as an attachment; raise :class:`RejectedError` when WATS does not take one so large."""
    if len(content) > _SIZE_LIMIT_BYTES:
        limit = f"{_SIZE_LIMIT_BYTES // 2**20} MiB"
        raise RejectedError(
            VW416,
            f"{name}: an attachment may have at most {limit}, this one has {len(content)} bytes. "
            "Make the value smaller in the VTE database, or keep this run out of WATS",
            f"an attachment is larger than {limit}",
        )
    return Attachment.from_bytes(name, content, content_type)


def keep_long_text(text: str, name: str) -> tuple[str | None, Attachment | None]:
    """Return what fits a comment or a report text, and the whole text as the named file when not all of it fits."""
    if len(text) * 2 <= LONG_TEXT_LIMIT or width(text) <= LONG_TEXT_LIMIT:
        return text or None, None
    pointer = f"\n(The whole text is in the attachment {name}.)"
    kept = shortened(text, LONG_TEXT_LIMIT - len(pointer)) + pointer
    return kept, attach(name, text.encode(), "text/plain; charset=utf-8")
