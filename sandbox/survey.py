"""``make survey``: the survey of an emulated factory with a quarter of history and every oddity."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

from sandbox.environment import SandboxEnvironment

HISTORY = timedelta(days=90)
RUNS = 12_000
LAST_HOUR = 120


def main(arguments: list[str]) -> int:
    """Fill a factory, start its servers, and survey it without settings, as on the first day at a site."""
    plant = SandboxEnvironment()
    now = datetime.now(UTC)
    plant.factory_data.load(plant.db, start=now - HISTORY, end=now, runs=RUNS, oddities=True)
    plant.factory_data.load(plant.db, start=now - timedelta(hours=1), end=now, runs=LAST_HOUR)  # stations at work
    with plant:
        known = plant.environment_variables
        del known["AIRFLOW_VAR_VTE_WATS"]
        command = [sys.executable, "-m", "vte_wats.orchestration.survey_run", *arguments]
        return subprocess.run(command, env={**os.environ, **known}, check=False).returncode  # noqa: S603 -- its own


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
