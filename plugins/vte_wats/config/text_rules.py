"""Rules that take values out of texts such as Info1: patterns with named groups, matched in linear time.

``*Lot {batch}, socket {socket}`` describes a whole text. ``*`` stands for any text, ``?`` for one character, and each
group takes the text up to the first place where what follows it in the pattern stands. Nothing is tried twice, so no
pattern and no text is slow: that is why these are no regular expressions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MISC_PREFIX = "misc:"
TARGETS = ("batch", "fixture", "socket", "part_revision")
RESERVED_MISC_INFOS = frozenset({
    "source", "source_id", "source_hash", "run_hash", "source_system", "source_timestamp", "testplan",
    "testplan_variant", "testplan_revision", "exit_code", "info1", "info2", "info3", "start_from", "start_ambiguous",
    "start_nonexistent",
})  # fmt: skip
"""The misc infos that every report has, or may have, by itself."""

TEXT_LIMIT = 4_000
"""Characters of a text that rules look at; no rule matches a longer one."""

_WILDCARD = re.compile(r"(\*|\{[^{}]*\})")


@dataclass(frozen=True, slots=True)
class TextPattern:
    """A pattern that was found valid."""

    names: tuple[str, ...]
    _expression: re.Pattern[str]

    def groups_in(self, text: str) -> dict[str, str] | None:
        """Return what each group takes, without surrounding blanks; ``None`` when the pattern describes another text.

        A group takes one character at least, and is left out when it takes only blanks.
        """
        found = self._expression.fullmatch(text) if len(text) <= TEXT_LIMIT else None
        if found is None:
            return None
        return {name: taken for name, group in zip(self.names, found.groups(), strict=True) if (taken := group.strip())}


def parse_pattern(pattern: str) -> TextPattern:
    """Return the pattern ready to match; raise ValueError with the rule that it breaks."""
    if pattern != pattern.strip():
        raise ValueError("begins or ends with a blank, which no text does: blanks around a text are left out")
    beginning, *pieces = _WILDCARD.split(pattern)
    wildcards, literals = pieces[::2], pieces[1::2]
    names = tuple(wildcard[1:-1] for wildcard in wildcards if wildcard != "*")
    _check_names(names)
    if any(brace in literal for literal in (beginning, *literals) for brace in "{}"):
        raise ValueError("{ and } stand around the name of a group only")
    if "" in literals[:-1]:
        raise ValueError("two groups, or a group and *, need a text between them that separates them")
    expression = _literal(beginning)
    for n, (wildcard, literal) in enumerate(zip(wildcards, literals, strict=True), start=1):
        piece = (".*?" if wildcard == "*" else "(.+?)") + _literal(literal)
        # An atomic group, once matched, is never tried another way; the last one is bound by the end of the text.
        expression += piece if n == len(wildcards) else f"(?>{piece})"
    return TextPattern(names, re.compile(expression, re.DOTALL))


def _literal(text: str) -> str:
    return "".join("." if character == "?" else re.escape(character) for character in text)


def _check_names(names: tuple[str, ...]) -> None:
    if not names:
        raise ValueError("takes nothing: name a group, such as {batch}")
    if len(set(names)) < len(names):
        raise ValueError("names a group twice")
    for name in names:
        misc_info = name.removeprefix(MISC_PREFIX)
        if name == misc_info:
            if name not in TARGETS:
                raise ValueError(f"{{{name}}} is none of {', '.join(TARGETS)}, misc:<name of a misc info>")
        elif not misc_info.strip() or len(misc_info) > 100:
            raise ValueError("the name of a misc info has 1 to 100 characters")
        elif misc_info in RESERVED_MISC_INFOS:
            raise ValueError(f"reports have a misc info {misc_info} already")
