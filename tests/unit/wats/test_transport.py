"""A variable of the environment that the HTTP client cannot use is named, and nothing of its value is shown."""

from __future__ import annotations

import ssl

import httpx
import pytest

from vte_wats.domain.errors import FatalError
from vte_wats.wats.client import WatsSession
from vte_wats.wats.transport import ENVIRONMENT_ERRORS, usable_environment
from vte_wats.wats.wats_connection import WatsConnection

TOKEN = "dnRlOmNhbmFyeQ=="
VARIABLES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def ask():
    connection = WatsConnection.parse(
        "wats_default", host="https://127.0.0.1:9", port=None, login=None, password=TOKEN, extra='{"attempts": 1}'
    )
    with WatsSession(connection, first_backoff_s=0.01) as session:
        session.version()


@pytest.mark.report("P5")
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NO_PROXY", "localhost,fd00::/8"),
        ("no_proxy", "[::1]"),
        ("NO_PROXY", "[fe80::1%eth0]"),
        ("SSL_CERT_FILE", "/canary/is/not/there.pem"),
        ("ALL_PROXY", "socks5://user:canary@proxy.example:1080"),
        ("HTTPS_PROXY", "http://user:canary@proxy.example:port"),
        ("HTTPS_PROXY", "ftp://proxy.example"),
        ("https_proxy", "http://[::1"),
    ],
)
def test_a_variable_that_cannot_be_used_stops_with_its_name(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(FatalError) as raised:
        ask()
    assert raised.value.code == "VW115"
    assert name in str(raised.value)
    assert "canary" not in str(raised.value)


def test_a_file_that_holds_no_certificate_is_named(monkeypatch, tmp_path):
    (tmp_path / "ca.pem").write_text("nothing")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    with pytest.raises(FatalError, match="SSL_CERT_FILE"):
        ask()


CASES = [
    (ImportError("Using SOCKS proxy, but the 'socksio' package is not installed"), "ALL_PROXY"),
    (FileNotFoundError(2, "No such file"), "SSL_CERT_FILE"),
    (ssl.SSLError("no certificate found"), "SSL_CERT_DIR"),
    (httpx.InvalidURL("invalid port"), "HTTPS_PROXY"),
    (ValueError("invalid IPv6"), "NO_PROXY"),
    (RuntimeError("canary"), "NO_PROXY"),
]


def problem_of(raised: Exception) -> str:
    with pytest.raises(FatalError) as caught, usable_environment():
        raise raised
    return str(caught.value)


@pytest.mark.parametrize(("raised", "variable"), CASES, ids=repr)
def test_whatever_opening_a_client_raises_names_the_variables_that_may_cause_it(raised, variable):
    line = problem_of(raised)
    assert line.startswith(f"VW115 the client to WATS cannot be opened ({type(raised).__name__}): check ")
    assert variable in line.partition(" in the environment")[0]
    assert str(raised) not in line


def test_every_row_of_the_table_is_shown_by_a_case_and_the_last_one_is_for_everything():
    lines = [problem_of(raised) for raised, _ in CASES]
    rules = [row.rule for row in ENVIRONMENT_ERRORS]
    assert [rule for rule in rules if not any(line.endswith(rule) for line in lines)] == []
    assert len(set(rules)) == len(ENVIRONMENT_ERRORS)
    assert problem_of(ZeroDivisionError("x")).endswith(rules[-1])
