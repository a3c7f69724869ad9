"""The report of an acceptance run for the hand-over, as HTML and as Markdown: the same content in two forms."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from jinja2 import Environment

from vte_wats.acceptance.findings import Finding, FindingStatus
from vte_wats.acceptance.probes import PART_NUMBER
from vte_wats.wording import document_templates, one_line

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~&])")
_STATUSES = {
    FindingStatus.FINE: "as it should be",
    FindingStatus.ACT: "to do",
    FindingStatus.OPEN: "open",
}


@dataclass(frozen=True, slots=True)
class Subject:
    """What was measured, when, and with which version of the package."""

    url: str
    wats_version: str
    process_code: int
    started_at: datetime
    ended_at: datetime
    package_version: str
    requests: int


@dataclass(frozen=True, slots=True)
class Documents:
    """The two forms."""

    html: str
    markdown: str


def render(subject: Subject, findings: Sequence[Finding], profile: dict[str, Any]) -> Documents:
    """Lay out what was found; ``profile`` is what the package keeps of it, by the names of its fields."""
    values = {
        "subject": subject,
        "part_number": PART_NUMBER,
        "findings": findings,
        "statuses": _STATUSES,
        "counts": [
            (status, len([finding for finding in findings if finding.status is status])) for status in _STATUSES
        ],
        "profile": {name: json.dumps(value) for name, value in profile.items()},
    }
    html, markdown = (_templates().get_template(f"acceptance.{form}.j2").render(values) for form in ("html", "md"))
    return Documents(html, markdown)


@cache
def _templates() -> Environment:
    templates = document_templates("vte_wats.acceptance")
    templates.filters["plain"] = _plain
    return templates


def _plain(value: object) -> str:
    """Return one line that Markdown shows as it is: texts from WATS are never markup."""
    return _MARKDOWN.sub(r"\\\1", one_line(value))
