"""Fifty sites with a hundred thousand runs a day each: what that asks of every part, and what reaches its limit first.

Pure arithmetic from what one site costs; nothing is started. Prints the assumptions and two tables and
writes them into docs/scaling.md: ``python -m benchmarks.fifty_sites``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from textwrap import fill

from benchmarks.page import read_results
from benchmarks.scheduler import cpu_of_a_task_and_a_run

PAGE = Path(__file__).parents[1] / "docs" / "scaling.md"
BEGIN, END = "<!-- fifty sites: begin -->", "<!-- fifty sites: end -->"
MINUTES_A_DAY = 24 * 60


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """What is assumed: the load, and how it is met. The defaults are those of the package on one small machine."""

    sites: int = 50
    runs_a_day: int = 100_000
    """Of one site."""
    steps: int = 50
    """Of one run."""
    peak: float = 2.0
    """The busiest hour against the mean one."""
    dead_letter_share: float = 0.001
    """Runs that become a dead letter, and stay one for a year."""

    interval_min: int = 5
    guard_band_min: int = 10
    batch_size: int = 1_000

    wats_servers: int = 1
    requests_per_minute: int = 500
    """Granted by each WATS, to all who use it together."""
    airflow_cores: int = 2
    """Of the machines that run Airflow's components and tasks, of each Airflow."""
    airflows: int = 1
    """Airflow installations, each with a metadata database of its own."""
    retention_days: int = 365
    """Age at which ``airflow db clean`` removes what Airflow keeps; a year stands for never."""

    # One interval of one site ---------------------------------------------------------------------------------------

    @property
    def intervals(self) -> float:
        """Per day."""
        return MINUTES_A_DAY / self.interval_min

    @property
    def new_runs(self) -> float:
        """Runs that are posted."""
        return self.runs_a_day / self.intervals

    @property
    def read_runs(self) -> float:
        """Runs of the window: the guard band is read again each time, and posted no second time."""
        return self.runs_a_day * (self.interval_min + self.guard_band_min) / MINUTES_A_DAY

    @property
    def slices(self) -> int:
        """Of one interval."""
        return max(1, ceil(self.read_runs / self.batch_size))

    @property
    def task_instances(self) -> int:
        """Those of plan and settle, and three for each slice."""
        return 2 + 3 * self.slices


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one unit of work costs, with the emulated servers on two x86-64 cores."""

    ids_a_query: int = 50
    keys_a_query: int = 60
    """Natural keys of new runs that fit one query."""
    requests_a_task: int = 1
    """The list of processes."""
    statements_a_slice: int = 3
    """Sizes, headers and steps."""
    connection_batches: int = 4
    """Sent by the driver when a task connects: options of the session."""
    task_core_s: float
    """Per task instance: all components of Airflow, and to start one of our tasks with its imports and connections."""
    run_core_s: float
    """Read, map, compare and post one run of 50 steps."""
    tasks_a_minute: float = 435
    """The most that one scheduler on two cores started and ended."""
    api_calls: float
    """Of one task instance to the API server, with one heartbeat a second."""
    rows: float
    """In the metadata database for one task instance, with its XComs and log events."""
    row_bytes: float
    """With indexes."""
    staged_bytes: float
    """Runs and reports of one run, compressed."""
    dead_letter_bytes: int = 22_000


def measured() -> Measured:
    """Return what the last measurement on a real scheduler found, table 5 of the benchmarks."""
    found = read_results()["scheduler"]["result"]
    peaks, costs = [kind for kind in found["kinds"] if kind["kind"] == "peak"], found["costs"]
    task_core_s, run_core_s = cpu_of_a_task_and_a_run(peaks)
    return Measured(
        task_core_s=task_core_s,
        run_core_s=run_core_s,
        api_calls=costs["api_calls"] / costs["tasks"],
        rows=costs["rows"] / costs["tasks"],
        row_bytes=costs["bytes"] / costs["rows"],
        staged_bytes=found["verbs_alone"]["staged_bytes"] / peaks[0]["runs"],
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One quantity: what one site asks, what all ask together, and what there is; ``limit`` 0 means no limit."""

    name: str
    unit: str
    one_site: float
    all_sites: float
    limit: float = 0.0
    remedy: str = ""

    @property
    def load(self) -> float:
        """Ask against limit."""
        return self.all_sites / self.limit if self.limit else 0.0


