"""The plant of ten simulated days, in a process of its own, which has an Airflow home of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.site.check import Findings

REPOSITORY = Path(__file__).resolve().parents[2]


def converge_apart(home: Path) -> Findings:
    """Play the ten days; return what is wrong at their end."""
    environment = {name: text for name, text in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "300",
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__VTE_WATS__START_DATE": "2026-03-02T00:00:00Z",
        "PYTHONPATH": f"{REPOSITORY / 'plugins'}:{REPOSITORY}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.converge.run", str(home / "converge.json")],
        env=environment,
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        plain = json.loads((home / "converge.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return Findings(0, 0, 0, 0, 0, 0, 0, (f"it ended with {done.returncode}: {done.stderr[-300:]}",))
    return Findings(**plain | {"wrong": tuple(plain["wrong"])})
