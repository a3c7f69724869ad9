"""What the site's rules take out of a run's texts: batch, fixture, test socket, part revision and misc infos."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from vte_wats.config.settings import Settings, TextRule
from vte_wats.config.text_rules import MISC_PREFIX
from vte_wats.domain.run import VteTestRun
from vte_wats.mapping.identity import text_of
from vte_wats.mapping.texts import Remarks, printable

_MOST_DIGITS = 9  # of a 32-bit whole number, whatever its value


def tried_rules(run: VteTestRun, settings: Settings) -> Iterator[tuple[TextRule, dict[str, str] | None]]:
    """Yield each rule with what its groups take of the run's text; ``None`` where the text looks different."""
    for rule in settings.text_rules:
        yield rule, rule.parsed.groups_in(printable(text_of(run, rule.source)))


def taken_values(run: VteTestRun, settings: Settings) -> dict[str, str]:
    """Return each value by the name of its group, from the first rule that finds it."""
    values: dict[str, str] = {}
    for _, groups in tried_rules(run, settings):
        values = (groups or {}) | values
    return values


def socket_of(values: Mapping[str, str], remarks: Remarks) -> int | None:
    """Return the test socket, which must be a number; another text is left out with a remark."""
    text = values.get("socket")
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS:
        return int(text)
    remarks.add(f"test socket {text} is no whole number and was left out")
    return None


def misc_infos_in(values: Mapping[str, str], remarks: Remarks) -> Iterator[tuple[str, str]]:
    """Yield description and text of each misc info that a rule takes."""
    for name, text in values.items():
        if name.startswith(MISC_PREFIX):
            description = name.removeprefix(MISC_PREFIX)
            yield description, remarks.fit(description, text)
