"""Equal runs are equal bytes, wherever and by whatever Python they are mapped."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]

# The same under Python 3.11, 3.12 and 3.13: tests run under any of them, and compare with this one.
DIGEST = "1e497c95f7f223d22805aad8a84972f91c8293892d8eaa5d607396b86184359a"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("zone", "locale", "seed"),
    [("UTC", "C", "0"), ("America/New_York", "C.UTF-8", "1"), ("Australia/Lord_Howe", "tr_TR.UTF-8", "4711")],
)
def test_a_fixed_set_of_runs_gives_the_committed_bytes(zone, locale, seed):
    environment = {**os.environ, "TZ": zone, "LC_ALL": locale, "PYTHONHASHSEED": seed}
    environment["PYTHONPATH"] = f"{PROJECT / 'plugins'}:{PROJECT}"
    command = [sys.executable, "-m", "tests.unit.same_bytes"]
    done = subprocess.run(command, env=environment, cwd=PROJECT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == DIGEST
