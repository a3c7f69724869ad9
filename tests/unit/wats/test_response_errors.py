"""What an answer of WATS means."""

import ssl
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from pywats.core.exceptions import PyWATSError

from vte_wats.domain.errors import FatalError, RejectedError, RetriableError
from vte_wats.wats.response_errors import (
    RESPONSE_ERRORS,
    FailureClass,
    as_error,
    failure_of_exception,
    failure_of_status,
    retry_after_s,
    server_message,
    signature,
)


def wrapped(cause):
    """Return an error as pyWATS raises it while it deals with another: the cause is its context only."""
    error = PyWATSError(f"HTTP request failed: {cause}")
    error.__context__ = cause
    return error


def test_every_status_but_a_success_has_a_class():
    unclassed = [status for status in range(100, 1000) if failure_of_status(status) is None]
    assert unclassed == list(range(200, 300))


@pytest.mark.parametrize(
    ("cause", "failure_class"),
    [
        (httpx.ConnectError("refused"), FailureClass.TRANSIENT),
        (httpx.ConnectTimeout(""), FailureClass.TRANSIENT),
        (httpx.PoolTimeout(""), FailureClass.TRANSIENT),
        (httpx.ProxyError("502"), FailureClass.TRANSIENT),
        (httpx.ReadTimeout(""), FailureClass.AMBIGUOUS),
        (httpx.WriteTimeout(""), FailureClass.AMBIGUOUS),
        (httpx.ReadError(""), FailureClass.AMBIGUOUS),
        (httpx.RemoteProtocolError(""), FailureClass.AMBIGUOUS),
        (httpx.DecodingError(""), FailureClass.AMBIGUOUS),
        (ssl.SSLCertVerificationError(1, "self-signed"), FailureClass.FATAL),
        (httpx.UnsupportedProtocol(""), FailureClass.FATAL),
        (httpx.InvalidURL("no"), FailureClass.FATAL),
        (RuntimeError("a bug"), FailureClass.FATAL),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_an_error_of_the_transport_is_classed_through_the_wrapping_of_pywats(cause, failure_class):
    assert failure_of_exception(wrapped(cause)).failure_class is failure_class


def test_each_class_becomes_its_error_and_says_what_where_why_and_what_to_do():
    kinds = {
        FailureClass.TRANSIENT: RetriableError,
        FailureClass.AMBIGUOUS: RetriableError,
        FailureClass.REJECTED: RejectedError,
        FailureClass.FATAL: FatalError,
    }
    for failure in RESPONSE_ERRORS:
        error = as_error(failure, "POST https://acme/api", "HTTP 000: the reason")
        assert type(error) is kinds[failure.failure_class]
        for part in (failure.message.meaning, "POST https://acme/api", "HTTP 000: the reason", failure.message.advice):
            assert part in str(error)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ({"message": "No."}, "No."),
        ({"Message": "The request is invalid.", "ModelState": {"report.sn": ["too long", "blank"]}},
         "The request is invalid. report.sn: too long blank"),
        ({"title": "Bad", "detail": "serial"}, "Bad serial"),
        ({"other": 1}, ""),
        ("<html><head><title>Sign\n in</title></head><body>x</body></html>", "Sign in"),
        ("<h1>Bad  Request</h1>", "Bad Request"),
        (None, ""),
        (["a"], ""),
    ],
)  # fmt: skip
def test_the_reason_is_taken_from_the_shapes_servers_use(content, text):
    assert server_message(content) == text


def test_a_long_reason_is_cut():
    assert len(server_message("x" * 10_000)) == 200


MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    "content",
    [
        "<" * MEGABYTE,
        "<title>" * (MEGABYTE // 7),
        "<a" * (MEGABYTE // 2),
        " " * MEGABYTE,
        {"message": "<" * MEGABYTE},
        {"errors": {f"field {n}": ["is wrong"] for n in range(MEGABYTE // 20)}},
        {"error": [[["a"] * 1_000] * 1_000]},
    ],
    ids=["brackets", "titles", "tags", "blanks", "a message", "many errors", "many parts"],
)
def test_a_megabyte_of_anything_is_read_in_no_time(content):
    """What takes more than linear time for one of these takes hours."""
    assert len(server_message(content)) <= 200


def test_what_is_nested_deeper_than_any_message_is_left_out():
    nested = "deep"
    for _ in range(900):
        nested = {"message": nested}
    assert "deep" not in server_message(nested)
    assert server_message({"errors": {"pn": [{"message": "too long"}]}}) == "pn: message: too long"


@pytest.mark.parametrize("text", ["a" * MEGABYTE, "a-" * (MEGABYTE // 2), "1" * MEGABYTE], ids=["a", "a-", "1"])
def test_a_megabyte_of_a_reason_has_a_short_signature(text):
    assert len(signature(f"HTTP 400: {text}", ["known"])) <= 200


def test_a_secret_that_the_server_repeats_is_taken_out_before_the_line_is_cut():
    assert "hunter" not in server_message({"message": "x" * 195 + "hunter2"}, "hunter2")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HTTP 400: serial SN-0001 is longer than 100", "HTTP 400: serial SN-0002 is longer than 100"),
        ("HTTP 400: report 6e1cf9a2-0f0c-4c8e-9c43-d0a4e01fd7f1 exists",
         "HTTP 400: report {A0B1C2D3-0000-4C8E-9C43-D0A4E01FD7F1} exists"),
        ("HTTP 400: start 2026-11-23T12:00:00Z is in the future",
         "HTTP 400: start 2026-11-24T01:02:03.123+01:00 is in the future"),
        ("HTTP 400: root.steps[2].name: must not be blank", "HTTP 400: root.steps[17].name: must not be blank"),
        ("HTTP 400: value 1.5e-3 of AB12 is bad", "HTTP 400: value -7 of XY9 is bad"),
    ],
)  # fmt: skip
def test_equal_causes_have_equal_signatures(one, other):
    assert signature(one) == signature(other)


def test_a_value_that_wats_names_and_cuts_does_not_split_a_signature():
    reasons = [f"HTTP 400: sn is longer than 100, given '{character * 60}…'" for character in "xy"]
    assert len({signature(reason, [reason[-3] * 101]) for reason in reasons}) == 1
    assert signature("HTTP 400: location… is blank", ["SN-1"]) == "HTTP 400: location… is blank"


def test_a_serial_without_digits_does_not_split_a_signature():
    one = signature("HTTP 400: serial alpha is unknown", ["alpha", "PN"])
    assert one == signature("HTTP 400: serial O'Hara + Söhne is unknown", ["O'Hara + Söhne", "PN"])
    assert one == "HTTP 400: serial … is unknown"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("HTTP 400: sn: too long", "HTTP 413: sn: too long"),
        ("HTTP 400: sn: too long", "HTTP 400: pn: too long"),
        ("HTTP 400", "HTTP 409"),
    ],
)
def test_different_causes_have_different_signatures(one, other):
    assert signature(one) != signature(other)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 30),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:00 GMT", "date": "Mon, 23 Nov 2026 12:00:30 GMT"}, 0),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30 -0000", "date": "Mon, 23 Nov 2026 12:00:00 GMT"}, 30),
    ],
)
def test_retry_after_is_read_as_seconds_and_as_date_by_the_clock_of_the_server(headers, seconds):
    assert retry_after_s(headers) == seconds


def test_a_date_in_retry_after_falls_back_to_the_own_clock():
    soon = format_datetime(datetime.now(UTC) + timedelta(minutes=10), usegmt=True)
    assert 500 < retry_after_s({"retry-after": soon}) <= 600


@pytest.mark.parametrize("asked", ["999999999", "Fri, 31 Dec 9999 23:59:59 GMT"])
def test_no_pause_is_longer_than_a_day(asked):
    assert retry_after_s({"retry-after": asked}) == 86_400
