"""Messages for chat: what comes from the plant or from an error mentions nobody and links nowhere.

Names of products and texts of servers may hold ``@here``, ``<!channel>``, ``<at>…</at>``, ``[x](http://…)`` or an
address alone, and every chat makes something of some of them. A character without width breaks what makes a mention or
a link, in any chat; where a chat takes every text for Markdown, its marks are escaped, too. A message's own links stay.
"""

from __future__ import annotations

import re

from vte_wats.alerting.mails import Notification

_BREAK = "\u200b"
# After an @ or < nothing is a mention; after these dots, colons and brackets nothing is an address.
_MARKS = re.compile(r"[@<]|://|\](?=\()|(?<=\w)\.(?=[^\W\d])|(?<=[a-z]):(?=[^\s\d/])", re.IGNORECASE)
_MARKDOWN = re.compile(r"[\\`*_~\[\]()#|>]")

# By Apprise's names for the targets.
_TAKES_TEXT_FOR_MARKDOWN = frozenset({"discord", "mmost", "mmosts"})
_FOR_PROGRAMS = frozenset({"json", "jsons", "xml", "xmls", "form", "forms"})


def title_for(kind: str, message: Notification) -> str:
    """Return the subject for one kind of target."""
    return _harmless(kind, message.subject)


def body_for(kind: str, message: Notification) -> str:
    """Return the text for one kind of target; a program gets it as it is."""
    own_links = {f"{label}: {url}" for label, url in message.links}
    return "\n".join(line if line in own_links else _harmless(kind, line) for line in message.text.split("\n"))


def _harmless(kind: str, line: str) -> str:
    if kind in _FOR_PROGRAMS:
        return line
    if kind in _TAKES_TEXT_FOR_MARKDOWN:
        line = _MARKDOWN.sub(r"\\\g<0>", line)
    return _MARKS.sub(lambda found: _broken(found[0]), line)


def _broken(mark: str) -> str:
    return f":{_BREAK}//" if mark == "://" else f"{mark}{_BREAK}"
