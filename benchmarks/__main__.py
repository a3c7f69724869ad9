"""Measure, print each section, keep results.json and docs/benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile

from benchmarks import TABLES, page
from benchmarks.measure import machine


def main() -> int:
    """Measure what was asked for; what was not keeps its earlier result."""
    arguments = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    arguments.add_argument("--only", nargs="+", choices=TABLES, metavar="TABLE", help=f"of {', '.join(TABLES)}")
    names = arguments.parse_args().only or list(TABLES)
    os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="vte-wats-bench-"))
    results = page.read_results()
    for name in names:
        table = TABLES[name]
        print(f"\n# {table.TITLE}\n", flush=True)
        results[name] = {"machine": machine(), "result": table.measure()}
        page.write(results)
        print("\n".join(table.page(results[name]["result"])), flush=True)
    print(f"\n{page.goals_of({name: results[name] for name in names})}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
