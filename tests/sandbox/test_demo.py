"""The demo as a script starts and ends it; what it shows is checked by running it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_until

pytestmark = pytest.mark.e2e

FROM_MAKE = {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}  # `make test` hands them on to the make that a test starts


@pytest.mark.report("P14")
@pytest.mark.parametrize("left_behind", [None, "of a process that ended", "not a number", ""])
def test_make_down_ends_where_no_demo_runs_whatever_its_file_says(tmp_path, repository, left_behind):
    pid_file = tmp_path / "demo.pid"
    if left_behind is not None:
        with subprocess.Popen(["true"]) as ended:
            pass
        pid_file.write_text(str(ended.pid) if left_behind == "of a process that ended" else left_behind)
    environment = {name: text for name, text in os.environ.items() if name not in FROM_MAKE}
    done = subprocess.run(
        ["make", "--no-print-directory", "down", f"PID_FILE={pid_file}"],
        cwd=repository, env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0
    assert "no demo is running" in done.stdout or left_behind is not None
    assert not pid_file.exists()


@pytest.mark.report("P14")
def test_make_down_ends_a_demo_that_a_script_started_in_the_background(tmp_path, repository):
    log, pid_file = tmp_path / "log", tmp_path / "demo.pid"
    log.touch()
    environment = {name: text for name, text in os.environ.items() if name not in FROM_MAKE} | {"TMPDIR": str(tmp_path)}
    make = f"make --no-print-directory --old-file=.venv/.ready BIN={Path(sys.executable).parent} PID_FILE={pid_file}"
    script = subprocess.Popen(  # a shell without job control ignores SIGINT for what it starts in the background
        ["sh", "-c", f"{make} demo > {log} 2>&1 & wait $!"],
        cwd=repository,
        env=environment,
    )
    wait_until(lambda: script.poll() is not None or "is in SQL Server" in log.read_text(), "the demo", timeout_s=250)

    subprocess.run(["sh", "-c", f"{make} down"], cwd=repository, env=environment, check=True, timeout=200)

    assert script.wait(timeout=300) == 0, log.read_text()
    assert "The demo has ended; nothing of it is left behind.\n" in log.read_text()  # DuckDB may add words as it ends
    assert "Traceback" not in log.read_text()
    assert sorted(tmp_path.iterdir()) == [log]
