"""How much of WATS's budget a backfill uses, seen at WATS's door: ``python -m benchmarks.budget [RUNS] [A_MINUTE]``.

A real Airflow, one upload task after another. Every request counts: processes, existence and natural keys, too.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sandbox.airflow_stack import AirflowStack
from sandbox.environment import SandboxEnvironment

REPOSITORY = Path(__file__).resolve().parents[1]
BACKFILL = "vte_wats_backfill"


def main(runs: int, a_minute: int) -> None:
    """Transfer history and print what arrived."""
    now_at = datetime.now(UTC)
    with (
        tempfile.TemporaryDirectory(prefix="vte-wats-budget-") as home,
        SandboxEnvironment(requests_per_minute=a_minute) as environment,
    ):
        environment.factory_data.load(
            environment.db, start=now_at - timedelta(days=3), end=now_at - timedelta(days=1), runs=runs, steps=10
        )
        settings = environment.factory_data.settings(storage_path=f"file://{home}/storage", settle_delay_s=0)
        with AirflowStack(
            home=Path(home) / "airflow",
            dags_folder=REPOSITORY / "dags",
            plugins_folder=REPOSITORY / "plugins",
            env={
                "AIRFLOW__VTE_WATS__START_DATE": now_at.isoformat(),
                "PYTHONPATH": str(REPOSITORY / "plugins"),
            },
            pools={"wats_api": 1, "vte_wats_state": 1, "vte_read": 2},
            connections=environment.connections,
            variables={"vte_wats": json.dumps(settings)},
        ) as airflow:
            airflow.unpause(BACKFILL)
            form = {"from": (now_at - timedelta(days=4)).isoformat(), "to": now_at.isoformat()}
            dag_run_id = airflow.trigger(BACKFILL, conf=form)
            while airflow.runs(BACKFILL)[0].state in ("queued", "running"):
                time.sleep(1)
            state = airflow.wait_for_run(BACKFILL, dag_run_id, timeout_s=60)
    log = environment.wats.log
    times = sorted(request.at.timestamp() for request in log)
    seconds = times[-1] - times[0]
    minutes = [sum(1 for at in times if 60 * n <= at - times[0] < 60 * (n + 1)) for n in range(int(seconds // 60))]
    kinds = Counter(f"{request.method} {request.path.rpartition('/')[2]}" for request in log)
    sys.stdout.write(
        f"{runs} runs {state}: {len(times)} requests in {seconds:.0f} s, {a_minute} a minute allowed, {minutes} used; "
        f"worst minute {log.requests_in_worst_minute()}; refused {len(log.find(status=429))}; "
        f"{dict(kinds)}\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_200, int(sys.argv[2]) if len(sys.argv) > 2 else 500)
