"""The main job, shown and checked: two hours of a factory from SQL Server to WATS through a real Airflow."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from zoneinfo import ZoneInfo

from sandbox.airflow_stack import AirflowStack, DagRun
from sandbox.environment import SandboxEnvironment
from sandbox.polling import poll
from sandbox.wats.profiles import DEFAULT_NAME, PROFILES, ProfileName

REPOSITORY = Path(__file__).resolve().parents[1]
PID_FILE = REPOSITORY / ".demo.pid"
SYNC, RECONCILE, MONITOR = "vte_wats_sync", "vte_wats_reconcile", "vte_wats_monitor"
INTERVAL = timedelta(minutes=5)
INTERVALS = 24
HISTORY_RUNS = 600
TIMEOUT_S = 900.0
OUTCOMES = ("uploaded", "unchanged", "replaced", "dead", "held")


@dataclass(frozen=True, slots=True)
class Verdict:
    """The counts of one check, over every run that is due: older than the watermark when the check started."""

    vte: int
    wats: int
    dead_letters: dict[str, str]
    missing: list[str]
    duplicates: list[str]
    still_to_come: int

    @property
    def balances(self) -> bool:
        """Whether every due run is in WATS once or a dead letter, and nowhere else."""
        return not self.missing and not self.duplicates and self.vte == self.wats + len(self.dead_letters)

    def __str__(self) -> str:
        return (
            f"demo: vte={self.vte} wats={self.wats} dead={len(self.dead_letters)} "
            f"missing={len(self.missing)} duplicates={len(self.duplicates)}"
        )


def main() -> int:
    """Run the demo; return 0 when the counts balance."""
    arguments = argparse.ArgumentParser(prog="python -m sandbox.demo", description=__doc__)
    arguments.add_argument("--once", action="store_true", help="end with a verdict instead of staying")
    arguments.add_argument("--pid-file", type=Path, default=PID_FILE, help="where `make down` finds its process id")
    arguments.add_argument(
        "--wats-profile",
        type=ProfileName,
        choices=list(ProfileName),
        default=DEFAULT_NAME,
        help=f"how WATS behaves where sources disagree, see docs/wats.md (default {DEFAULT_NAME})",
    )
    given = arguments.parse_args()
    once: bool = given.once
    logging.disable(logging.WARNING)
    assert isinstance(sys.stdout, io.TextIOWrapper)
    sys.stdout.reconfigure(line_buffering=True)
    for number in (signal.SIGINT, signal.SIGTERM):  # a script starts what runs in the background with SIGINT ignored
        signal.signal(number, _interrupt)
    try:
        with _temporary_home(given.pid_file) as home:
            return _demo(home, given.wats_profile, once=once)
    except KeyboardInterrupt:
        print("\nThe demo has ended; nothing of it is left behind.")
        return 0 if not once else 1


def _demo(home: Path, wats_profile: ProfileName, *, once: bool) -> int:
    now_at = datetime.now(UTC)
    start_at = datetime.fromtimestamp(now_at.timestamp() // 300 * 300, UTC) - INTERVALS * INTERVAL
    environment = SandboxEnvironment(profile=PROFILES[wats_profile])
    loaded = environment.factory_data.load(environment.db, start=start_at, end=now_at, runs=HISTORY_RUNS, oddities=True)
    print(f"A plant of {loaded.runs} runs since {start_at:%H:%M} UTC is in SQL Server, every oddity among them.")
    with (
        environment,
        environment.factory_data.live(environment.db, every_s=5.0),
        AirflowStack(
            home=home / "airflow",
            dags_folder=REPOSITORY / "dags",
            plugins_folder=REPOSITORY / "plugins",
            env={
                "AIRFLOW__VTE_WATS__START_DATE": start_at.isoformat(),
                "AIRFLOW__VTE_WATS__RETRY_DELAY_S": "5",
                "PYTHONPATH": str(REPOSITORY / "plugins"),
            },
            pools={"wats_api": 1, "vte_wats_state": 1, "vte_read": 2, "vte_survey": 1},
            connections=environment.connections,
            variables={"vte_wats": json.dumps(environment.settings(storage_path=f"file://{home}/storage"))},
        ) as airflow,
    ):
        print(f"Airflow:           {airflow.url}  (user {airflow.user}, password {airflow.password})")
        print(f"Status page:       {airflow.url}/plugin/vte_wats")
        print(f"Reports in WATS:   {environment.wats.url}  (which behaves as {wats_profile}, see docs/wats.md)")
        airflow.unpause(SYNC)
        airflow.unpause(MONITOR)
        finished = _wait_for_catchup(airflow)
        verdict = _check(environment, airflow, home / "storage")
        _print_table(verdict, finished, airflow)
        if not once:
            print(
                f"{verdict}\nThe station keeps testing and Airflow keeps syncing; Ctrl-C or `make down` ends the demo."
            )
            _follow(airflow, finished)
    print(verdict)
    return 0 if verdict.balances else 1


def _wait_for_catchup(airflow: AirflowStack) -> dict[str, dict[str, int]]:
    finished: dict[str, dict[str, int]] = {}

    def ended() -> int:
        _report_new(airflow, finished)
        return len(finished)

    def late(intervals: int) -> TimeoutError:
        return TimeoutError(f"only {intervals} of {INTERVALS} intervals were done after {TIMEOUT_S:.0f} s")

    poll(ended, until=INTERVALS.__le__, timeout_s=TIMEOUT_S, every_s=0.5, late=late)
    return finished


def _follow(airflow: AirflowStack, finished: dict[str, dict[str, int]]) -> None:
    while True:
        _report_new(airflow, finished)
        time.sleep(2)


def _report_new(airflow: AirflowStack, finished: dict[str, dict[str, int]]) -> None:
    for run in airflow.runs(SYNC):
        if run.state == "failed":
            raise RuntimeError(f"interval {run.dag_run_id} failed:\n{_failure(airflow, run)}")
        if run.state == "success" and run.dag_run_id not in finished:
            counts = airflow.xcom(SYNC, run.dag_run_id, "settle") or {}
            finished[run.dag_run_id] = {outcome: counts.get(outcome, 0) for outcome in OUTCOMES}
            text = ", ".join(f"{runs} {outcome}" for outcome, runs in finished[run.dag_run_id].items() if runs)
            print(f"[{len(finished):2}] {_interval(run)}  {text or 'nothing to do'}")


def _interval(run: DagRun) -> str:
    if run.data_interval_start is None or run.data_interval_end is None:
        return run.dag_run_id
    return f"{run.data_interval_start:%H:%M}–{run.data_interval_end:%H:%M} UTC"


def _failure(airflow: AirflowStack, run: DagRun) -> str:
    logs = [
        airflow.task_log(SYNC, run.dag_run_id, task.task_id, task.map_index, task.try_number)
        for task in airflow.task_instances(SYNC, run.dag_run_id)
        if task.state == "failed"
    ]
    return "\n".join(log[-3000:] for log in logs)


def _check(environment: SandboxEnvironment, airflow: AirflowStack, storage: Path) -> Verdict:
    """Compare every due run of VTE with WATS and the dead letters, after one comparison by Airflow itself.

    The five-minute sync reads back ten minutes; runs with a clock in 1970 or from yesterday are the daily comparison's.
    """
    last_sync = datetime.fromisoformat(json.loads(airflow.variable("vte_wats_state") or "{}")["lastSync"])
    due_until = last_sync.astimezone(ZoneInfo(environment.factory_data.timezone)).replace(tzinfo=None)
    rows = environment.db.query('SELECT CAST("Index_GUID" AS VARCHAR), "Timestamp" FROM "IndexData"')
    due = {guid.lower() for guid, timestamp in rows if timestamp < due_until}
    dag_run_id = airflow.trigger(RECONCILE, conf={"days": 0})
    airflow.unpause(RECONCILE)
    if airflow.wait_for_run(RECONCILE, dag_run_id, timeout_s=TIMEOUT_S) != "success":
        raise RuntimeError(f"the comparison of VTE and WATS failed, see {RECONCILE} in Airflow")
    received = Counter(_source_id(report).removeprefix("VTE:") for report in environment.wats.store.reports())
    dead_letters = {
        path.stem: json.loads(path.read_text())["signature"] for path in storage.glob("dead_letters/*.json")
    }
    unknown = received.keys() - _runs_by_now(environment)
    twice = {guid for guid, reports in received.items() if reports > 1} | environment.received_again
    twice |= received.keys() & dead_letters.keys()
    return Verdict(
        vte=len(due),
        wats=len(due & received.keys()),
        dead_letters={guid: reason for guid, reason in dead_letters.items() if guid in due},
        missing=sorted(due - received.keys() - dead_letters.keys()),
        duplicates=sorted(twice | unknown),
        still_to_come=len(rows) - len(due),
    )


def _runs_by_now(environment: SandboxEnvironment) -> set[str]:
    return {guid.lower() for (guid,) in environment.db.query('SELECT CAST("Index_GUID" AS VARCHAR) FROM "IndexData"')}


def _source_id(report: dict[str, list[dict[str, str]]]) -> str:
    return next(info["text"] for info in report["miscInfos"] if info["description"] == "source_id")


def _print_table(verdict: Verdict, finished: dict[str, dict[str, int]], airflow: AirflowStack) -> None:
    totals = {outcome: sum(counts[outcome] for counts in finished.values()) for outcome in OUTCOMES}
    state = json.loads(airflow.variable("vte_wats_state") or "{}")
    print(f"\nlastSync {state['lastSync']}")
    for name, value in [
        ("due runs in VTE", verdict.vte),
        ("of them in WATS", verdict.wats),
        ("read again, unchanged", totals["unchanged"]),
        ("replaced, steps came later", totals["replaced"]),
        ("dead letters and held runs", len(verdict.dead_letters)),
        ("missing", len(verdict.missing)),
        ("duplicates", len(verdict.duplicates)),
        ("newer runs, next interval's", verdict.still_to_come),
    ]:
        print(f"  {name:<28}{value:>6}")
    for reason, runs in Counter(verdict.dead_letters.values()).most_common():
        print(f"    {runs:>4} × {reason}")


@contextmanager
def _temporary_home(pid_file: Path) -> Iterator[Path]:
    home = Path(tempfile.mkdtemp(prefix="vte-wats-"))
    pid_file.write_text(str(os.getpid()))
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)
        pid_file.unlink(missing_ok=True)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
