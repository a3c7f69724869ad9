"""Hostile text in every text column of VTE and in every text setting, followed to wherever it goes.

The whole way runs in this process: sync, held runs, monitor with mail and chat, status page, redrive in a backfill. In
the end the text is literal or escaped wherever it is, nothing has executed it, and no secret stands beside it.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import re
import tempfile
import threading
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from airflow.api_fastapi.app import create_app as create_airflow
from airflow.api_fastapi.app import purge_cached_app
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.variable import Variable
from airflow.models.xcom import XComModel
from airflow.utils.db import initdb
from airflow.utils.session import create_session
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox.environment import SandboxEnvironment
from sandbox.mail import MailCatcher, forms_of
from sandbox.sqlserver.faults import Fault
from tests.site.in_process import stored_dags
from vte_wats.config.settings import Settings, parse_settings
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.status.cached_status import HEALTH, HISTORIES, STATUSES, SUMMARIES
from vte_wats.status.dead_letter_groups import LISTED

BEGIN_AT = datetime(2026, 3, 2, tzinfo=UTC)  # the start date of the tests
WATS_TEXT = 100  # characters, at most, of a text that ends in a report


def text_places(
    schema: dict[str, Any], part: dict[str, Any] | None = None, place: str = ""
) -> Iterator[tuple[str, Any]]:
    """Yield each place of the settings where any text may stand, with its rules: fields, list items, keys, values."""
    part = schema if part is None else part
    if "$ref" in part:
        part = schema["$defs"][part["$ref"].rpartition("/")[2]]
    inner = [(name, field) for name, field in part.get("properties", {}).items()]
    if isinstance(values := part.get("additionalProperties"), dict):
        inner += [("<key>", part.get("propertyNames", {"type": "string"})), ("<value>", values)]
    if "items" in part:
        inner.append(("[]", part["items"]))
    for name, field in inner:
        yield from text_places(schema, field, f"{place}.{name}".removeprefix("."))
    for choice in part.get("anyOf", ()):
        yield from text_places(schema, choice, place)
    if part.get("type") == "string" and "enum" not in part:
        yield place, part


def put(answers: Any, place: str, text: str, keys: Iterable[str] = ("1",)) -> Any:
    """Return the answers with a text at a place; a group of named values gets it under each of the keys."""
    name, _, rest = place.partition(".")
    if not name:
        return text
    if name == "[]":
        return [put((answers or [None])[0], rest, text, keys)]
    filled = dict(answers or {})
    if name == "<key>":
        return filled | {text: 100}
    for key in keys if name == "<value>" else (name,):
        filled[key] = put(filled.get(key), rest, text, keys)
    return filled


PRODUCT = str(7_919 * 6_131)  # what a template engine would make of the payload below
COLUMNS = {
    "IndexData": (
        "ProductName", "TestplanName", "TestplanVariant", "TestplanRevision", "Hostname", "Site", "UserName", "Info1",
        "Info2", "Info3",
    ),
    "UutData": ("Serial",),
    "Products": ("Name",),
    "Testplans": ("Name",),
    "TestSystems": ("Name",),
    "TestDataNumeric": ("TestName", "TestDescription", "TestNumber", "TestUnits"),
    "TestDataText": ("TestName", "TestDescription", "TestNumber", "TestUnits", "TestResult"),
    "TestDataOther": ("TestName", "TestDescription", "TestNumber", "TestUnits"),
}  # fmt: skip
# Where a text may stand in the settings, as Settings itself says. Any text of a person is in WATS texts, which are filled in
# by themselves; what is filled in by hand is in BY_HAND; and names of other systems have tests of their own.
PLACES = dict(text_places(Settings.model_json_schema()))
FREE = tuple(place for place, rules in PLACES.items() if rules.get("maxLength") == WATS_TEXT)
BY_HAND = {"process_map.<key>": ("test plan",), "text_rules.[].pattern": ("misc info", "rule")}
NAMES = {  # their form is checked, as the test at the end shows; what they may still hold is tested in test_sql_names,
    "source_schema", "column_overrides.<value>.table", "column_overrides.<value>.columns.<value>",
    "storage_path", "alerts.apprise_connection", "alerts.recipients.[]",  # test_who_learns_what and test_notifiers
}  # fmt: skip
SETTINGS = (*FREE, *(name for names in BY_HAND.values() for name in names))
PAYLOADS = (
    "{{ 7919 * 6131 }}", "{{ conn.wats_default.password }}", "{% raw %}", "${7919*6131}", "%(password)s", "{0.__class__}", "%s%n",
    "'; DROP TABLE IndexData; --", "1 OR 1=1", "]] --",
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "&lt;b&gt;", "javascript:alert(1)", "--><svg onload=alert(1)>",
    "../../../../escaped", "/etc/passwd", "..\\..\\escaped", "CON", "file://x",
    "\r\nBcc: everybody@evil.example", "\nX-Injected: yes", "\r\n\r\n<b>",
    "\x1b[6n", "\x1b]0;owned\x07", "\x9b31m", "\u202eevil", "\x00",
    "@channel", "<!channel>", "<@U123>", "@everyone", "[x](http://evil.example)", "<http://evil.example|x>",
)  # fmt: skip
REFUSAL = "Conversion failed when converting the nvarchar value '{{ 7919 * 6131 }}\x1b[6n\x9b31m https://u:hunter2@wats' to int."
fragments = st.sampled_from(PAYLOADS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
hostile = st.lists(fragments, min_size=1, max_size=4).map("".join).filter(str.strip).map(lambda text: text[:90])
everywhere = st.fixed_dictionaries(
    {f"{table}.{column}": hostile for table, columns in COLUMNS.items() for column in columns}
    | dict.fromkeys(SETTINGS, hostile)
)


def _without_braces(text: str) -> str:
    """Return a text that may stand in the pattern of a text rule, where braces are around names only."""
    return re.sub(r"[{}*]", "", text).strip() or "x"


class Chat(BaseHTTPRequestHandler):
    """A chat's webhook that keeps what is posted."""

    def do_POST(self) -> None:
        self.server.posted.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def chat() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Chat)
    server.posted = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def bag(repository) -> DagBag:
    initdb()
    bag = DagBag(dag_folder=str(repository / "dags"))
    for dag in bag.dags.values():
        dag.deadline = None
        for task in dag.tasks:
            task.retries = 0
    return bag


