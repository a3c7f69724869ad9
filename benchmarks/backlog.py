"""Table 6: months of history by the backfill, on a real scheduler: speed, and what it takes of everything."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from benchmarks import emulated_servers
from benchmarks.airflow import BACKFILL, Site, Watch, finished, site
from benchmarks.measure import Goal

TITLE = "Backlog"


@dataclass(frozen=True, slots=True)
class Size:
    """How many runs of how many steps the backlog has."""

    runs: int = 10_000
    steps: int = 50
    batch_size: int | None = None


FULL = Size()
TINY = Size(runs=8, steps=3, batch_size=4)


def measure(size: Size = FULL) -> dict[str, Any]:
    """Transfer a backlog; return what it took, under the number of its runs."""
    with site(size.runs, size.steps, requests_per_minute=1_000_000) as here:
        here.airflow.unpause(BACKFILL)
        statements = here.servers.call(emulated_servers.statements)
        from_at, to_at = emulated_servers.first(size.runs)
        conf = {"from": from_at.isoformat(), "to": to_at.isoformat()}
        cpu_s, began_s = here.cpu_s(), time.time()
        with Watch(here.airflow.pids["scheduler"], here.storage / "staging") as watch:
            here.airflow.trigger(BACKFILL, conf | ({"batch_size": size.batch_size} if size.batch_size else {}))
            parts = _all_parts(here)
        asked = here.servers.call(emulated_servers.requests)
        if asked["reports"] != size.runs:
            raise AssertionError(f"{size.runs} runs were to be transferred, WATS holds {asked['reports']}")
        return {
            str(size.runs): {
                "steps": size.steps,
                "seconds": time.time() - began_s,
                "cpu_s": here.cpu_s() - cpu_s,
                "dag_runs": len(parts),
                "tasks": sum(len(here.airflow.task_instances(BACKFILL, dag_run_id)) for dag_run_id in parts),
                "peak_task_mb": watch.peak_mb,
                "staged_mb": watch.staged_mb,
                "xcom": here.xcoms(),
                "statements": here.servers.call(emulated_servers.statements) - statements,
                "requests": asked["total"],
            }
        }


def _all_parts(here: Site) -> list[str]:
    """Wait for the DAG run and for those that it triggers."""
    done: list[str] = []
    while waiting := [run.dag_run_id for run in here.airflow.runs(BACKFILL) if run.dag_run_id not in done]:
        for dag_run_id in waiting:
            finished(here.airflow, BACKFILL, dag_run_id)
            done.append(dag_run_id)
    return done


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return what was aimed at: the rate asked for, few CPU seconds, and memory that does not grow with the backlog."""
    few, many = min(result, key=int), max(result, key=int)
    cpu_ms = result[few]["cpu_s"] / int(few) * 1e3
    found = [
        Goal(f"runs an hour, backlog of {int(few):,}", "at least 1,000", _per_hour(result, few), 1_000),
        Goal(f"CPU per run, all of Airflow, backlog of {int(few):,}, ms", "at most 10", cpu_ms, 10, at_most=True),
    ]
    if many == few:
        return found
    ratio = result[many]["peak_task_mb"] / result[few]["peak_task_mb"]
    return [
        *found,
        Goal(f"memory of a task, {int(many):,} against {int(few):,} runs", "at most 1.2", ratio, 1.2, at_most=True),
    ]


def _per_hour(result: dict[str, Any], runs: str) -> float:
    return int(runs) / float(result[runs]["seconds"]) * 3_600


def page(result: dict[str, Any]) -> list[str]:
    """Return the table."""
    rows = []
    for runs, backlog in sorted(result.items(), key=lambda item: int(item[0])):
        rows.append(
            f"| {int(runs):,} × {backlog['steps']} | {_per_hour(result, runs):,.0f} | "
            f"{backlog['peak_task_mb']:.0f} MB | {backlog['tasks']:,} in {backlog['dag_runs']} | "
            f"{backlog['cpu_s'] / int(runs) * 1e3:.1f} ms | "
            f"{backlog['xcom']['total_bytes'] / 1e3:,.0f} kB | {backlog['xcom']['largest_bytes'] / 1e3:.1f} kB | "
            f"{backlog['staged_mb']:.0f} MB | {backlog['statements']:,} | {backlog['requests'] / int(runs):.3f} |"
        )
    return [
        (
            "`vte_wats_backfill` on a real scheduler, LocalExecutor, everything on one machine; "
            "VTE 1 ms and WATS 20 ms away, no budget. Statements include one for each connection that is opened."
        ),
        "",
        (
            "| backlog | runs/hour | peak memory of any task | tasks in DAG runs | CPU per run | XCom in all | largest "
            "XCom | staging at most | statements | requests per run |"
        ),
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
        "Under a budget WATS decides: 500 requests a minute are some 28,000 runs an hour, whatever the machine.",
    ]
