"""A VTE database of a few known rows, behind a socket, and Airflow's hook to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from airflow.providers.microsoft.mssql.hooks.mssql import MsSqlHook
from airflow.sdk import Connection

from sandbox.plant import READER, READER_PASSWORD, SCHEMA, WRITER_PASSWORD
from sandbox.vte.database import VteDatabase
from sandbox.vte.server import Login, VteServer
from sandbox.wats.server import WatsServer


@pytest.fixture
def database() -> VteDatabase:
    """An empty VTE database with the reference schema."""
    db = VteDatabase()
    db.run_script(SCHEMA.read_text(encoding="utf-8"))
    return db


@pytest.fixture
def vte(database: VteDatabase) -> Iterator[VteServer]:
    logins = [Login("sa", WRITER_PASSWORD, can_write=True), Login(READER, READER_PASSWORD)]
    with VteServer(database, logins=logins, timezone="Europe/Oslo") as server:
        yield server


@pytest.fixture
def wats() -> Iterator[WatsServer]:
    with WatsServer() as server:
        yield server


@pytest.fixture
def connection(vte: VteServer) -> dict[str, Any]:
    """The fields of the connection vte_default."""
    return {
        "conn_type": "mssql",
        "host": vte.host,
        "port": vte.port,
        "login": READER,
        "password": READER_PASSWORD,
        "schema": "VTE9_3",
    }


@pytest.fixture
def hook(connection: dict[str, Any]) -> MsSqlHook:
    return hook_to(connection)


def hook_to(fields: dict[str, Any]) -> MsSqlHook:
    """Return a hook to these fields, found by Airflow where it looks first: in the environment."""
    conn_id = f"vte_{uuid4().hex}"
    os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(fields)
    assert Connection.get(conn_id).host == fields["host"]
    return MsSqlHook(mssql_conn_id=conn_id)


@pytest.fixture
def add_run(database: VteDatabase) -> Callable[..., UUID]:
    """Commit one run: ``add_run(timestamp, serial, numeric=[…], text=[…], other=[…], **columns)``."""

    def add(timestamp: datetime, serial: str | None = "SN1", **given: Any) -> UUID:
        guid, unit = uuid4(), uuid4()
        steps = {name: given.pop(name, []) for name in ("numeric", "text", "other")}
        header = {
            "Index_GUID": guid,
            "Uut_GUID": unit,
            "Timestamp": timestamp,
            "Result": 1,
            "ExitCode": 0,
            "TestTime": 1.5,
            "Hostname": "station-1",
            "ProductName": "PSU-100",
            "TestplanName": "PSU final",
        } | given
        rows = {"UutData": [{"Uut_GUID": unit, "Serial": serial}], "IndexData": [header]}
        for name, table in (("numeric", "TestDataNumeric"), ("text", "TestDataText"), ("other", "TestDataOther")):
            if steps[name]:
                rows[table] = [{"Index_GUID": guid} | step for step in steps[name]]
        database.insert_rows(rows)
        return guid

    return add