@pytest.fixture(scope="module")
def page(bag, tmp_path_factory) -> Iterator[TestClient]:
    """Airflow's own application, asked by an admin."""
    passwords = tmp_path_factory.mktemp("auth") / "passwords.json"
    passwords.write_text('{"admin": "adminpw"}')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "admin:admin")
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(passwords))
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a secret of these tests, long enough for HMAC with SHA-512" * 2)
        purge_cached_app()
        with stored_dags(), TestClient(create_airflow(), base_url="http://airflow.test") as client:
            token = client.post("/auth/token", json={"username": "admin", "password": "adminpw"}).json()["access_token"]
            client.cookies.set("_token", token)
            yield client
    purge_cached_app()


class Way:
    """One site with hostile text in it, and all that its DAGs leave behind."""

    def __init__(self, bag: DagBag, page: TestClient, chat: HTTPServer, texts: dict[str, str], folder: Path) -> None:
        self._bag, self._page, self._chat, self._texts = bag, page, chat, texts
        self.folder, self.storage = folder, folder / "storage"
        self.plant, self.mail = SandboxEnvironment(), MailCatcher()
        self.plant.factory_data.load(
            self.plant.db, start=BEGIN_AT, end=BEGIN_AT + timedelta(minutes=4), runs=4, steps=3
        )
        self.rows = len(self.plant.source)
        for name in texts.keys() - set(SETTINGS):
            table, column = name.split(".")
            number = " || CAST(rowid AS VARCHAR)" if column == "Serial" else ""
            self.plant.db.query(f'UPDATE "{table}" SET "{column}" = ?{number}', [texts[name]])
        self.environment: dict[str, str] = {}
        self.page_texts: list[str] = []

    def configure(self, testplan: str) -> None:
        answers = self.plant.settings(
            storage_path=f"file://{self.storage}",
            process_map={testplan: 100},
            text_rules=[
                {"source": "info2", "pattern": f"{{misc:{_without_braces(self._texts['misc info'])}}}"},
                {"source": "info3", "pattern": f"x{_without_braces(self._texts['rule'])}{{batch}}"},
            ],
            alerts={
                "recipients": ["ops@factory.example"], "apprise_connection": "apprise_hook", "confirm_checks": 1,
                "dead_letters_per_hour": 1, "lag_limit_s": 10**9, "no_progress_s": 10**9,
            },
        )  # fmt: skip
        codes = tuple(map(str, (*range(-3, 4), 12, 30, 42)))
        for place in FREE:
            keys = (min(self.plant.source),) if place.startswith("excluded_runs.") else codes
            answers = put(answers, place, self._texts[place], keys)
        os.environ["AIRFLOW_VAR_VTE_WATS"] = json.dumps(answers)

    def go(self) -> None:
        """Sync with a process map that knows no test plan, notify, look, and redrive once it knows them."""
        config = {"path": f"json://127.0.0.1:{self._chat.server_port}/hook", "tag": "alerts"}
        os.environ |= self.plant.environment_variables | {
            "AIRFLOW_CONN_SMTP_DEFAULT": json.dumps(self.mail.connection),
            "AIRFLOW_CONN_APPRISE_HOOK": json.dumps({"conn_type": "apprise", "extra": {"config": config}}),
        }
        self.configure(f"{self._texts['test plan']} of nobody")
        self.plant.vte.faults.add(Fault(kind="error", number=245, message=REFUSAL, match="COUNT_BIG"))
        assert self.run("sync", BEGIN_AT + timedelta(minutes=4)) == "failed"
        assert self.run("sync", BEGIN_AT + timedelta(minutes=5)) == "success"
        assert self.run("monitor") == "success"
        groups = self.look()["groups"]
        assert sum(group["dead_letters"] for group in groups) == self.rows
        self.configure("*")
        form = {"from": None, "to": None, "guids": [], "batch_size": None, "dry_run": False, "force": False}
        for group in groups:
            assert self.run("backfill", **form, dead_letters=group["signature"]) == "success"

    def run(self, kind: str, at: datetime | None = None, **conf: Any) -> str:
        defaults = {"dry_run": False, "force": False, "accept_identity": False} if kind == "sync" else {}
        return str(self._bag.dags[f"vte_wats_{kind}"].test(logical_date=at, run_conf=defaults | conf).state)

    def look(self) -> dict[str, Any]:
        for reads in (HEALTH, SUMMARIES, STATUSES, HISTORIES, LISTED):
            reads.forget()
        found = {
            path: self._page.get(f"/vte-wats/{path}") for path in ("page", "health", "api/status", "api/dead-letters")
        }
        assert {name: answer.status_code for name, answer in found.items()} == dict.fromkeys(found, 200)
        assert found["api/status"].headers["content-type"] == "application/json"
        self.page_texts += [answer.text for answer in found.values()]
        return found["api/dead-letters"].json()

    def left_behind(self) -> Iterator[tuple[str, str]]:
        """Yield every text that the DAGs have left anywhere, with where."""
        yield from (("page", text) for text in self.page_texts)
        for received in self.mail.mails:
            yield "mail", received.as_string()
            yield from (("mail", form) for form in forms_of(received))
        yield from (("chat", text) for text in self._chat.posted)
        with create_session() as session:
            yield from (("XCom", json.dumps(row.value)) for row in session.query(XComModel))
            yield from (("Variable", str(row.val)) for row in session.query(Variable))
            yield from (("DAG run", json.dumps(row.conf)) for row in session.query(DagRun))
            yield from (("task", str(row.rendered_map_index)) for row in session.query(TaskInstance))
            yield from (
                ("rendered fields", json.dumps(row.rendered_fields))
                for row in session.query(RenderedTaskInstanceFields)
            )
        for path in self.folder.rglob("*"):
            yield "name of a file", str(path)
            if path.is_file():
                content = path.read_bytes()
                yield "file", (gzip.decompress(content) if path.suffix == ".gz" else content).decode()

    @property
    def secrets(self) -> set[str]:
        passwords = {str(fields["password"]) for fields in self.plant.connections.values()}
        return passwords | {base64.b64encode(text.encode()).decode() for text in passwords}


