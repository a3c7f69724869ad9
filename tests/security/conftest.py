"""Airflow's own application with the page in it, and people of different rights who ask."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from airflow.api_fastapi.app import create_app as create_airflow
from airflow.api_fastapi.app import purge_cached_app
from airflow.dag_processing.bundles.manager import DagBundlesManager
from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
from airflow.models.variable import Variable
from airflow.utils.db import initdb
from fastapi.testclient import TestClient

from vte_wats.status import cached_status, dead_letter_groups, survey_page

PASSWORDS = {"admin": "adminpw", "vic": "viewerpw", "guest": "guestpw"}
STORED = tuple(f"vte_wats_{name}" for name in ("state", "history", "budget", "alerts", "backfill", "proof"))


@pytest.fixture(scope="session")
def metadata() -> None:
    """Airflow's own database, made once."""
    initdb()


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory, metadata: None) -> Iterator[TestClient]:
    """Airflow's application with an admin, a viewer, and a guest: a viewer who may not read the logs of tasks."""
    passwords = tmp_path_factory.mktemp("auth") / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__CORE__AUTH_MANAGER", "tests.security.auth_manager.GuestsReadNoLogs")
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", "admin:admin,vic:viewer,guest:viewer")
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(passwords))
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a secret of these tests, long enough for HMAC with SHA-512" * 2)
        manager = DagBundlesManager()  # type: ignore[no-untyped-call]
        manager.sync_bundles_to_db()
        bundle = next(iter(manager.get_all_dag_bundles()))
        sync_bag_to_db(BundleDagBag(bundle.path, bundle_path=bundle.path, bundle_name=bundle.name), bundle.name, None)
        purge_cached_app()
        with TestClient(create_airflow(), base_url="http://airflow.test") as client:
            yield client
    purge_cached_app()


@pytest.fixture
def cookies(airflow: TestClient) -> Callable[[str], dict[str, str]]:
    """Log somebody in, and return what their browser then sends."""

    def cookies(user: str) -> dict[str, str]:
        token = airflow.post("/auth/token", json={"username": user, "password": PASSWORDS[user]}).json()
        airflow.cookies.clear()
        return {"Cookie": f"_token={token['access_token']}"}

    return cookies


@pytest.fixture
def ask(airflow: TestClient, cookies: Callable[[str], dict[str, str]]) -> Callable[..., object]:
    """Ask as somebody; nobody is None."""

    def ask(path: str, user: str | None, method: str = "GET", **arguments: Any) -> object:
        headers = arguments.pop("headers", {}) | (cookies(user) if user else {})
        return airflow.request(method, f"/vte-wats/{path}", headers=headers, **arguments)

    return ask


@pytest.fixture(autouse=True)
def nothing_read() -> None:
    """No test gets what another one has read."""
    forget()


def forget() -> None:
    for reads in (
        cached_status.HEALTH, cached_status.SUMMARIES, cached_status.STATUSES, cached_status.HISTORIES,
        cached_status.CALENDARS,
        dead_letter_groups.LISTED, survey_page.SURVEYS,
    ):  # fmt: skip
        reads.forget()


@pytest.fixture
def storage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, metadata: None) -> Path:
    """Storage of a site, named in its settings."""
    for key in STORED:
        Variable.delete(key)
    configure(monkeypatch, storage_path=f"file://{tmp_path}")
    return tmp_path


def configure(monkeypatch: pytest.MonkeyPatch, **answers: Any) -> None:
    """Write the settings of the site."""
    given = {"source_timezone": "Europe/Oslo", "process_map": {"*": 100}} | answers
    monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(given))
