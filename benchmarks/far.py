"""Table 9: what the daily comparison of one day costs VTE, WATS and the worker, at plants of several sizes."""

from __future__ import annotations

import json
import os
import tempfile
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from more_itertools import chunked

from benchmarks import emulated_servers
from benchmarks.measure import Goal, Worker
from benchmarks.upload import post_bytes

TITLE = "Daily comparison"

_DAY_S = 86_400
_BUDGET_A_DAY = 60 * 24 * 500  # requests, at the default of 500 a minute
_MOST_MB = 350


@dataclass(frozen=True, slots=True)
class Size:
    """Plants by their runs a day, and steps of a run."""

    runs_a_day: tuple[int, ...] = (1_000, 10_000, 100_000)
    steps: int = 20


FULL = Size()
TINY = Size(runs_a_day=(48,), steps=2)


def measure(size: Size = FULL) -> dict[str, Any]:
    """Return what the comparison of a day that WATS holds as VTE does took, per plant."""
    plants = []
    for runs in size.runs_a_day:
        with tempfile.TemporaryDirectory() as folder, Worker() as servers:
            os.environ |= servers.call(emulated_servers.start, runs, size.steps, 1_000_000, _DAY_S)
            with Worker() as worker:
                worker.call(deposit)
            servers.call(emulated_servers.forget_requests)
            servers.call(emulated_servers.forget_statements)
            with Worker() as worker:
                found = worker.call(compare_day, folder)
                peak_mb = worker.peak_mb()
            if (found["compared"], found["differing"]) != (runs, 0):
                raise AssertionError(f"{runs} runs are equal in VTE and WATS, and the comparison says {found}")
            plants.append(
                {"runs": runs, "peak_mb": peak_mb, "requests": servers.call(emulated_servers.requests)["total"]}
                | {"statements": servers.call(emulated_servers.statements)}
                | {"longest_s": servers.call(emulated_servers.longest_statement_s)}
                | found
            )
    return {"steps": size.steps, "plants": plants}


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return what was aimed at: no statement of seconds, a small share of WATS's budget, and a bounded memory."""
    found = []
    for plant in result["plants"]:
        name = f"daily comparison of {plant['runs']:,} runs"
        share = 100 * plant["requests"] / _BUDGET_A_DAY
        found += [
            Goal(f"{name}, longest statement, seconds", "at most 2", plant["longest_s"], 2, at_most=True),
            Goal(f"{name}, share of the day's requests, %", "at most 5", share, 5, at_most=True),
            Goal(f"{name}, memory, MB", f"at most {_MOST_MB}", plant["peak_mb"], _MOST_MB, at_most=True),
        ]
    return found


def page(result: dict[str, Any]) -> list[str]:
    """Return the table."""
    rows = [
        f"| {plant['runs']:,} | {plant['statements']:,} | {plant['longest_s']:.2f} s | {plant['requests']:,} | "
        f"{100 * plant['requests'] / _BUDGET_A_DAY:.2f} % | {plant['cpu_s']:.1f} s | "
        f"{1_000 * plant['cpu_s'] / plant['runs']:.1f} ms | {plant['seconds']:.0f} s | {plant['peak_mb']:.0f} MB |"
        for plant in result["plants"]
    ]
    return [
        (
            f"Every run of a day, {result['steps']} steps each, is read and mapped again, and its hash compared with "
            "the one that WATS lists. All reports are there and equal. The share is that of 500 requests a minute."
        ),
        "",
        "| runs a day | statements | the longest | requests | share of the day's | CPU | per run | took | peak |",
        "|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
    ]


# ---------------------------------------------------------------------- what runs in a process of its own
def _settings() -> Any:
    import logging

    from vte_wats.config.settings import Settings

    logging.disable(logging.INFO)
    return Settings.model_validate(json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"]))


def _staging(folder: str, name: str) -> Any:
    from upath import UPath

    from vte_wats.storage.staging import Staging

    return Staging(UPath(folder) / name)


def deposit() -> float:
    """Post the report of every run, mapped as the sync does; no connection stays open while runs are read."""
    from vte_wats.intervals.wall_clock import local_ranges
    from vte_wats.mapping.report_builder import map_run
    from vte_wats.vte.reader import VteSource

    settings = _settings()
    with VteSource(settings) as source:
        runs = source.runs_between(local_ranges(_day(), settings.zone))
        bodies = (map_run(run, settings).document for run in runs)
        return sum(post_bytes(group) for group in chunked(bodies, 1_000))


def _day() -> Any:
    from vte_wats.intervals.interval import Interval

    return Interval(*emulated_servers.first(_DAY_S))


def compare_day(folder: str) -> dict[str, Any]:
    """Compare the day as the tasks of the daily comparison do; return what was found, seconds and CPU seconds."""
    from upath import UPath

    from vte_wats.intervals.wall_clock import LAST, local_ranges
    from vte_wats.reconcile.compare import stage_expected
    from vte_wats.reconcile.keys import OutsideWindows, stage_keys
    from vte_wats.reconcile.missing_runs import compare
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.vte.reader import VteSource
    from vte_wats.wats.hook import WatsHook

    settings = _settings()
    day = _day()
    compared = differing = 0
    began_s, began_cpu_s = time.monotonic(), time.process_time()
    with VteSource(settings) as source, WatsHook("wats_default").session() as wats:
        ranges = local_ranges(day, settings.zone)
        names = stage_keys(source, lambda name: _staging(folder, name), ranges, OutsideWindows(LAST))
        for name in names:
            staging = _staging(folder, name)
            stage_expected(source, staging, DeadLetters(UPath(folder)), settings)
            found = compare(wats, staging, {}, settings.zone, day.to_at + timedelta(days=1))
            compared += found["compared"]
            differing += sum(found.values()) - found["compared"]
    return {
        "compared": compared,
        "differing": differing,
        "seconds": time.monotonic() - began_s,
        "cpu_s": time.process_time() - began_cpu_s,
    }