@settings(
    max_examples=3,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    database=None,
)
@given(texts=everywhere)
def test_text_of_the_plant_stays_text_wherever_it_goes(bag, page, chat, capfd, texts):
    with create_session() as session:
        session.query(TaskInstance).delete()
        session.query(DagRun).delete()
    site = Site()
    for name in (
        site.state_variable,
        site.history_variable,
        site.alerts_variable,
        site.backfill_variable,
        site.failure_variable,
    ):
        Variable.delete(name)
    chat.posted.clear()
    capfd.readouterr()
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ):
        way = Way(bag, page, chat, texts, Path(folder))
        with way.plant, way.mail:
            way.go()
            found = [*way.left_behind(), *(("log", text) for text in capfd.readouterr())]
            _nothing_was_executed(way, found)
            _every_run_is_accounted_for(way)


def _nothing_was_executed(way: Way, found: list[tuple[str, str]]) -> None:
    assert {where for where, text in found if text != "None"} >= {
        "page", "mail", "chat", "XCom", "Variable", "DAG run", "task", "rendered fields", "file", "log"
    }  # fmt: skip
    assert any("Conversion failed" in text for where, text in found if where == "mail")
    for where, text in found:
        assert PRODUCT not in text, f"{where}: a template was rendered"
        assert not way.secrets & {secret for secret in way.secrets if secret in text}, f"{where}: a secret"
        if where in {"page", "mail", "chat", "Variable"}:
            assert "hunter2" not in text, f"{where}: a password that SQL Server quotes"
        if where in {"mail", "log", "chat"}:
            for sequence in ("\x1b[6n", "\x1b]0;", "\x9b31m", "\x00"):
                assert sequence not in text, f"{where}: a terminal would obey"
    for received in way.mail.mails:
        assert received["bcc"] is None
        assert received["x-injected"] is None
        assert received["to"] == "ops@factory.example"
        tags = set(re.findall(r"<\s*/?\s*([a-z!]+)", forms_of(received)[1], re.IGNORECASE))
        assert not tags & {"script", "svg", "img", "iframe"}, "a mail's HTML has elements of the plant"
    assert all(html.escape(path.name) == path.name for path in way.storage.rglob("*"))
    assert [path.name for path in way.folder.iterdir()] == ["storage"], "a file outside of the storage"
    assert len(way.plant.source) == way.rows
    payloads = [text for name, text in way._texts.items() if "." in name and len(text) > 8]
    assert not [entry.sql for entry in way.plant.vte.log for text in payloads if text in entry.sql], "text in SQL"


