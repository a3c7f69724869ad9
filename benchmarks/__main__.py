"""Measure, print each section, keep results.json and docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile

from benchmarks import backlog, page
from benchmarks.measure import machine
from benchmarks.tables import TABLES


def main() -> int:
    """Measure what was asked for; what was not keeps its earlier result."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("--only", nargs="+", choices=TABLES, metavar="TABLE", help=f"of {', '.join(TABLES)}")
    arguments.add_argument("--backlog", type=int, metavar="RUNS", help="measure a backlog of so many runs instead")
    given = arguments.parse_args()
    names = ["backlog"] if given.backlog else given.only or list(TABLES)
    os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="vte-wats-bench-"))
    results = page.read_results()
    for name in names:
        table = TABLES[name]
        print(f"\n# {table.TITLE}\n", flush=True)
        result = backlog.measure(backlog.Size(runs=given.backlog)) if given.backlog else table.measure()
        if name == "backlog":  # backlogs of other sizes stay beside it
            result = results.get(name, {"result": {}})["result"] | result
        results[name] = {"machine": machine(), "result": result}
        page.write(results)
        print("\n".join(table.page(results[name]["result"])), flush=True)
    print(f"\n{page.goals_of({name: results[name] for name in names})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
