"""What an empty interval costs when many were missed: part of table 5."""

from __future__ import annotations

import json
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.airflow import REPOSITORY, SYNC
from sandbox.airflow_stack import AirflowStack


def measure(max_active_runs: int, intervals: int) -> dict[str, Any]:
    """Let a real Airflow catch up so many intervals without a run; return seconds, tasks and statements of each."""
    from sandbox.environment import (
        SandboxEnvironment,  # the measured processes import this module, too, and their memory counts
    )

    began_at = datetime.fromtimestamp(time.time() // 300 * 300, UTC) - timedelta(minutes=5 * intervals)
    with tempfile.TemporaryDirectory(prefix="vte-wats-catchup-") as home, SandboxEnvironment() as environment:
        settings = environment.factory_data.settings(storage_path=f"file://{home}/storage", settle_delay_s=0)
        with AirflowStack(
            home=Path(home) / "airflow",
            dags_folder=REPOSITORY / "dags",
            plugins_folder=REPOSITORY / "plugins",
            env={
                "AIRFLOW__VTE_WATS__START_DATE": began_at.isoformat(),
                "AIRFLOW__VTE_WATS__MAX_ACTIVE_RUNS": str(max_active_runs),
                "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.1",  # of every published number
                "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "60",
            },
            pools={"wats_api": 1, "vte_wats_state": 1, "vte_read": 2},
            connections=environment.connections,
            variables={"vte_wats": json.dumps(settings)},
        ) as airflow:
            environment.vte.log.clear()
            airflow.unpause(SYNC)
            while len(ended := [run for run in airflow.runs(SYNC) if run.end]) < intervals:
                time.sleep(0.5)
            first, last = min(run.start for run in ended if run.start), max(run.end for run in ended if run.end)
            if {run.state for run in ended} != {"success"}:
                raise RuntimeError("an interval failed")
            executed = [task for task in airflow.task_instances(SYNC, ended[0].dag_run_id) if task.state == "success"]
            reads = sum(1 for entry in environment.vte.log if entry.sql.startswith("SELECT"))
            return {
                "max_active_runs": max_active_runs,
                "intervals": len(ended),
                "seconds_each": (last - first).total_seconds() / len(ended),
                "tasks": len(executed),
                "statements": reads / len(ended),
            }
