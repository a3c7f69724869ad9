"""Texts fit WATS, and nothing of them is lost on the way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vte_wats.mapping.texts import Remarks, printable, shortened, width


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (None, ""),
        ("  a  ", "a"),
        ("\t a\tb\r\n", "a\tb"),
        ("a\x00\x0b\x1f", "a␀␋␟"),
        ("\x1ca\x1f", "␜a␟"),
        ("a\ud800b\udfff", "a\ufffdb\ufffd"),
        ("\ufffe\uffff", "\ufffd\ufffd"),
        ("\x7f\x85x\xa0", "\x7f\x85x"),
        ("測試😀", "測試😀"),
    ],
)
def test_a_text_is_stripped_and_its_unprintable_characters_are_made_visible(text, printed):
    assert printable(text) == printed


def test_the_width_counts_the_way_nvarchar_does():
    assert (width("a"), width("Ω"), width("😀")) == (1, 1, 2)


@pytest.mark.parametrize(
    ("text", "kept"), [("abcd", "abcd"), ("abcde", "abc…"), ("😀😀", "😀😀"), ("😀😀😀", "😀…"), ("a😀😀", "a😀…")]
)
def test_a_text_is_shortened_to_the_limit_without_splitting_a_character(text, kept):
    assert shortened(text, 4) == kept


@given(st.text(), st.integers(1, 200))
def test_a_shortened_text_never_exceeds_the_limit_and_begins_like_the_text(text, limit):
    kept = shortened(text, limit)
    assert width(kept) <= limit
    assert kept == text or text.startswith(kept[:-1])


@given(st.text())
def test_a_fitted_text_is_valid_and_fitting_it_again_changes_nothing(text):
    printed = printable(text)
    assert printable(printed) == printed
    printed.encode()


def test_a_remark_stands_once():
    remarks = Remarks()
    for _ in range(2):
        remarks.fit("info1", "x" * 101)
        remarks.add("")
    assert str(remarks) == "info1 in full: " + "x" * 101
