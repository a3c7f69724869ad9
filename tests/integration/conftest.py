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
from airflow.utils.db import initdb

from sandbox.environment import READER, READER_PASSWORD, WRITER_PASSWORD
from sandbox.sqlserver.database import Database
from sandbox.sqlserver.server import Login, SqlServer
from sandbox.vte.vte_database import NAME, open_database
from sandbox.wats.profiles import WatsProfile
from sandbox.wats.wats_server import WatsServer
from tests.integration.fernet_keys import encrypted  # noqa: F401 -- a fixture
from tests.integration.real_server import (  # noqa: F401 -- fixtures
    Served,
    _reaches_the_real_server,
    real,
    real_database,
)
from tests.site.in_process import bag, clock, site  # noqa: F401 -- fixtures

# Master tables by the column of a run that refers to them.
MASTERS = {
    "Product_GUID": "Products",
    "Testplan_GUID": "Testplans",
    "TestplanRevision_GUID": "TestplanRevisions",
    "Testsystem_GUID": "TestSystems",
    "User_GUID": "Users",
}


@pytest.fixture(scope="session")
def metadata() -> None:
    """Airflow's own database, made once; each test removes what would be in its way."""
    initdb()


@pytest.fixture
def database() -> Database:
    """An empty emulated VTE database with the reference schema."""
    return open_database()


@pytest.fixture
def vte(database: Database) -> Iterator[SqlServer]:
    logins = [Login("sa", WRITER_PASSWORD, can_write=True), Login(READER, READER_PASSWORD, reads_all=False)]
    with SqlServer(database, logins=logins, timezone="Europe/Oslo") as server:
        yield server


@pytest.fixture
def emulated(database: Database, vte: SqlServer) -> Served:
    fields = {"conn_type": "mssql", "host": vte.host, "port": vte.port, "schema": NAME}
    return Served(database, fields | {"login": READER, "password": READER_PASSWORD})


@pytest.fixture(params=["emulated", pytest.param("real", marks=pytest.mark.mssql)])
def served(request: pytest.FixtureRequest) -> Served:
    """The same test runs against the emulated server and, where there is one, against a real one."""
    chosen: Served = request.getfixturevalue(request.param)
    return chosen


@pytest.fixture
def wats(wats_profile: WatsProfile) -> Iterator[WatsServer]:
    with WatsServer(profile=wats_profile) as server:
        yield server


@pytest.fixture
def connection(served: Served) -> dict[str, Any]:
    """The fields of the connection vte_default."""
    return served.connection


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
def add_run(served: Served) -> Callable[..., UUID]:
    """Commit one run: ``add_run(timestamp, serial, numeric=[…], text=[…], other=[…], **columns)``.

    Master rows that it refers to are written with it, the first time.
    """
    written: set[UUID] = set()

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
        rows: dict[str, list[dict[str, Any]]] = {
            table: [{column: given[column]}]
            for column, table in MASTERS.items()
            if given.get(column) is not None and given[column] not in written
        }
        written.update(given[column] for column in MASTERS if given.get(column) is not None)
        rows |= {"UutData": [{"Uut_GUID": unit, "Serial": serial}], "IndexData": [header]}
        for name, table in (("numeric", "TestDataNumeric"), ("text", "TestDataText"), ("other", "TestDataOther")):
            if steps[name]:
                rows[table] = [{"Index_GUID": guid} | step for step in steps[name]]
        served.store.insert_rows(rows)
        return guid

    return add
