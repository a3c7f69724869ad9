"""Extract and map, measured side by side with what one would otherwise write.

Each reader runs in a process of its own against one emulated SQL Server in another process: ours (two statements per
slice, staged as compressed JSON lines, then mapped), plain pymssql ``fetchall`` of the same two result sets, and one
query per run. Prints a table; ratios count, seconds differ from machine to machine.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

START = datetime(2026, 3, 2, 6, tzinfo=UTC)
STEPS = 50
SLICE_RUNS = 100
RUNS = (1_000, 10_000)
ROUNDS = 2
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"


def serve(pipe: Connection, runs: int) -> None:
    """Serve a floor of ``runs`` runs; answer "statements" with how many SELECTs came so far."""
    from sandbox.plant import Plant

    plant = Plant(timezone="UTC")
    plant.floor.load(plant.db, start=START, end=START + timedelta(seconds=runs), runs=runs, steps=STEPS)
    with plant.vte as server:
        pipe.send((plant.connections["vte_default"], plant.floor.settings()))
        while pipe.recv() != "end":
            pipe.send(sum("SELECT" in entry.sql for entry in server.log))


def ours(runs: int) -> dict[str, Any]:
    """Plan, extract and map every slice; the way the DAG does it, without Airflow's own work."""
    from upath import UPath

    from vte_wats.mapping.report import map_run  # noqa: F401 -- pyWATS is imported once per task, not per slice
    from vte_wats.settings import Settings
    from vte_wats.source.vte import VteSource
    from vte_wats.storage.staging import Staging
    from vte_wats.sync.extract import extract
    from vte_wats.sync.map_runs import map_runs
    from vte_wats.sync.plan import plan
    from vte_wats.windows import Window

    settings = Settings.model_validate(json.loads(os.environ["BENCH_SETTINGS"]) | {"batch_size": SLICE_RUNS})
    window = Window(START, START + timedelta(seconds=runs))
    read, mapped_s, extracted_s = 0, 0.0, 0.0
    with tempfile.TemporaryDirectory() as folder, VteSource(settings) as source:
        for part in plan(source, settings, window).slices:
            staging = Staging(UPath(folder) / part.name)
            began = time.perf_counter()
            read += extract(source, staging, part, settings)
            extracted_s += time.perf_counter() - began
            began = time.perf_counter()
            map_runs(staging, settings)
            mapped_s += time.perf_counter() - began
    return {"runs": read, "seconds": extracted_s, "map_seconds": mapped_s}


def fetchall(runs: int) -> dict[str, Any]:
    """Read the same slices with the same statements by ``fetchall``, and keep nothing."""
    from vte_wats.source.statements import in_ranges, statement

    settings, cursor, slices = _plain(runs)
    read, began = 0, time.perf_counter()
    for ranges in slices:
        condition, binds = in_ranges(ranges)
        for name in ("select_runs", "select_steps"):
            cursor.execute(statement(name, settings, selection=condition), binds)
            rows = cursor.fetchall()
            read += len(rows) if name == "select_runs" else 0
    return {"runs": read, "seconds": time.perf_counter() - began}


def one_query_per_run(runs: int) -> dict[str, Any]:
    """Read the keys, then the header and the steps of every run by its own statements: the obvious loop."""
    from vte_wats.source.statements import among_guids, in_ranges, statement

    settings, cursor, slices = _plain(runs)
    read, began = 0, time.perf_counter()
    for ranges in slices:
        condition, binds = in_ranges(ranges)
        cursor.execute(statement("select_run_keys", settings, ranges=condition), binds)
        for guid, _ in cursor.fetchall():
            one, named = among_guids([guid])
            for name in ("select_runs", "select_steps"):
                cursor.execute(statement(name, settings, selection=one), named)
                cursor.fetchall()
            read += 1
    return {"runs": read, "seconds": time.perf_counter() - began}


