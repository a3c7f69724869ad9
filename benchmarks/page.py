"""docs/benchmarks.md from results.json: goals first, then a table per measurement, then what follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.measure import Goal
from benchmarks.tables import TABLES

RESULTS = Path(__file__).with_name("results.json")
FINDINGS = Path(__file__).with_name("findings.md")
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

INTRODUCTION = """# Benchmarks

Written by `make bench` from `benchmarks/results.json`; `make bench ONLY=upload` measures one table again. Seconds
differ from machine to machine and from hour to hour. The ratios were measured side by side: all contenders of a table
in one run, in turn, the best time of each. VTE and WATS are the emulated servers, in a process of their own, with the
latency of a network added to every answer."""


def read_results() -> dict[str, Any]:
    """Return what was measured so far, by table."""
    found: dict[str, Any] = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    return found


def write(results: dict[str, Any]) -> None:
    """Keep the results and write the page."""
    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page_of(results), encoding="utf-8")


def page_of(results: dict[str, Any]) -> str:
    """Return the whole page."""
    parts = [INTRODUCTION, goals_of(results)]
    for number, (name, table) in enumerate(TABLES.items(), start=1):
        if name in results:
            found = results[name]
            heading = f"## {number} · {table.TITLE}\n\nMeasured on {found['machine']}.\n"
            parts.append("\n".join([heading, *table.page(found["result"])]))
    parts.append(FINDINGS.read_text(encoding="utf-8").strip())
    return "\n\n".join(parts) + "\n"


def goals_of(results: dict[str, Any]) -> str:
    """Return the table of goals."""
    every = [goal for name, table in TABLES.items() if name in results for goal in table.goals(results[name]["result"])]
    rows = [f"| {goal.what} | {goal.aim} | {_number(goal)} | {'yes' if goal.held else '**no**'} |" for goal in every]
    return "\n".join(["## Goals", "", "| what | goal | measured | held |", "|---|---|---:|---|", *rows])


def _number(goal: Goal) -> str:
    return f"{goal.measured:.2f}" if goal.measured < 100 else f"{goal.measured:,.0f}"
