"""An attack on the people in a chat: a product's name that calls all of them, sent through Apprise's own plugin."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from vte_wats.alerting.mails import MailContent, Tone, render
from vte_wats.config.alert_settings import AlertSettings
from vte_wats.orchestration.notifiers import sender

CALL = "@channel [all](http://evil.example) <!here>"


class Mattermost(BaseHTTPRequestHandler):
    """Keeps what is posted."""

    def do_POST(self) -> None:
        self.server.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mattermost(monkeypatch) -> Iterator[HTTPServer]:
    with HTTPServer(("127.0.0.1", 0), Mattermost) as server:
        server.posted = []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        config = {"path": f"mmost://127.0.0.1:{server.server_port}/3ccdd113474722377935511fc85d3dd4", "tag": "alerts"}
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps({"conn_type": "apprise", "extra": {"config": config}}))
        yield server
        server.shutdown()
        thread.join()


def test_a_product_named_after_everybody_calls_nobody(mattermost):
    sender(AlertSettings(apprise_connection="chat"))(
        render(
            MailContent(
                sender="vte-wats", subject=CALL, tone=Tone.BAD, headline=CALL, facts=[("Product", CALL)], footer="end",
                links=[("Open", "https://airflow.example/dags")],
            )
        )
    )  # fmt: skip
    (posted,) = mattermost.posted
    assert not any(mark in posted["text"] for mark in ("@channel", "](http", "http://", "<!here"))
    assert "Open: https://airflow.example/dags" in posted["text"]
