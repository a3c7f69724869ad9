"""Tests marked mssql reach the real SQL Server, or fail. A second emulated server stands in for it here."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

STAND_IN = """
import pytest

from sandbox.sqlserver.server import Login, SqlServer
from sandbox.seed_sql_server import SqlServerStore
from sandbox.vte.vte_database import NAME, open_database
from tests.integration.conftest import *  # noqa: F403
from tests.integration.conftest import _reaches_the_real_server  # noqa: F401
from tests.integration.real_server import RealDatabase
import pymssql


@pytest.fixture
def real_database():
    with SqlServer(open_database(), [Login("sa", "s3cret", can_write=True)]) as server:
        with pymssql.connect(server.host, "sa", "s3cret", NAME, port=str(server.port), autocommit=True) as connection:
            yield RealDatabase(server.host, server.port, "sa", "s3cret", NAME, SqlServerStore(connection))
"""

TESTS = """
import pymssql
import pytest

pytestmark = pytest.mark.mssql


def read(served):
    fields = served.connection
    with pymssql.connect(
        fields["host"], fields["login"], fields["password"], fields["schema"], port=str(fields["port"])
    ) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM IndexData")
        return cursor.fetchall()


def test_reads_the_real_one(real):
    assert read(real) == [(0,)]


def test_reads_nothing(real):
    pass


def test_reads_the_emulated_one(emulated):
    assert read(emulated) == [(0,)]


def test_is_marked_and_asks_for_no_server():
    pass


def test_writes_to_the_real_one_and_reads_the_emulated_one(real, emulated):
    real.store.insert_rows({"Products": [{"Product_GUID": "00000000-0000-0000-0000-000000000001"}]})
    assert read(emulated) == [(0,)]
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> dict[str, dict[str, str]]:
    """Run the tests above and this folder's in a pytest of its own; return the worst outcome of each test, by file."""
    folder = tmp_path_factory.mktemp("marked") / "integration"
    folder.mkdir()
    (folder.parent / "data").symlink_to(repository / "tests/data")
    (folder / "conftest.py").write_text(STAND_IN, encoding="utf-8")
    (folder / "test_marked.py").write_text(TESTS, encoding="utf-8")
    for file in (repository / "tests/integration").glob("test_*.py"):
        shutil.copy(file, folder)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", "-m", "mssql"]
    done = subprocess.run(
        [*command, "-c", str(repository / "pyproject.toml"), "--rootdir", str(repository), str(folder)],
        capture_output=True, text=True, cwd=repository, check=False,
    )  # fmt: skip
    found = re.findall(r"^(PASSED|FAILED|ERROR) \S*?(\w+)\.py::(test_.*?)(?: - .*)?$", done.stdout, re.MULTILINE)
    assert found, done.stdout + done.stderr
    worst: dict[str, dict[str, str]] = defaultdict(dict)
    for outcome, file, test in found:
        if worst[file].get(test, "PASSED") == "PASSED":
            worst[file][test] = outcome
    return worst


@pytest.mark.timeout(900)
def test_a_test_marked_mssql_that_never_connects_to_the_real_server_fails(outcomes):
    assert outcomes["test_marked"] == {
        "test_reads_the_real_one": "PASSED",
        "test_reads_nothing": "ERROR",
        "test_reads_the_emulated_one": "ERROR",
        "test_is_marked_and_asks_for_no_server": "ERROR",
        "test_writes_to_the_real_one_and_reads_the_emulated_one": "ERROR",
    }


@pytest.mark.timeout(900)
def test_every_test_of_the_real_server_passes_on_the_stand_in(outcomes):
    by_file = {file: tests for file, tests in outcomes.items() if file != "test_marked"}
    assert by_file.keys() == {"test_vte_source", "test_vte_changes", "test_survey"}
    found = {test: outcome for tests in by_file.values() for test, outcome in tests.items()}
    assert set(found.values()) == {"PASSED"}, found
    assert len(found) >= 38
    assert all("[real" in test for test in found)


def test_no_test_outside_of_this_folder_is_marked_mssql(repository):
    files = {file for file in (repository / "tests").rglob("*.py") if "mark.mssql" in file.read_text(encoding="utf-8")}
    assert {file.parent for file in files} == {repository / "tests/integration"}
