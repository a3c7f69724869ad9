"""Each rule taken out makes the plant fail, and with words of what it is there for."""

from __future__ import annotations

import pytest

from tests.converge.rules import RULES, Rule
from tests.converge.simulated_site import play

pytestmark = pytest.mark.converge


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_without_the_rule_the_plant_does_not_converge(rule: Rule, tmp_path):
    _, found = play(rule.story, tmp_path, rule.switch)
    assert any(line.startswith(rule.wrong) for line in found.wrong), str(found)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_with_the_rule_the_same_plant_converges(rule: Rule, tmp_path):
    _, found = play(rule.story, tmp_path)
    assert found.wrong == ()
