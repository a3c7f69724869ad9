"""Table 7: the most memory that each task of a slice holds, however much its runs hold."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from typing import Any

from benchmarks import emulated_servers
from benchmarks.measure import Goal, Worker

TITLE = "Memory of a task"
_MOST_MB = 350
_TASKS = {
    "extract": "extract",
    "map_runs": "map_runs",
    "upload": "upload",
    "verify": "verify",
    "upload_again": "upload, where every run is read from VTE again",
}


@dataclass(frozen=True, slots=True)
class Slice:
    """How many runs the one slice has, how many steps each, how many attachments beside them, and how large each is."""

    runs: int
    steps: int
    attached_bytes: int = 0
    attachments: int = 1

    @property
    def label(self) -> str:
        """What the table calls it."""
        runs = "1 run" if self.runs == 1 else f"{self.runs} runs"
        size = self.attached_bytes * self.attachments
        attached = f", {size / 1e6:.1f} MB attached".replace(".0 MB", " MB") if size else ""
        return f"{runs} of {self.steps:,} steps{attached}"


# The largest run that is transferred, by max_steps_per_run and max_run_bytes: its other texts and values have 2.4 MB.
LARGEST = Slice(1, 19_998, attached_bytes=8_775_000, attachments=2)
FULL = (Slice(200, 10_000), Slice(4, 20_000), Slice(4, 50, attached_bytes=10_000_000), LARGEST)
TINY = (Slice(4, 10), Slice(1, 5, attached_bytes=1_000, attachments=2))


def measure(slices: tuple[Slice, ...] = FULL) -> dict[str, Any]:
    """Return the peak of each task, every one in a process of its own, as on a worker."""
    return {a_slice.label: _measured(a_slice) for a_slice in slices}


def _measured(size: Slice) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder, Worker() as servers:
        os.environ |= servers.call(emulated_servers.start, size.runs, size.steps)
        if size.attached_bytes:
            servers.call(emulated_servers.attach, size.attached_bytes, size.attachments)
        peaks = {}
        for task in _TASKS:
            if task == "upload_again":
                _peak_mb("map_again", folder, size.runs)  # map_runs, whose memory is measured already
            peaks[task] = _peak_mb(task, folder, size.runs)
        received = servers.call(emulated_servers.requests)["reports"]
        if received != size.runs:
            raise AssertionError(f"{size.runs} runs were to be uploaded, WATS holds {received}")
    return {"peak_mb": peaks}


def _peak_mb(task: str, folder: str, runs: int) -> float:
    with Worker() as worker:
        worker.call(globals()[task], folder, runs)
        return worker.peak_mb()


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return what was aimed at."""
    return [
        Goal(
            f"memory of a task, MB, {label}",
            f"at most {_MOST_MB}",
            max(found["peak_mb"].values()),
            _MOST_MB,
            at_most=True,
        )
        for label, found in result.items()
    ]


def page(result: dict[str, Any]) -> list[str]:
    """Return the table."""
    return [
        "One slice, each task in a process of its own; peaks in MB.",
        "",
        f"| slice | {' | '.join(_TASKS.values())} |",
        f"|---|{'---:|' * len(_TASKS)}",
        *(_row(label, found) for label, found in result.items()),
    ]


def _row(label: str, found: dict[str, Any]) -> str:
    peaks = " | ".join(f"{found['peak_mb'][task]:.0f}" if task in found["peak_mb"] else "–" for task in _TASKS)
    return f"| {label} | {peaks} |"


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
    _upload(folder, runs, _settings())


def map_again(folder: str, _: int) -> None:
    """Map what was read, with other settings."""
    from vte_wats.sync.map_runs import map_runs as map_slice

    map_slice(_staging(folder), _other_settings())


def upload_again(folder: str, runs: int) -> None:
    """Upload what was mapped with other settings: WATS has other content of every report, so each run is read again."""
    _upload(folder, runs, _other_settings())


def _other_settings() -> Any:
    return _settings().model_copy(update={"purpose": "Again"})


def _upload(folder: str, runs: int, settings: Any) -> None:
    from collections.abc import Iterator
    from datetime import UTC, datetime
    from functools import partial

    from upath import UPath

    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.storage.in_flight_keys import InFlightKeys
    from vte_wats.sync.map_runs import read_again
    from vte_wats.sync.upload import UploadOptions
    from vte_wats.sync.upload import upload as upload_slice
    from vte_wats.vte.reader import VteSource

    def reader(guids: Any) -> Iterator[Any]:
        with VteSource(settings) as source:
            yield from read_again(source, settings, guids)

    with (
        _wats() as wats,
        InFlightKeys(UPath(folder), "slice", partial(datetime.now, UTC), wats.behaviour().shown_after_s) as keys,
    ):
        upload_slice(
            _staging(folder),
            wats,
            DeadLetters(UPath(folder)),
            settings,
            UploadOptions(datetime.now(UTC)),
            read=runs,
            in_flight=keys,
            read_again=reader,
        )


def verify(folder: str, _: int) -> None:
    """Compare what was mapped with what WATS has now."""
    from vte_wats.reconcile.compare import verify as verify_sample

    with _wats() as wats:
        verify_sample(_staging(folder), wats)


def _wats() -> Any:
    from vte_wats.wats.hook import WatsHook

    return WatsHook("wats_default").session()
