"""Table 1: reading runs out of VTE, against ``fetchall`` of the same rows and against the obvious loop."""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import dataclass
from functools import partial
from typing import Any

from benchmarks import emulated_servers
from benchmarks.measure import Goal, Worker, best_of

TITLE = "Extraction"


@dataclass(frozen=True, slots=True)
class Size:
    """How much is read, and how often. The loop reads fewer runs: at 10 ms it would take a minute each time."""

    runs: int = 1_000
    many_runs: int = 10_000
    loop_runs: int = 100
    steps: int = 50
    slice_runs: int = 100
    latencies_ms: tuple[int, ...] = (0, 1, 10)
    rounds: int = 5


FULL = Size()
TINY = Size(runs=6, many_runs=12, loop_runs=2, steps=3, slice_runs=3, latencies_ms=(0, 1), rounds=1)


def measure(size: Size = FULL) -> dict[str, Any]:
    """Return seconds per reader and latency, statements per slice, and the memory of few and of many runs."""
    latencies = []
    with Worker() as servers:
        os.environ |= servers.call(emulated_servers.start, size.runs, size.steps)
        with Worker() as reader:
            reader.call(prepare, size.slice_runs)
            before = servers.call(emulated_servers.statements)
            read, slices = reader.call(count, size.runs)
            statements = servers.call(emulated_servers.statements) - before
            for latency_ms in size.latencies_ms:
                servers.call(emulated_servers.delay, vte_ms=latency_ms)
                contenders = {
                    "ours": partial(reader.call, ours, size.runs),
                    "fetchall": partial(reader.call, fetchall, size.runs),
                    "loop": partial(reader.call, one_pair_per_run, size.loop_runs),
                }
                latencies.append({"latency_ms": latency_ms, "seconds": best_of(size.rounds, contenders)})
    return {
        "runs": size.runs,
        "many_runs": size.many_runs,
        "loop_runs": size.loop_runs,
        "steps": size.steps,
        "slice_runs": size.slice_runs,
        "rounds": size.rounds,
        "read": read,
        "latencies": latencies,
        # three are sent once: the options of the session, the plan, the types of the columns
        "statements_per_slice": (statements - 3) / slices,
        "peak_mb": [_peak_mb(runs, size) for runs in (size.runs, size.many_runs)],
    }


