"""Messages over real sockets: SMTP to a mail server, HTTP to an Apprise target, through Airflow's connections."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from sandbox.mail import MailCatcher, forms_of
from vte_wats.alerting.mails import MailContent, Tone, render
from vte_wats.config.alert_settings import AlertSettings
from vte_wats.domain.errors import RetriableError
from vte_wats.orchestration.notifiers import channels, sender

MESSAGE = render(
    MailContent(
        sender="vte-wats",
        subject="PROBLEM: Prüfplatz «Ø» 測試 {{ dag }} %s",
        tone=Tone.BAD,
        headline="A very long line of text " * 60,
        facts=[("lastSync", "12:00 – Köln {{ conn.wats_default.password }}")],
        footer="From vte_wats_monitor",
    )
)
MAIL = AlertSettings(recipients=("one@factory.example", "two@factory.example"))


class Webhook(BaseHTTPRequestHandler):
    """Keeps what is posted; answers as the test says."""

    def do_POST(self) -> None:
        self.server.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webhook(monkeypatch) -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Webhook)
    server.posted, server.status = [], 200
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    config = {"path": f"json://127.0.0.1:{server.server_port}/hook", "tag": "alerts"}
    monkeypatch.setenv("AIRFLOW_CONN_APPRISE_HOOK", json.dumps({"conn_type": "apprise", "extra": {"config": config}}))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def mail(monkeypatch) -> Iterator[MailCatcher]:
    with MailCatcher() as catcher:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(catcher.connection))
        yield catcher


def test_a_mail_arrives_once_in_both_forms_unaltered(mail):
    sender(MAIL)(MESSAGE)
    (received,) = mail.mails
    assert received["subject"] == MESSAGE.subject
    assert received["from"] == "vte-wats@factory.example"
    assert received["to"] == "one@factory.example, two@factory.example"
    assert received["date"]
    assert received["message-id"]
    assert received.get_content_type() == "multipart/alternative"
    assert tuple(form.replace("\r\n", "\n") for form in forms_of(received)) == (MESSAGE.text, MESSAGE.html)


def test_nothing_in_a_message_is_a_template(mail, webhook):
    sender(AlertSettings(recipients=("a@x.example",), apprise_connection="apprise_hook"))(MESSAGE)
    assert "{{ conn.wats_default.password }}" in forms_of(mail.mails[0])[0]
    assert "{{ conn.wats_default.password }}" in webhook.posted[0]["message"]


def test_a_webhook_gets_subject_and_text(webhook):
    sender(AlertSettings(apprise_connection="apprise_hook"))(MESSAGE)
    (posted,) = webhook.posted
    assert posted["title"] == MESSAGE.subject
    assert "lastSync" in posted["message"]


def test_a_webhook_that_refuses_is_a_failure(webhook):
    webhook.status = 500
    with pytest.raises(RetriableError, match="apprise_hook refused"):
        sender(AlertSettings(apprise_connection="apprise_hook"))(MESSAGE)


def test_a_mail_server_that_refuses_is_a_failure(mail):
    mail.refuses = True
    with pytest.raises(RetriableError, match=r"MailNotifier: VW633 .* of smtp_default"):
        sender(MAIL)(MESSAGE)
    assert mail.refused


def test_one_channel_that_works_is_enough(mail, webhook, caplog):
    mail.refuses = True
    sender(AlertSettings(recipients=("a@x.example",), apprise_connection="apprise_hook"))(MESSAGE)
    assert len(webhook.posted) == 1
    assert "one channel failed: MailNotifier" in caplog.text


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        (None, "Check the connection of smtp_default: does not exist, or was encrypted with another"),
        ({"conn_type": "smtp", "host": "127.0.0.1", "port": 9, "extra": {"disable_ssl": True}}, "refused"),
    ],
)
def test_a_connection_that_leads_nowhere_is_a_failure_that_names_it(monkeypatch, fields, words):
    if fields is not None:
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(fields))
    with pytest.raises(RetriableError, match=words):
        sender(MAIL)(MESSAGE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"extra": {"disable_ssl": False, "retry_limit": 0}}, "disable_tls and disable_ssl in extra of smtp_default"),
        ({"login": "someone", "password": "secret"}, "disable_tls and disable_ssl in extra of smtp_default"),
        ({"port": 9}, "Check host and port of smtp_default"),
    ],
    ids=["TLS on a plain port", "a login on a server without", "nobody listens"],
)
def test_a_field_that_does_not_fit_the_server_is_named(mail, monkeypatch, change, words):
    fields = mail.connection
    extra = fields["extra"] | change.get("extra", {})
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(fields | change | {"extra": extra}))
    with pytest.raises(RetriableError, match=f"VW601 MailNotifier: VW633 .*{words}"):
        sender(MAIL)(MESSAGE)


def test_a_mail_connection_without_a_sender_says_what_to_set(mail, monkeypatch):
    fields = mail.connection
    del fields["extra"]["from_email"]
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(fields))
    with pytest.raises(RetriableError, match="smtp_default has no from_email"):
        sender(MAIL)(MESSAGE)


@pytest.mark.parametrize(
    ("connection", "words"),
    [
        (None, "Check the connection of apprise_hook: does not exist"),
        ({"conn_type": "apprise", "extra": {"config": {"path": "nothing://", "tag": "a"}}}, "names no target"),
        ({"conn_type": "apprise", "extra": {"config": {"path": "json://127.0.0.1:9/x", "tag": "a"}}}, "be reached"),
        ({"conn_type": "apprise", "extra": {}}, "Check config in extra of apprise_hook"),
    ],
    ids=["no connection", "no target", "nobody listens", "no config"],
)
def test_a_chat_that_takes_no_message_is_a_failure_that_names_the_field(monkeypatch, connection, words):
    if connection is not None:
        monkeypatch.setenv("AIRFLOW_CONN_APPRISE_HOOK", json.dumps(connection))
    with pytest.raises(RetriableError, match=f"VW601 TargetNotifier: VW568 .*{words}"):
        sender(AlertSettings(apprise_connection="apprise_hook"))(MESSAGE)


def test_the_channels_name_no_address():
    both = AlertSettings(recipients=("a@x.example",), apprise_connection="apprise_hook")
    assert channels(both) == ("mail to 1 recipient", "connection apprise_hook")
    assert channels(AlertSettings()) == ()
