"""Patterns take values out of texts, and no pattern and no text is slow."""

from __future__ import annotations

import re

import pytest

from tests.unit.builders import a_settings
from vte_wats.config.text_rules import TEXT_LIMIT, parse_pattern


@pytest.mark.parametrize(
    ("pattern", "text", "taken"),
    [
        ("{batch}", " 47 ", {"batch": "47"}),
        ("Lot {batch}", "Lot 47", {"batch": "47"}),
        ("Lot {batch}", "lot 47", None),
        ("Lot {batch}", "Lot ", None),
        ("Lot {batch}", "Lot  ", {}),
        ("{batch}-{fixture}", "a-b-c", {"batch": "a", "fixture": "b-c"}),
        ("{batch};*", "a;", {"batch": "a"}),
        ("*#{socket}", "anything #3", {"socket": "3"}),
        ("*#{socket} *", "# #3 hot", {"socket": "#3"}),
        ("{batch} end", "a end end", {"batch": "a end"}),
        ("?{batch}?", "[47]", {"batch": "47"}),
        ("a.b+{batch}", "a.b+1", {"batch": "1"}),
        ("a.b+{batch}", "axbb1", None),
        ("{misc:Oven no. *}|{batch}", "12|\n3", {"misc:Oven no. *": "12", "batch": "3"}),
        ("測試{batch}😀", "測試Ø😀", {"batch": "Ø"}),
    ],
)
def test_a_pattern_describes_a_whole_text_and_its_groups_take_parts_of_it(pattern, text, taken):
    assert parse_pattern(pattern).groups_in(text) == taken


@pytest.mark.parametrize("pattern", ["{batch}" + "a*a?a" * 30 + "b", "*a{batch}" + "a*" * 90 + "b"])
def test_no_text_makes_a_pattern_try_things_twice(pattern):
    assert parse_pattern(pattern).groups_in("a" * TEXT_LIMIT) is None


def test_a_text_beyond_the_limit_matches_nothing():
    pattern = parse_pattern("{batch}")
    assert pattern.groups_in("a" * TEXT_LIMIT) is not None
    assert pattern.groups_in("a" * (TEXT_LIMIT + 1)) is None


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ("Lot *", "takes nothing"),
        (" Lot {batch}", "begins or ends with a blank"),
        ("{batch}*", "need a text between them"),
        ("{batch}{fixture}", "need a text between them"),
        ("*{batch}", "need a text between them"),
        ("{batch} {batch}", "names a group twice"),
        ("{lot}", "{lot} is none of batch, fixture, socket, part_revision, misc:<name of a misc info>"),
        ("{}", "{} is none of"),
        ("{batch} }", "{ and } stand around"),
        ("{misc: }", "1 to 100 characters"),
        ("{misc:" + "a" * 101 + "}", "1 to 100 characters"),
        ("{misc:source_hash}", "reports have a misc info source_hash already"),
    ],
)
def test_a_wrong_pattern_is_refused_with_its_rule(pattern, rule):
    with pytest.raises(ValueError, match=re.escape(rule)):
        parse_pattern(pattern)


def test_a_wrong_pattern_in_the_settings_names_its_field():
    with pytest.raises(ValueError, match=r"text_rules\.0\.pattern\n.*takes nothing"):
        a_settings(text_rules=[{"source": "info1", "pattern": "Lot"}])
