from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vte_wats.domain.redaction import redact, shown


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("at https://ann:hunter2@wats.example/api failed", "at https://***@wats.example/api failed"),
        ("at s3://key:p@ss/w#rd@bucket/x", "at s3://***@bucket/x"),
        ("//ann:hunter2@wats.example refused", "***@wats.example refused"),
        ("ann:hunter2@wats.example:443", "***@wats.example:443"),
        ("https://ann:a://b@wats.example", "***@wats.example"),
        ("Server=db;Pwd=hunter2;Encrypt=yes", "Server=db;Pwd=***;Encrypt=yes"),
        ('{"password": "hunter 2", "port": 1}', '{"password": ***, "port": 1}'),
        ("{'api_key': 'hunter2'}", "{'api_key': ***}"),
        ("token = 'hunter 2 and what was cut", "token = ***"),
        ("https://x.blob/y?sv=1&sig=aGVsbG8%3D&se=2", "https://x.blob/y?sv=1&sig=***&se=2"),
        ("Authorization: Basic dXNlcjpodW50ZXIyCg==", "Authorization: Basic ***"),
        ("Login failed for user 'vte_reader'.", "Login failed for user '***'."),
        ("password: required, the API token of WATS", "password: required, the API token of WATS"),
        (
            "the token lacks a right; basic authentication is used",
            "the token lacks a right; basic authentication is used",
        ),
        ("write to ann@factory.example", "write to ann@factory.example"),
    ],
)
def test_a_text_loses_its_credentials_and_keeps_the_rest(text, redacted):
    assert redact(text) == redacted


@pytest.mark.parametrize(
    ("text", "shown_as"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x9b6n and \x00 and \x7f", r"\x9b6n and \x00 and \x7f"),
        ("\u202eevil\u2066x\u2069", r"\u202eevil\u2066x\u2069"),
        ("over\rwritten", r"over\rwritten"),
        ("token=abc\x1fdef", "token=***"),
        ("two\r\nlines\tand 'ø' 😀 of text\n", "two\r\nlines\tand 'ø' 😀 of text\n"),
    ],
)
def test_what_a_terminal_obeys_is_written_out_and_other_text_stays(text, shown_as):
    assert redact(text) == shown_as


@given(st.text())
def test_what_is_redacted_stays_as_it_is(text):
    assert redact(redact(text)) == redact(text)


@pytest.mark.parametrize(
    "piece", ["://", "password=", "password='", 'token="', "user '", "basic ", "a://b@", "sig =", "x"]
)
def test_a_megabyte_is_redacted_in_one_pass(piece):
    """What is not linear takes minutes here, and the test's own limit ends it."""
    redact(piece * (1_000_000 // len(piece)))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"), (0, "0"), (1.5, "1.5"), (True, "true"), ("Oslo", "'Oslo'"),
        ({"password": "hunter2"}, "an object"), (["hunter2"], "a list"), (10**200, "a number of more than 100 digits"),
        ("s3://ann:hunter2@bucket", "'s3://***@bucket'"), (b"hunter2", "another kind of value"),
    ],
)  # fmt: skip
def test_a_value_is_named_and_a_group_of_values_is_not(value, text):
    assert shown(value) == text


def test_a_long_value_is_redacted_before_it_is_cut():
    assert "hunter" not in shown("x" * 90 + " password=hunter2")
    assert len(shown("y" * 5_000)) < 110