def _every_run_is_accounted_for(way: Way) -> None:
    dead = {path.stem for path in (way.storage / "dead_letters").glob("*.json")} if way.storage.exists() else set()
    assert way.plant.receipts.keys() | dead == way.plant.source
    assert not way.plant.receipts.keys() & dead


def test_every_text_of_the_settings_is_hostile_in_the_test_above_or_refuses_any_text():
    guid = str(UUID(int=1))
    plain = {
        "source_timezone": "UTC",
        "process_map": {"A": 100},
        "text_rules": [{"source": "info1", "pattern": "{batch}"}],
        "excluded_runs": {guid: {"by": "me", "reason": "why"}},
    }

    def keys(place: str) -> tuple[str]:
        """Return the key that the values at a place may have."""
        names = {"excluded_runs": guid, "column_overrides": "IndexData"}
        return (names.get(place.partition(".")[0], "1"),)

    refusing = {
        place
        for place in PLACES
        if not any(_accepts(place, put(plain, place, payload, keys(place))) for payload in PAYLOADS)
    }
    assert refusing | {*FREE, *BY_HAND} | NAMES == PLACES.keys()
    assert not refusing & {*FREE}
    assert {"purpose", "error_messages.<value>", "excluded_runs.<value>.reason"} <= {*FREE}


def _accepts(place: str, answers: dict[str, Any]) -> bool:
    """Return whether settings are valid; what refuses them names the field and holds nothing that a terminal obeys."""
    text = json.dumps(answers)
    try:
        parse_settings(text)
    except FatalError as exc:
        refusal = str(exc)
    else:
        return True
    assert place.partition(".")[0] in refusal
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", refusal), place
    return False
