"""The WATS connection as a person fills it in."""

import base64
import json
from pathlib import Path

import pytest

from vte_wats.domain.errors import FatalError
from vte_wats.wats.wats_connection import GuidQuoting, WatsConnection

TOKEN = base64.b64encode(b"vte:a secret").decode()


def parse(**fields):
    given = {"host": "https://acme.wats.com", "port": None, "login": None, "password": TOKEN, "extra": None}
    return WatsConnection.parse("wats_default", **(given | fields))


def test_a_connection_with_address_and_token_alone_has_every_default():
    connection = parse()
    assert connection.url == "https://acme.wats.com"
    assert connection.token.get_secret_value() == TOKEN
    assert (connection.requests_per_minute, connection.concurrent_tasks, connection.share_per_minute) == (500, 1, 498)
    assert (connection.concurrency, connection.timeout_s, connection.attempts) == (8, 30, 3)
    assert (connection.verify_tls, connection.ca_file, connection.guid_quoting) == (True, None, GuidQuoting.AUTO)


def test_blank_form_fields_mean_the_default():
    assert parse(extra=json.dumps({"requests_per_minute": None, "timeout_s": "", "ca_file": ""})) == parse()


def test_options_from_an_environment_variable_may_be_text():
    connection = parse(extra=json.dumps({"requests_per_minute": "60", "verify_tls": "false", "guid_quoting": "quoted"}))
    assert (connection.requests_per_minute, connection.verify_tls) == (60, False)
    assert connection.guid_quoting is GuidQuoting.QUOTED


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("https://acme.wats.com/", None, "https://acme.wats.com"),
        ("https://acme.wats.com/api/", None, "https://acme.wats.com"),
        ("https://proxy.example/wats/api", None, "https://proxy.example/wats"),
        ("acme.wats.com", None, "https://acme.wats.com"),
        ("acme.wats.com", 8443, "https://acme.wats.com:8443"),
        ("http://127.0.0.1:8080", 8080, "http://127.0.0.1:8080"),
        (" http://[::1]:8080 ", None, "http://[::1]:8080"),
    ],
)
def test_the_address_may_be_written_in_the_usual_ways(host, port, url):
    assert parse(host=host, port=port).url == url


@pytest.mark.parametrize(
    ("host", "port", "rule"),
    [
        (None, None, "host: required"),
        ("  ", None, "host: required"),
        ("ftp://acme.wats.com", None, "http or https"),
        ("https://", None, "http or https"),
        ("https://ac me.com", None, "http or https"),
        ("https://acme.wats.com:port", None, "host: must be an address"),
        ("https://acme.wats.com/?a=1", None, "without query"),
        ("https://vte:a-secret@acme.wats.com", None, "must not contain a login"),
        ("https://acme.wats.com:1", 2, "port: differs"),
    ],
)
def test_a_wrong_address_is_refused_by_its_rule(host, port, rule):
    with pytest.raises(FatalError, match=rule) as raised:
        parse(host=host, port=port)
    assert "Connections › wats_default" in str(raised.value)
    assert "a-secret" not in str(raised.value)


def test_login_and_password_become_the_token():
    connection = parse(login="vte", password="Grüße: 1")
    assert base64.b64decode(connection.token.get_secret_value()).decode() == "vte:Grüße: 1"


def test_whitespace_around_a_token_is_dropped():
    assert parse(password=f" {TOKEN}\n").token.get_secret_value() == TOKEN


@pytest.mark.parametrize(
    ("login", "password"),
    [
        (None, None),
        ("vte", None),
        (None, f"{TOKEN[:6]}\n{TOKEN[6:]}"),
        (None, f"Basic {TOKEN}"),
        (None, "vte:canary-secret"),
        (None, "canary-sécret"),
    ],
    ids=["nothing", "login alone", "line break inside", "with the word Basic", "user:password", "not ASCII"],
)
def test_a_wrong_token_is_refused_without_showing_it(login, password):
    with pytest.raises(FatalError, match="password: ") as raised:
        parse(login=login, password=password)
    shown = repr(raised.value)
    assert not any(piece in shown for piece in (TOKEN[:6], TOKEN[6:], "canary"))


def test_every_mistake_is_reported_at_once_with_field_rule_value_and_place(tmp_path):
    extra = {"requests_per_minute": 0, "attempts": "many", "ca_file": str(tmp_path / "none.pem"), "colour": "violet"}
    with pytest.raises(FatalError) as raised:
        parse(host="", password="", extra=json.dumps(extra))
    text = str(raised.value)
    assert "6 field(s)" in text
    assert "Airflow › Admin › Connections › wats_default" in text
    for part in (
        "host: ",
        "password: ",
        "requests_per_minute: ",
        "given 0",
        "attempts: ",
        "'many'",
        "ca_file: must be",
        "colour: ",
    ):
        assert part in text
    assert "violet" not in text


def test_a_ca_file_whose_name_is_too_long_is_refused_like_one_that_is_absent():
    with pytest.raises(FatalError, match=r"VW108 [^-]*- ca_file: must be a readable file on every machine") as raised:
        parse(extra=json.dumps({"ca_file": f"/etc/{'x' * 300}.pem"}))
    assert "given '/etc/xxx" in str(raised.value)


@pytest.mark.parametrize("raised", [PermissionError(13, "Permission denied"), OSError(5, "Input/output error")])
def test_a_ca_file_in_a_folder_that_may_not_be_entered_is_refused_like_one_that_is_absent(
    tmp_path, monkeypatch, raised
):
    def fails(_: Path) -> bool:
        raise raised

    monkeypatch.setattr(Path, "is_file", fails)  # root, as which tests may run, enters every folder
    with pytest.raises(FatalError, match=r"VW108 [^-]*- ca_file: must be a readable file on every machine"):
        parse(extra=json.dumps({"ca_file": str(tmp_path / "ca.pem")}))


@pytest.mark.parametrize("extra", ["{", "[]", "7"])
def test_an_extra_that_is_no_json_object_is_refused(extra):
    with pytest.raises(FatalError, match="extra: "):
        parse(extra=extra)


def test_a_connection_never_shows_its_token():
    connection = parse()
    assert TOKEN not in f"{connection!r} {connection} {connection.model_dump()} {connection.model_dump_json()}"


@pytest.mark.parametrize("extra", ['{"password": "s3cret-token", ', '["s3cret-token"]', '"s3cret-token"'])
def test_an_extra_that_is_no_object_is_refused_without_being_shown(extra):
    with pytest.raises(FatalError, match="extra: ") as raised:
        parse(extra=extra)
    assert "s3cret" not in str(raised.value)
