"""What an empty interval costs in a catch-up: ``python -m benchmarks.catchup MAX_ACTIVE_RUNS [INTERVALS]``.

A real Airflow has missed so many intervals of an empty night. Printed: intervals a minute, tasks and statements each.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sandbox.airflow_stack import AirflowStack
from sandbox.plant import Plant

REPOSITORY = Path(__file__).resolve().parents[1]
SYNC = "vte_wats_sync"


def main(max_active_runs: int, intervals: int) -> None:
    """Start everything, let Airflow catch up, and print a row."""
    began_at = datetime.fromtimestamp(time.time() // 300 * 300, UTC) - timedelta(minutes=5 * intervals)
    with tempfile.TemporaryDirectory(prefix="vte-wats-catchup-") as home, Plant() as plant:
        settings = plant.floor.settings(storage_path=f"file://{home}/storage", settle_delay_s=0)
        with AirflowStack(
            home=Path(home) / "airflow",
            dags_folder=REPOSITORY / "dags",
            plugins_folder=REPOSITORY / "plugins",
            env={
                "AIRFLOW__VTE_WATS__START_DATE": began_at.isoformat(),
                "AIRFLOW__VTE_WATS__MAX_ACTIVE_RUNS": str(max_active_runs),
                "PYTHONPATH": str(REPOSITORY / "plugins"),
            },
            pools={"wats_api": 1, "vte_wats_state": 1},
            connections=plant.connections,
            variables={"vte_wats": json.dumps(settings)},
        ) as airflow:
            plant.vte.log.clear()
            airflow.unpause(SYNC)
            while len(ended := [run for run in airflow.runs(SYNC) if run.end]) < intervals:
                time.sleep(0.5)
            first, last = min(run.start for run in ended if run.start), max(run.end for run in ended if run.end)
            if {run.state for run in ended} != {"success"}:
                raise SystemExit("an interval failed")
            executed = [one for one in airflow.task_instances(SYNC, ended[0].run_id) if one.state == "success"]
            reads = sum(1 for entry in plant.vte.log if entry.sql.startswith("SELECT"))
            seconds = (last - first).total_seconds()
            sys.stdout.write(
                f"max_active_runs {max_active_runs}: {len(ended) / seconds * 60:.0f} intervals a minute, "
                f"{seconds / len(ended):.2f} s each, {len(executed)} tasks and {reads / len(ended):.1f} statements\n"
            )


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 60)