def lines(fleet: Fleet, costs: Measured | None = None) -> Iterator[Line]:
    """Yield everything that grows with the fleet; rates are those of the busiest hour, amounts those of a day."""
    costs = costs or measured()
    per_minute = fleet.peak / fleet.interval_min  # an interval's work, in one minute of the busiest hour

    def line(name: str, unit: str, one_site: float, limit: float = 0.0, remedy: str = "") -> Line:
        return Line(name, unit, one_site, one_site * fleet.sites, limit, remedy)

    requests = (
        fleet.new_runs
        + ceil(fleet.read_runs / costs.ids_a_query)
        + ceil(fleet.new_runs / costs.keys_a_query)
        + costs.requests_a_task * fleet.slices
    )
    yield line(
        "requests to WATS", "a minute", requests * per_minute, fleet.requests_per_minute * fleet.wats_servers,
        "a larger budget from WATS, shared out over the sites' connections",
    )  # fmt: skip
    yield line("rows read from SQL Server", "a day", fleet.read_runs * (1 + fleet.steps) * fleet.intervals)
    statements = fleet.slices * (costs.statements_a_slice + costs.connection_batches) + 2 + costs.connection_batches
    yield line("statements to SQL Server", "a minute", statements * per_minute)
    yield line("DAG runs", "a day", fleet.intervals)
    yield line("task instances", "a day", fleet.task_instances * fleet.intervals)
    yield line(
        "task instances", "a minute", fleet.task_instances * per_minute,
        costs.tasks_a_minute * fleet.airflows * fleet.airflow_cores / 2,
        "more cores, then one Airflow per region",
    )  # fmt: skip
    cores = (fleet.task_instances * costs.task_core_s + fleet.read_runs * costs.run_core_s) * per_minute / 60
    yield line(
        "processor", "cores", cores, float(fleet.airflow_cores * fleet.airflows),
        "more workers",
    )  # fmt: skip
    yield line("calls to the API server", "a second", fleet.task_instances * costs.api_calls * per_minute / 60)
    rows = fleet.task_instances * costs.rows * fleet.intervals
    yield line("rows in the metadata database", "a day", rows)
    yield line(
        "metadata database", "GB", rows * costs.row_bytes * fleet.retention_days / 1e9, 50.0 * fleet.airflows,
        "`airflow db clean` after 30 days",
    )  # fmt: skip
    yield line("staging written", "GB a day", fleet.read_runs * costs.staged_bytes * fleet.intervals / 1e9)
    dead_letters = fleet.runs_a_day * fleet.dead_letter_share
    yield line("dead letters", "a day", dead_letters)
    yield line("dead letters after a year", "GB", dead_letters * 365 * costs.dead_letter_bytes / 1e9)


AS_INSTALLED = Fleet()
REMEDIED = Fleet(requests_per_minute=10_000, airflow_cores=8, retention_days=30)


def page() -> str:
    """Return the tables and what they rest on, as Markdown."""
    costs, before, after = measured(), list(lines(AS_INSTALLED)), list(lines(REMEDIED))
    fleet = AS_INSTALLED
    rows = [
        f"| {old.name} | {old.unit} | {_short(old.one_site)} | {_short(old.all_sites)} | {_limit(old)} | "
        f"{_short(new.all_sites)} | {_limit(new)} |"
        for old, new in zip(before, after, strict=True)
    ]
    worst = sorted((line for line in before if line.load > 1), key=lambda line: -line.load)
    breaks = [
        f"{number}. **{line.name}** ({line.unit}): {line.load:.1f} times what there is. Remedy: {line.remedy}."
        for number, line in enumerate(worst, 1)
    ]
    load = (
        f"{fleet.sites} sites with {fleet.runs_a_day:,} runs a day of {fleet.steps} steps "
        f"each, all to {fleet.wats_servers} WATS, by one "
        f"Airflow. Rates are those of the busiest hour, {fleet.peak:g} times the "
        f"mean. {fleet.dead_letter_share:.1%} of the runs become "
        f"dead letters. A guard band of {fleet.guard_band_min} minutes is read again every {fleet.interval_min}."
    )
    setups = (
        f"*As installed*: {_setup(AS_INSTALLED)}, nothing cleaned for a year. *Remedied*: {_setup(REMEDIED)}, "
        f"`airflow db clean` after {REMEDIED.retention_days} days."
    )
    found = (
        f"Measured: {costs.ids_a_query} report ids and {costs.keys_a_query} natural "
        f"keys a query, {costs.statements_a_slice} statements "
        f"a slice, {costs.tasks_a_minute:g} task instances a minute on two cores, "
        f"{costs.dead_letter_bytes:,} bytes a dead letter. From table 5 of the [benchmarks](benchmarks.md): "
        f"{costs.task_core_s:.2f} core-seconds a task instance and {costs.run_core_s * 1e3:.1f} ms a run in addition, "
        f"{costs.api_calls:.0f} calls of the API server and {costs.rows:.1f} rows of {costs.row_bytes:,.0f} bytes a "
        f"task instance, {costs.staged_bytes:,.0f} bytes of staging a run."
    )
    head = "| what | unit | one site | as installed | of the limit | remedied | of the limit |"
    table = "\n".join([head, "|---|---|---:|---:|---:|---:|---:|", *rows])
    first = "Where it breaks first, as installed:\n\n" + "\n".join(breaks)
    return "\n\n".join([*map(_wrapped, (load, setups)), table, first, _wrapped(found)])


def _setup(fleet: Fleet) -> str:
    budget = f"{fleet.requests_per_minute:,} requests a minute"
    return f"`batch_size` {fleet.batch_size:,}, {budget}, {fleet.airflow_cores} cores"


def _wrapped(text: str) -> str:
    return fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _limit(line: Line) -> str:
    return f"{line.load:.0%}" if line.limit else ""


def written(text: str) -> str:
    """Return the page on scaling with the tables between its two marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{page()}\n\n{END}{tail}"


def main() -> int:
    """Print the tables and write them into the page."""
    print(page())
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