def _plain(runs: int) -> tuple[Any, Any, list[Any]]:
    import pymssql

    from vte_wats.ports import TimeRange
    from vte_wats.settings import Settings

    fields = json.loads(os.environ["AIRFLOW_CONN_VTE_DEFAULT"])
    connection = pymssql.connect(
        server=fields["host"], port=str(fields["port"]), user=fields["login"], password=fields["password"],
        database=fields["schema"], autocommit=True,
    )  # fmt: skip
    begin = START.astimezone(ZoneInfo("UTC")).replace(tzinfo=None)
    edges = [begin + timedelta(seconds=n) for n in range(0, runs + SLICE_RUNS, SLICE_RUNS)]
    slices = [(TimeRange(low, high),) for low, high in pairwise(edges)]
    settings = Settings.model_validate(json.loads(os.environ["BENCH_SETTINGS"]))
    return settings, connection.cursor(), slices


def _measured(pipe: Connection, reader: Callable[[int], dict[str, Any]], runs: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = reader(runs)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send(result | {"peak_mb": peak / 1024, "grown_mb": (peak - before) / 1024})


def _in_a_process(reader: Callable[[int], dict[str, Any]], runs: int, server: Connection) -> dict[str, Any]:
    server.send("statements")
    statements = server.recv()
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=_measured, args=(there, reader, runs))
    process.start()
    there.close()
    result: dict[str, Any] = here.recv()
    process.join()
    server.send("statements")
    return result | {"statements": server.recv() - statements}


def main() -> int:
    """Measure, print the tables, write results-core.json and docs/benchmarks.md; return 0 when reading was correct."""
    os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="vte-wats-bench-"))
    results: dict[str, Any] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Python {sys.version.split()[0]}"
    }
    for runs in RUNS:
        here, there = multiprocessing.Pipe()
        server = multiprocessing.get_context("spawn").Process(target=serve, args=(there, runs))
        server.start()
        connection, settings = here.recv()
        os.environ |= {"AIRFLOW_CONN_VTE_DEFAULT": json.dumps(connection), "BENCH_SETTINGS": json.dumps(settings)}
        readers = (ours, fetchall, one_query_per_run) if runs == RUNS[0] else (ours,)
        rounds = [{reader.__name__: _in_a_process(reader, runs, here) for reader in readers} for _ in range(ROUNDS)]
        here.send("end")
        server.join()
        best = {name: min((r[name] for r in rounds), key=lambda m: m["seconds"]) for name in rounds[0]}
        results[str(runs)] = best
    page = _page(results)
    print(page)
    Path(__file__).with_name("results-core.json").write_text(json.dumps(results, indent=1) + "\n")
    PAGE.write_text(page, encoding="utf-8")
    return 0 if all(one["runs"] == runs for runs in RUNS for one in results[str(runs)].values()) else 1


def _page(results: dict[str, Any]) -> str:
    few, many = (results[str(runs)] for runs in RUNS)
    mine, plain, loop = few["ours"], few["fetchall"], few["one_query_per_run"]
    lines = [
        "# Benchmarks",
        "",
        "Written by `make bench-core`. Seconds differ from machine to machine and from run to run; the ratios were",
        f"measured side by side, best of {ROUNDS}, on {results['machine']}, against the emulated SQL Server.",
        "",
        f"## Reading and mapping {RUNS[0]:,} runs × {STEPS} steps, slices of {SLICE_RUNS} runs",
        "",
        "| reader | ms per run | rows/s | statements | against plain fetchall |",
        "|---|---:|---:|---:|---:|",
    ]
    names = {
        "ours": "this package: read, validate, stage",
        "fetchall": "plain pymssql `fetchall` of the same rows",
        "one_query_per_run": "one query pair per run",
    }
    for key, name in names.items():
        one = few[key]
        rows = one["runs"] * (STEPS + 1) / one["seconds"]
        lines.append(
            f"| {name} | {one['seconds'] / one['runs'] * 1e3:.2f} | {rows:,.0f} | {one['statements']} | "
            f"{plain['seconds'] / one['seconds']:.2f} |"
        )
    pairs = (mine["statements"] - 1) / (RUNS[0] / SLICE_RUNS)
    return "\n".join([
        *lines,
        "",
        f"- {pairs:.1f} statements per slice, and one to plan them all.",
        f"- {loop['seconds'] / mine['seconds']:.1f} times as fast as one query pair per run.",
        f"- Mapping to WATS reports adds {mine['map_seconds'] / mine['runs'] * 1e3:.2f} ms per run.",
        f"- Flat memory: peak {mine['peak_mb']:.0f} MB, and {many['ours']['peak_mb']:.0f} MB at {RUNS[1]:,} runs.",
        "",
    ])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
