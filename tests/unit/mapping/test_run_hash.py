"""The hash of a run says whether VTE has it as it was, whatever becomes of it."""

from __future__ import annotations

import pytest

from tests.documented_run import documented_run
from tests.unit.mapping_builders import a_number, a_run
from vte_wats.domain.run import VteProduct
from vte_wats.mapping.run_hash import is_comparable, run_hash


def test_the_hash_of_a_run_is_the_same_in_each_version_of_one_format():
    """Where it is another one, what is read or how it is written changed: raise the number of the format with it."""
    assert run_hash(documented_run()) == "1:0fcaff7bac79c93c"


@pytest.mark.parametrize(
    "changed",
    [{"info1": "x"}, {"steps": (a_number(),)}, {"product": VteProduct(name="PN-1", master_name="x")}],
    ids=lambda fields: next(iter(fields)),
)
def test_whatever_changes_in_vte_changes_the_hash(changed):
    assert run_hash(a_run(**changed)) != run_hash(a_run())


def test_what_a_setting_decides_when_a_run_is_read_does_not_change_the_hash():
    assert run_hash(a_run(operator="Kari")) == run_hash(a_run(operator="op-0123456789abcdef"))


@pytest.mark.parametrize("operator", [None, "", "Kari", 'Ø "K" \\ \u2028\n\x00', ',"operator":"x"'])
def test_the_text_of_a_run_has_the_hash_of_the_run_without_its_operator(operator):
    texts = {"hostname": ',"operator":"Kari"', "info1": '","operator":"Kari'}
    unnamed, named = a_run(operator=None, **texts), a_run(operator=operator, **texts)
    assert run_hash(named, named.as_json()) == run_hash(named) == run_hash(unnamed)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("1:a", "1:b", True), ("1:a", "2:a", False), (None, "1:a", False), ("1:a", None, False), (None, None, False)],
)
def test_hashes_of_one_format_alone_are_comparable(one, other, expected):
    assert is_comparable(one, other) is expected
