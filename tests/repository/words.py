"""Words that were replaced, and where to look for them. docs/glossary.md has the terms that stand in their place.

The list holds only what cannot be right in this repository; two texts in reports stay, because reports keep their bytes.
Names are compared as words: ``begunAt`` and ``begun_at`` are "begun at".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

REPLACED: dict[str, str] = {
    r"anew": "again",
    r"mend(?:s|ed|ing)?": "fix",
    r"ere long": "soon",
    r"begun": "started",
    r"carr(?:y|ies|ied)(?! are shown as symbols)": "transfer a run, upload a report, process an interval",
    r"(?<!case )letters?(?! and digits)(?! first)(?! spacing)": "dead letter",
    r"lettered": "dead-lettered",
    r"stretch(?:es)?(?!;)": "interval",
    r"holes?": "gap",
    r"lateness": "late arrivals",
    r"portions?": "interval, part",
    r"pieces? of time": "interval",
    r"lanes?": "priority, concurrent",
    r"glimpses?|glances?": "snapshot",
    r"recognised state": "verified state",
    r"alert situations?": "alert context",
    r"(?:earlier|later|both|two) pass(?:es)?(?! \(UTC)|(?:first pass(?!.yields?)|second pass)": "fold 0 and 1",
    r"told(?! to\b| at\")": "notified, says, reports",  # "told_at" is what 0.1.0 stored
    r"telling": "notifying, saying",
    r"claim(?:s|ed|ing)?": "in-flight keys",
    r'(?<!math\.)(?<!exp\.)(?<!pc\.)(?<!")floors?': "plant",
    r"overtak(?:e|es|en|ing)|overtook": "outdated, newer",
    r"server traits": "known behaviour",
    r"server memory|memory store": "learned server, store",
    r"question of itself": "own window",
    r"(?<!ms )shipped": "documented, part of the package",
}
IN_PROSE: dict[str, str] = {r"tells?": "says, reports, notifies", r"nobody is told": "nobody is notified"}
"""Beside those, for pages and messages, which have no other use for them."""

MODULES = {
    "answers", "claims", "codes", "edges", "failure", "failures", "floor", "folders", "gate", "instants", "instruments",
    "keeping", "lateness", "letter_index", "moments", "opaque", "pace", "passes", "past", "picture", "plant", "recognise", "server_memory", "shipped",
    "situation", "strangers", "sweep", "telling", "ways", "when",
}  # fmt: skip
"""Names of files and folders, without ``test_`` before them."""

CLASSES = {
    "Answer", "Chooser", "Effort", "Floor", "Follows", "Glimpse", "Lane", "LeftOut", "Look", "Looks", "Memory", "Pace",
    "Plant", "Reach", "ServerMemory", "ServerTraits", "Situation", "Spent", "Standing", "Stretch", "Surroundings",
    "Weight", "Word",
}  # fmt: skip

_ANY = {words: re.compile(rf"\b(?:{words})\b", re.IGNORECASE) for words in (*REPLACED, *IN_PROSE)}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_BETWEEN = " \n\t#*-\"'"
"""What may stand between two words of one term: "dead" may end a line, and "letter" begin the next."""


def replaced_words(text: str, *, prose: bool) -> Iterator[tuple[int, str]]:
    """Yield line numbers, from 1, and what to say there about a replaced word."""
    plain = re.sub(r"[_-]", " ", _CAMEL.sub(" ", text))
    for words, instead in (REPLACED | (IN_PROSE if prose else {})).items():
        for found in _ANY[words].finditer(plain):
            before = plain[: found.start()].rstrip(_BETWEEN).lower()
            if not (found[0].lower().startswith("letter") and before.endswith("dead")):
                yield plain.count("\n", 0, found.start()) + 1, f"“{found[0]}” → {instead}"
