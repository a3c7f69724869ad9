"""A variable of the environment that the HTTP client cannot use is named, and nothing of its value is shown."""

import pytest

from vte_wats.domain.errors import FatalError
from vte_wats.wats.client import WatsSession
from vte_wats.wats.environment import usable_environment
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


def test_whatever_else_opening_raises_is_of_the_last_row():
    with pytest.raises(FatalError, match=r"opened \(RuntimeError\): check NO_PROXY"), usable_environment():
        raise RuntimeError("canary")
