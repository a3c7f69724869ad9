"""Table 7: the most memory that each task of a slice holds, however many steps its runs have."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import emulated_servers
from benchmarks.measure import Goal, Worker

TITLE = "Memory of a task"
_MOST_MB = 350
_TASKS = ("extract", "map_runs", "upload", "verify")


@dataclass(frozen=True, slots=True)
class Size:
    """How large the one slice is."""

    runs: int = 200
    steps: int = 10_000


FULL = Size()
TINY = Size(runs=4, steps=10)


def measure(size: Size = FULL) -> dict[str, Any]:
    """Return the peak of each task, every one in a process of its own, as on a worker."""
    with tempfile.TemporaryDirectory() as folder, Worker() as servers:
        os.environ |= servers.call(emulated_servers.start, size.runs, size.steps)
        peaks = {task: _peak_mb(task, folder, size.runs) for task in _TASKS}
        largest = max((path.stat().st_size for path in Path(folder).rglob("*.gz")), default=0)
    return {"runs": size.runs, "steps": size.steps, "peak_mb": peaks, "largest_file_mb": largest / 2**20}


def _peak_mb(task: str, folder: str, runs: int) -> float:
    with Worker() as worker:
        worker.call(globals()[task], folder, runs)
        return worker.peak_mb()


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return what was aimed at."""
    what = f"memory of a task, MB, {result['runs']} runs of {result['steps']:,} steps"
    return [Goal(what, f"at most {_MOST_MB}", max(result["peak_mb"].values()), _MOST_MB, at_most=True)]


def page(result: dict[str, Any]) -> list[str]:
    """Return the table."""
    return [
        (
            f"One slice of {result['runs']} runs × {result['steps']:,} steps, each task in a process of its own; the "
            f"largest file of its staging has {result['largest_file_mb']:.0f} MB, compressed."
        ),
        "",
        "| task | peak, MB |",
        "|---|---:|",
        *(f"| {task} | {peak:.0f} |" for task, peak in result["peak_mb"].items()),
    ]


# ---------------------------------------------------------------------- what runs in a process of each task
def _settings() -> Any:
    import logging

    from vte_wats.config.settings import Settings

    logging.disable(logging.INFO)
    return Settings.model_validate(json.loads(os.environ["AIRFLOW_VAR_VTE_WATS"]))


def _staging(folder: str) -> Any:
    from upath import UPath

    from vte_wats.storage.staging import Staging

    return Staging(UPath(folder) / "slice")


def extract(folder: str, runs: int) -> int:
    """Read all runs as one slice."""
    from vte_wats.intervals.interval import Interval
    from vte_wats.sync.extract import extract as extract_slice
    from vte_wats.sync.plan import ranges_to_read
    from vte_wats.sync.slices import Slice
    from vte_wats.vte.reader import VteSource

    settings = _settings()
    ranges = ranges_to_read(Interval(*emulated_servers.first(runs)), settings)
    with VteSource(settings) as source:
        return int(extract_slice(source, _staging(folder), Slice("slice", runs, ranges=ranges), settings))


def map_runs(folder: str, _: int) -> None:
    """Map what was read."""
    from vte_wats.sync.map_runs import map_runs as map_slice

    map_slice(_staging(folder), _settings())


def upload(folder: str, runs: int) -> None:
    """Upload what was mapped."""
    from datetime import UTC, datetime
    from functools import partial

    from upath import UPath

    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.storage.in_flight_keys import InFlightKeys
    from vte_wats.sync.upload import UploadOptions
    from vte_wats.sync.upload import upload as upload_slice

    with (
        _wats() as wats,
        InFlightKeys(UPath(folder), "slice", partial(datetime.now, UTC), wats.traits().shown_after_s) as keys,
    ):
        upload_slice(
            _staging(folder),
            wats,
            DeadLetters(UPath(folder)),
            _settings(),
            UploadOptions(datetime.now(UTC)),
            read=runs,
            in_flight=keys,
            read_again=lambda _: [],
        )


def verify(folder: str, _: int) -> None:
    """Compare what was mapped with what WATS has now."""
    from vte_wats.reconcile.compare import verify as verify_sample

    with _wats() as wats:
        verify_sample(_staging(folder), wats)


def _wats() -> Any:
    from vte_wats.wats.hook import WatsHook

    return WatsHook("wats_default").session()
