"""The form of every mail: a subject that says it all, one screen in plain text and in HTML, everything escaped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from html import escape

_SUBJECT_LENGTH = 150
_CELL_LENGTH = 400
_FONT = "font-family:-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"


class Tone(StrEnum):
    """The colour of the bar above the headline."""

    BAD = "#c62828"
    LATE = "#e07b00"
    GOOD = "#2e7d32"
    PLAIN = "#1565c0"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading row; every cell is text."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Notification:
    """What is sent: the subject, and the same content twice."""

    subject: str
    text: str
    html: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says: headline, facts, a table, what to do, and where to look."""

    sender: str
    subject: str
    tone: Tone
    headline: str
    facts: Sequence[tuple[str, str]]
    advice: Sequence[str] = ()
    links: Sequence[tuple[str, str]] = ()
    table: Table | None = None
    footer: str = ""

    def notification(self) -> Notification:
        """Return both forms."""
        return Notification(_cut(f"[{self.sender}] {self.subject}", _SUBJECT_LENGTH), self._text(), self._html())

    def _text(self) -> str:
        width = max((len(label) for label, _ in self.facts), default=0)
        lines = [_cut(self.headline), ""]
        lines += [f"{label:<{width}}  {_cut(value)}" for label, value in self.facts]
        if self.table is not None:
            lines += ["", *_aligned([self.table.heads, *self.table.rows])]
        lines += [line for one in self.advice for line in ("", f"What to do: {_cut(one)}")]
        lines += ["", *(f"{label}: {url}" for label, url in self.links)] if self.links else []
        lines += ["", "-- ", self.footer] if self.footer else []
        return "\n".join(lines) + "\n"

    def _html(self) -> str:
        facts = "".join(
            '<tr><td style="padding:3px 16px 3px 0;color:#6b7280;white-space:nowrap;vertical-align:top">'
            f'{escape(label)}</td><td style="padding:3px 0">{escape(_cut(value))}</td></tr>'
            for label, value in self.facts
        )
        advice = "".join(
            '<p style="margin:16px 0 0;padding:10px 14px;background:#f3f4f6;border-radius:6px;color:#111827">'
            f"<strong>What to do:</strong> {escape(_cut(one))}</p>"
            for one in self.advice
        )
        links = " &nbsp; ".join(
            f'<a href="{escape(url)}" style="color:#1565c0">{escape(label)}</a>' for label, url in self.links
        )
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width"><title>'
            f"{escape(_cut(self.subject, _SUBJECT_LENGTH))}</title></head>"
            f'<body style="margin:0;padding:24px 12px;background:#eceff1;color:#111827;font-size:15px;line-height:1.45;'
            f'{_FONT}">'
            '<div style="max-width:620px;margin:0 auto;background:#ffffff;border-radius:8px;overflow:hidden;'
            f'border-top:6px solid {self.tone}"><div style="padding:22px 26px">'
            f'<h1 style="margin:0 0 14px;font-size:19px;line-height:1.3">{escape(_cut(self.headline))}</h1>'
            f'<table role="presentation" cellspacing="0" cellpadding="0" style="font-size:15px">{facts}</table>'
            f"{self._html_table()}{advice}"
            + (f'<p style="margin:18px 0 0">{links}</p>' if links else "")
            + "</div>"
            + (
                f'<p style="margin:0;padding:12px 26px;background:#fafafa;color:#6b7280;font-size:12px">'
                f"{escape(self.footer)}</p>"
                if self.footer
                else ""
            )
            + "</div></body></html>\n"
        )

    def _html_table(self) -> str:
        if self.table is None:
            return ""
        cell = "padding:4px 14px 4px 0;text-align:left;border-bottom:1px solid #e5e7eb"
        heads = "".join(
            f'<th style="{cell};color:#6b7280;font-weight:600">{escape(head)}</th>' for head in self.table.heads
        )
        rows = "".join(
            "<tr>" + "".join(f'<td style="{cell}">{escape(_cut(value))}</td>' for value in row) + "</tr>"
            for row in self.table.rows
        )
        return (
            '<table cellspacing="0" cellpadding="0" style="margin-top:14px;font-size:14px;border-collapse:collapse">'
            f"<tr>{heads}</tr>{rows}</table>"
        )


def _cut(text: str, length: int = _CELL_LENGTH) -> str:
    """Return one line of at most this length; control characters would end a header or a line."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    flat = [[_cut(cell, 60) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in flat) for at in range(len(flat[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in flat]