def _peak_mb(runs: int, size: Size) -> float:
    """Read and map so many runs in a process of its own; return the most memory it held."""
    with Worker() as servers:
        os.environ |= servers.call(emulated_servers.start, runs, size.steps)
        with Worker() as reader:
            reader.call(prepare, size.slice_runs)
            reader.call(read_and_map, runs)
            return reader.peak_mb()


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return what was aimed at."""
    found = [
        Goal(
            f"extraction against fetchall, {latency['latency_ms']} ms",
            "at least 0.8",
            latency["seconds"]["fetchall"] / latency["seconds"]["ours"],
            0.8,
        )
        for latency in result["latencies"]
    ]
    near = result["latencies"][1]
    loop = near["seconds"]["loop"] / result["loop_runs"] / (near["seconds"]["ours"] / result["runs"])
    few_mb, many_mb = result["peak_mb"]
    return [
        *found,
        Goal(f"extraction against the loop, {near['latency_ms']} ms", "at least 20", loop, 20),
        Goal("statements per slice", "3", result["statements_per_slice"], 3, at_most=True),
        Goal(
            f"memory of {result['many_runs']:,} runs against {result['runs']:,}",
            "at most 1.2",
            many_mb / few_mb,
            1.2,
            at_most=True,
        ),
    ]


def page(result: dict[str, Any]) -> list[str]:
    """Return the table and what follows from it."""
    names = {
        "ours": "this package: read, validate, stage",
        "fetchall": "plain pymssql `fetchall` of the same rows",
        "loop": "one pair of queries per run",
    }
    rows = []
    for latency in result["latencies"]:
        per_run = {name: seconds / _runs(name, result) for name, seconds in latency["seconds"].items()}
        for name, label in names.items():
            rows.append(
                f"| {latency['latency_ms']} ms | {label} | **{per_run['fetchall'] / per_run[name]:.2f}** | "
                f"{per_run['loop'] / per_run[name]:.1f} | {per_run[name] * 1e3:.2f} | "
                f"{(result['steps'] + 1) / per_run[name]:,.0f} |"
            )
    few_mb, many_mb = result["peak_mb"]
    return [
        (
            f"{result['runs']:,} runs × {result['steps']} steps in slices of {result['slice_runs']}; best of "
            f"{result['rounds']}; the loop over {result['loop_runs']} of the runs. A query per run costs the "
            "server, too: it parses and plans each of them."
        ),
        "",
        "| latency | reader | × fetchall | × loop | ms per run | rows/s |",
        "|---:|---|---:|---:|---:|---:|",
        *rows,
        "",
        (
            f"- {result['statements_per_slice']:.1f} statements per slice; one plans them all, one asks once for the "
            "types of the columns."
        ),
        (
            f"- Flat memory, mapping included: peak {few_mb:.0f} MB at {result['runs']:,} runs, {many_mb:.0f} MB at "
            f"{result['many_runs']:,}: {many_mb / few_mb:.2f} times."
        ),
    ]


def _runs(reader: str, result: dict[str, Any]) -> int:
    return int(result["loop_runs"] if reader == "loop" else result["runs"])


# ---------------------------------------------------------------------- what runs in the reader's process
_BINARY = ("other_value",)  # the one column of the plant's steps that holds no text
_prepared: dict[str, Any] = {}


def prepare(slice_runs: int) -> None:
    """Read the settings and import what a task imports once."""
    import logging

    import pymssql

    from vte_wats.config.settings import Settings
    from vte_wats.mapping.report_builder import map_run  # noqa: F401 -- pyWATS takes a second

    logging.disable(logging.INFO)
    fields = json.loads(os.environ["AIRFLOW_CONN_VTE_DEFAULT"])
    _prepared["settings"] = Settings.model_validate(
        json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"]) | {"batch_size": slice_runs}
    )
    _prepared["cursor"] = pymssql.connect(
        server=fields["host"], port=str(fields["port"]), user=fields["login"], password=fields["password"],
        database=fields["schema"], autocommit=True,
    ).cursor()  # fmt: skip


def _slices(source: Any, runs: int) -> Any:
    from vte_wats.intervals.interval import Interval
    from vte_wats.sync.plan import plan

    return plan(source, _prepared["settings"], Interval(*emulated_servers.first(runs))).slices


def _read(runs: int, *, mapping: bool) -> tuple[int, int, float]:
    """Plan and extract, and map where asked for, the way the DAG does; return runs, slices and extraction's seconds."""
    from upath import UPath

    from vte_wats.storage.staging import Staging
    from vte_wats.sync.extract import extract
    from vte_wats.sync.map_runs import map_runs
    from vte_wats.vte.reader import VteSource

    read, seconds = 0, 0.0
    with tempfile.TemporaryDirectory() as folder, VteSource(_prepared["settings"]) as source:
        slices = _slices(source, runs)
        for part in slices:
            staging = Staging(UPath(folder) / part.name)
            began_s = time.perf_counter()
            read += extract(source, staging, part, _prepared["settings"])
            seconds += time.perf_counter() - began_s
            if mapping:
                map_runs(staging, _prepared["settings"])
    return read, len(slices), seconds


def count(runs: int) -> tuple[int, int]:
    """Read once, and return how many runs and slices there were."""
    return _read(runs, mapping=False)[:2]


def read_and_map(runs: int) -> int:
    """Read and map."""
    return _read(runs, mapping=True)[0]


def ours(runs: int) -> float:
    """Read every slice with three statements, validate, stage."""
    return _read(runs, mapping=False)[2]


def fetchall(runs: int) -> float:
    """Read the same slices with the same statements, and keep nothing."""
    from vte_wats.vte.reader import VteSource
    from vte_wats.vte.statements import in_ranges, statement

    settings, cursor = _prepared["settings"], _prepared["cursor"]
    with VteSource(settings) as source:
        slices = _slices(source, runs)
    began_s = time.perf_counter()
    for part in slices:
        condition, binds = in_ranges(part.ranges)
        for name in ("select_run_sizes", "select_runs", "select_steps"):
            cursor.execute(statement(name, settings, as_they_are=_BINARY, selection=condition), binds)
            cursor.fetchall()
    return time.perf_counter() - began_s


def one_pair_per_run(runs: int) -> float:
    """Read the GUIDs, then the header and the steps of each run by statements of its own."""
    from vte_wats.vte.reader import VteSource
    from vte_wats.vte.statements import among_guids, in_ranges, statement

    settings, cursor = _prepared["settings"], _prepared["cursor"]
    with VteSource(settings) as source:
        ranges = [time_range for part in _slices(source, runs) for time_range in part.ranges]
    began_s = time.perf_counter()
    condition, binds = in_ranges([type(ranges[0])(ranges[0].from_local, ranges[-1].to_local)])
    cursor.execute(statement("select_run_keys", settings, ranges=condition), binds)
    for guid, *_ in cursor.fetchall()[:runs]:
        condition, named = among_guids([guid])
        for name in ("select_runs", "select_steps"):
            cursor.execute(statement(name, settings, as_they_are=_BINARY, selection=condition), named)
            cursor.fetchall()
    return time.perf_counter() - began_s
