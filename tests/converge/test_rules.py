"""Each rule taken out makes the plant fail, and with words of what it is there for."""

from __future__ import annotations

import pytest

from tests.converge.rules import RULES, STORIES, Rule
from tests.converge.simulated_site import play

pytestmark = pytest.mark.converge


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_without_the_rule_the_plant_does_not_converge(rule: Rule, tmp_path):
    _, found = play(STORIES[rule.story], tmp_path, rule.switch)
    assert any(line.startswith(rule.wrong) for line in found.wrong), (str(found), found.wrong)


@pytest.mark.parametrize("story", STORIES)
def test_with_all_rules_the_same_plant_converges(story: str, tmp_path):
    """Of each story, so that it fails without a rule because of that rule."""
    assert {rule.story for rule in RULES} == STORIES.keys()
    _, found = play(STORIES[story], tmp_path)
    assert found.wrong == ()
