"""How long each statement of the largest slice runs: ``python -m benchmarks.gentle``.

The emulated SQL Server is another process with a core of its own; it logs the time from a statement's arrival
to the last row sent, while the reader stages the rows.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection

from upath import UPath

RUNS, STEPS = 1_000, 50
START = datetime(2026, 3, 2, 6, tzinfo=UTC)


def serve(pipe: Connection) -> None:
    """Serve an environment with one slice of runs; answer each word with what was sent since."""
    from sandbox.environment import SandboxEnvironment

    with SandboxEnvironment(timezone="UTC") as environment:
        environment.factory_data.load(
            environment.db, start=START, end=START + timedelta(hours=1), runs=RUNS, steps=STEPS
        )
        pipe.send((environment.environment_variables, environment.factory_data.settings()))
        while pipe.recv():
            pipe.send([(entry.sql, entry.rows, entry.duration_s) for entry in environment.vte.log])


def main() -> None:
    """Read the slice once to warm up and three times to measure; print a row per statement, the slowest of three."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    server.start()
    environment, answers = here.recv()
    os.environ.update(environment)

    from vte_wats.config.settings import Settings
    from vte_wats.intervals.interval import Interval
    from vte_wats.storage.staging import Staging
    from vte_wats.sync.extract import extract
    from vte_wats.sync.plan import plan
    from vte_wats.vte.reader import VteSource

    settings = Settings.model_validate(answers | {"batch_size": 1_000})
    slowest: dict[str, tuple[int, float]] = {}
    for attempt in range(4):
        here.send("log")
        before = len(here.recv())
        with tempfile.TemporaryDirectory() as folder, VteSource(settings) as source:
            source.identity()
            (part,) = plan(source, settings, Interval(START, START + timedelta(hours=1))).slices
            extract(source, Staging(UPath(folder)), part, settings)
        here.send("log")
        for sql, rows, duration_s in here.recv()[before:]:
            name = next((name for mark, name in NAMES.items() if mark in sql), None)
            if attempt and name:
                slowest[name] = (rows, max(duration_s, slowest.get(name, (0, 0.0))[1]))
    sys.stdout.write("| statement | rows | seconds |\n| --- | --- | --- |\n")
    for name, (rows, duration_s) in slowest.items():
        sys.stdout.write(f"| {name} | {rows:,} | {duration_s:.2f} |\n")
    here.send("")


NAMES = {
    "INFORMATION_SCHEMA": "identity and columns",
    "COUNT_BIG": "runs per second of the interval",
    "[product_master_name]": "headers of the slice",
    "[TestDataOther]": "steps of the slice",
}

if __name__ == "__main__":
    main()
