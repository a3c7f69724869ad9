"""What the bytes of a result are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vte_wats.mapping.content_types import text_in
from vte_wats.mapping.texts import printable


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain\r\n\ttext", "plain\r\n\ttext"),
        ("Ω 測試".encode(), "Ω 測試"),
        (b"\xef\xbb\xbfmarked", "marked"),
        ("Ω".encode("utf-16"), "Ω"),
        ("\ufeffΩ".encode("utf-16-be"), "Ω"),
        ("3.3 V".encode("utf-16-le"), "3.3 V"),
        (b"", None),
        (b"a\x00", "a"),
        (b"a\x00b", None),
        (b"\x00\x00", None),
        ("Ω".encode("utf-16-le"), None),
        (b"\xff\xfe\x00\xd8", None),
        (b"\x80abc", None),
        (b"a\x01b", None),
        ("a\x85".encode(), None),
        (b"%PDF-1.4", None),
    ],
)
def test_bytes_are_text_only_in_an_encoding_that_is_certain(content, text):
    assert text_in(content) == text


@given(st.binary())
def test_text_found_in_bytes_is_always_carriable_as_it_is(content):
    text = text_in(content)
    assert text is None or printable(text) == text.strip()
