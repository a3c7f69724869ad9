"""Who listens on the way to a server, or stands in its place, learns nothing without somebody having allowed it."""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest

from sandbox.environment import READER, READER_PASSWORD
from sandbox.sqlserver.server import Login, SqlServer
from sandbox.vte.vte_database import NAME, open_database
from tests.certificates import self_signed
from tests.integration.conftest import hook_to
from vte_wats.config.settings import Settings
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.vte.reader import VteSource
from vte_wats.wats.client import WatsSession
from vte_wats.wats.wats_connection import WatsConnection

TOKEN = base64.b64encode(b"vte:canary").decode()
SETTINGS = Settings.model_validate({"source_timezone": "UTC", "process_map": {"*": 100}})


def wats_connection(host: str, extra: str = "{}") -> WatsConnection:
    return WatsConnection.parse("wats_default", host=host, port=None, login=None, password=TOKEN, extra=extra)


@pytest.mark.parametrize(
    "host", ["http://wats.factory.example", "http://192.0.2.7:8080", "http://localhost.evil.example"]
)
def test_a_token_does_not_travel_unencrypted_unless_somebody_allowed_it(host):
    with pytest.raises(FatalError, match="unencrypted") as raised:
        wats_connection(host)
    assert "allow_http" in str(raised.value)
    assert wats_connection(host, '{"allow_http": true}').url == host


@pytest.mark.parametrize("host", ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080"])
def test_this_machine_itself_may_be_spoken_to_in_clear(host):
    assert wats_connection(host).url == host


class Recorder:
    """A listener that keeps the first bytes of each connection that gets through its handshake."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context, self.received = context, b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        try:
            while True:
                plain, _ = self._listener.accept()
                self._take(plain)
        except OSError:
            return

    def _take(self, plain: socket.socket) -> None:
        try:
            with self._context.wrap_socket(plain, server_side=True) as encrypted:
                self.received += encrypted.recv(65_536)
        except OSError:
            return


def test_a_wats_with_a_foreign_certificate_never_sees_the_token(tmp_path):
    _, context = self_signed(tmp_path)
    recorder = Recorder(context)
    try:
        with (
            WatsSession(wats_connection(f"https://127.0.0.1:{recorder.port}"), first_backoff_s=0.01) as session,
            pytest.raises(FatalError, match="certificate"),
        ):
            session.version()
        assert recorder.received == b""
    finally:
        recorder.close()


@pytest.mark.report("P8")
def test_the_authority_of_a_company_is_accepted_where_python_asks_for_more_than_it_has(tmp_path, monkeypatch):
    """Python 3.13 sets this flag for every context; its authorities lack what RFC 5280 asks for."""
    create = ssl.create_default_context

    def create_as_python_3_13(**given):
        context = create(**given)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", create_as_python_3_13)
    pem, context = self_signed(tmp_path)
    recorder = Recorder(context)
    try:
        connection = wats_connection(f"https://127.0.0.1:{recorder.port}", f'{{"ca_file": "{pem}", "attempts": 1}}')
        with WatsSession(connection, first_backoff_s=0.01) as session, pytest.raises(RetriableError):
            session.version()  # the recorder hangs up without an answer
        assert b"Basic" in recorder.received
    finally:
        recorder.close()


@pytest.fixture
def encrypted_vte(tmp_path) -> Iterator[tuple[str, SqlServer]]:
    pem, context = self_signed(tmp_path)
    with SqlServer(open_database(), logins=[Login(READER, READER_PASSWORD)], tls=context) as server:
        yield str(pem), server


def vte(server: SqlServer) -> VteSource:
    fields = {"conn_type": "mssql", "host": "localhost", "port": server.port, "schema": NAME}
    fields |= {"login": READER, "password": READER_PASSWORD, "extra": {"encryption": "require"}}
    return VteSource(SETTINGS, hook_to(fields))


def freetds(monkeypatch, folder, authority: str) -> None:
    conf = folder / "freetds.conf"
    conf.write_text(f"[global]\n\tca file = {authority}\n")
    monkeypatch.setenv("FREETDSCONF", str(conf))


def test_required_encryption_alone_takes_any_certificate_and_the_preflight_says_so(encrypted_vte, monkeypatch):
    monkeypatch.delenv("FREETDSCONF", raising=False)
    _, server = encrypted_vte
    with vte(server) as source:
        facts = source.facts()
    assert (facts.encrypted, facts.verifies_server) == (True, False)


def test_a_sql_server_whose_certificate_freetds_knows_is_read(encrypted_vte, monkeypatch, tmp_path):
    pem, server = encrypted_vte
    freetds(monkeypatch, tmp_path, pem)
    with vte(server) as source:
        facts = source.facts()
    assert (facts.encrypted, facts.verifies_server) == (True, True)


def test_a_sql_server_with_a_foreign_certificate_never_sees_the_login(encrypted_vte, monkeypatch, tmp_path):
    _, server = encrypted_vte
    other, _ = self_signed(tmp_path, "other.example")
    freetds(monkeypatch, tmp_path, str(other))
    with pytest.raises(RetriableError, match="certificate"), vte(server):
        pass
    assert server.log == []
