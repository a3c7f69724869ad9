"""What is kept of operators' names."""

from __future__ import annotations

import pytest

from tests.unit.builders import a_settings
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.mapping.identity import Operators

SECRET = "a random text that nobody else knows"
PSEUDONYM = a_settings(operator="pseudonym")


def test_names_are_kept_as_they_are_unless_the_site_wants_something_else():
    assert Operators(a_settings()).kept(" Kari ") == " Kari "
    assert Operators(a_settings(operator="omit")).kept("Kari") is None


def test_a_pseudonym_is_the_same_for_one_person_and_secret_and_another_for_others():
    operators = Operators(PSEUDONYM, SECRET)
    assert operators.kept("Kari") == "op-zxuqfnioqqrmom4y"
    assert operators.kept(" KARI ") == operators.kept("Kari")
    assert operators.kept("Ola") != operators.kept("Kari")
    assert Operators(PSEUDONYM, SECRET + ".").kept("Kari") != operators.kept("Kari")


def test_a_pseudonym_holds_nothing_of_the_name():
    assert not {"kari", "nordmann"} & set(str(Operators(PSEUDONYM, SECRET).kept("Kari Nordmann")).split("-"))


@pytest.mark.parametrize("blank", [None, "", "  "])
def test_nobody_has_no_pseudonym(blank):
    assert Operators(PSEUDONYM, SECRET).kept(blank) is None


@pytest.mark.parametrize(("secret", "said"), [(None, "does not exist"), ("  ", "blank"), ("s" * 31, "has 31")])
def test_without_a_secret_long_enough_nothing_is_read_and_the_variable_is_named(secret, said):
    with pytest.raises(FatalError, match="VW450.*vte_wats_operator_secret_oslo.*" + said) as caught:
        Operators(PSEUDONYM, secret, Site("oslo"))
    assert "s" * 31 not in str(caught.value)
