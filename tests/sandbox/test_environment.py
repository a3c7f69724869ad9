"""Both servers together, as `python -m sandbox` starts them for an Airflow that runs elsewhere."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys

import httpx
import pymssql
import pytest

from sandbox.environment import SandboxEnvironment
from sandbox.wats.example import example_report


@pytest.fixture
def printed(repository):
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox", "--runs", "20"], cwd=repository, stdout=subprocess.PIPE, text=True
    )
    lines = []
    for line in process.stdout:
        if line.startswith("#"):
            break
        lines.append(line)
    yield process, dict(shlex.split(line)[1].split("=", 1) for line in lines if line.startswith("export"))
    if process.poll() is None:
        process.kill()
    process.wait()


def test_the_printed_lines_lead_to_both_servers_and_ctrl_c_ends_them(printed):
    process, variables = printed
    vte = json.loads(variables["AIRFLOW_CONN_VTE_DEFAULT"])
    wats = json.loads(variables["AIRFLOW_CONN_WATS_DEFAULT"])
    with (
        pymssql.connect(
            server=vte["host"], port=str(vte["port"]), user=vte["login"], password=vte["password"],
            database=vte["schema"],
        ) as connection,
        connection.cursor() as cursor,
    ):  # fmt: skip
        cursor.execute("SELECT COUNT(*) FROM dbo.IndexData")
        assert cursor.fetchone()[0] >= 20
    version = httpx.get(f"{wats['host']}/api/App/Version", headers={"Authorization": f"Basic {wats['password']}"})
    assert version.status_code == 200
    assert "source_timezone" in json.loads(variables["AIRFLOW_VAR_VTE_WATS"])
    assert variables["AIRFLOW__VTE_WATS__START_DATE"]
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(timeout=120) == 0


@pytest.mark.report("P14")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_servers_end_when_a_script_started_them_in_the_background(repository, number):
    """A shell without job control ignores SIGINT for what it starts in the background."""
    script = subprocess.Popen(
        ["sh", "-c", f"{shlex.quote(sys.executable)} -m sandbox --runs 1 & echo $!; wait $!"],
        cwd=repository,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert script.stdout is not None
    process_id = int(script.stdout.readline())
    assert any(line.startswith("#") for line in script.stdout)  # both serve
    os.kill(process_id, number)
    assert script.wait(timeout=120) == 0


def test_a_report_that_came_again_as_it_was_counts_and_one_that_changed_does_not():
    environment = SandboxEnvironment()
    once, again, changed = (example_report(number) for number in (1, 2, 3))
    for report in (once, again, changed, again, changed | {"rev": "another"}):
        environment.wats.store.receive(json.dumps(report).encode())
    assert environment.received_again == {"2"}
