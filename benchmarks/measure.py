"""Fair measuring: contenders run in turn, in one process, several times over; the best time of each counts.

What else the machine does then strikes all of them alike, and the ratios hold where the seconds do not.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import platform
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Goal:
    """A ratio that was aimed at: what it compares, the aim in words, what was measured, the bound it should keep."""

    what: str
    aim: str
    measured: float
    bound: float
    at_most: bool = False

    @property
    def held(self) -> bool:
        """Whether the measurement keeps the bound."""
        return self.measured <= self.bound if self.at_most else self.measured >= self.bound


Contender = Callable[[], float]
"""Does its work once and returns how many seconds count."""


def machine() -> str:
    """Name the machine by what matters to a reader, without saying whose it is."""
    return f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"


def best_of(rounds: int, contenders: Mapping[str, Contender]) -> dict[str, float]:
    """Run the contenders in turn, ``rounds`` times; return the shortest time of each in seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            seconds[name].append(contender())
    return {name: min(times) for name, times in seconds.items()}


def timed(work: Callable[[], object]) -> float:
    """Return how many seconds the work took; garbage of before is collected first."""
    gc.collect()
    began_s = time.perf_counter()
    work()
    return time.perf_counter() - began_s


class Worker:
    """A process of its own for the length of a ``with`` block; runs one function after the other.

    It has the environment of the moment it was started, and a memory that is measured apart from ours.
    """

    def __enter__(self) -> Self:
        """Start the process."""
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_work, args=(there,), daemon=True)
        self._process.start()
        there.close()
        return self

    def __exit__(self, *_: object) -> None:
        """End it, and wait until it has ended."""
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Run a function of a module there and return what it returned; its failure is raised here."""
        self._pipe.send((function, arguments, named))
        worked, result = self._pipe.recv()
        if not worked:
            raise RuntimeError(result)
        return result

    def peak_mb(self) -> float:
        """Return the most memory the process has held so far."""
        return float(self.call(_peak_mb))


def _work(pipe: Connection) -> None:
    while True:
        try:
            function, arguments, named = pipe.recv()
        except EOFError:
            os._exit(0)  # servers that still listen end with it
        try:
            pipe.send((True, function(*arguments, **named)))
        except Exception:  # noqa: BLE001 -- raised in the caller
            pipe.send((False, traceback.format_exc()))


def _peak_mb() -> float:
    """Read the high-water mark of this very program; getrusage would count the one it was started by."""
    if sys.platform == "linux":
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
