"""A station that keeps working: it commits a run's header as the test ends, and the steps a moment later."""

import atexit
import heapq
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from random import Random
from types import TracebackType
from typing import Self
from zoneinfo import ZoneInfo

from sandbox.factory_data.masters import Masters
from sandbox.factory_data.measurements import Catalogue
from sandbox.factory_data.oddities import ODDITIES, Bench, RunRows
from sandbox.factory_data.runs import Flow, index_row, uut_row
from sandbox.factory_data.target_database import TargetDatabase

logger = logging.getLogger(__name__)

_SLOW_FACTOR = 20
_STOP_TIMEOUT_S = 10.0


@dataclass
class Committed:
    """One run of a live station: when its header was committed, and its steps (``None``: not yet)."""

    guid: str
    oddity: str | None
    timestamp_local: datetime
    header_at: datetime
    step_count: int
    steps_at: datetime | None = None


@dataclass
class LiveStation:
    """Commits one run every ``every_s`` seconds until it is stopped, or left as a context manager.

    ``clock`` gives the aware time that Timestamps are made of; waiting goes by real time. A share ``oddity_rate`` of
    the runs is odd, drawn from ``oddities``. Each header is one transaction, its steps are another one
    ``child_delay_s`` later. ``stop`` commits the steps that are still due. What the database refuses is logged and kept
    in ``refused``; the station continues.
    """

    store: TargetDatabase
    random: Random
    masters: Masters
    zone: ZoneInfo
    clock: Callable[[], datetime]
    every_s: float = 5.0
    child_delay_s: float = 1.0
    oddity_rate: float = 0.05
    oddities: Sequence[str] = ()
    committed: list[Committed] = field(init=False, default_factory=list)
    refused: list[Exception] = field(init=False, default_factory=list)
    _thread: threading.Thread | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._flow = Flow(self.random, self.masters, self.zone)
        self._catalogue = Catalogue()
        self._due: list[tuple[float, int, Committed, RunRows]] = []
        self._order = count()

    @property
    def guids_by_oddity(self) -> dict[str, tuple[str, ...]]:
        """The Index_GUIDs of the odd runs committed so far."""
        names = {run.oddity for run in self.committed if run.oddity}
        return {name: tuple(run.guid for run in self.committed if run.oddity == name) for name in sorted(names)}

    def start(self) -> Self:
        """Start working, in a thread that never keeps the process alive."""
        if self._thread is None:
            atexit.register(self.stop)  # a thread inside a C library when the interpreter goes would crash it
            self._stopped.clear()
            self._thread = threading.Thread(target=self._work, name="live-station", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Stop, with every header's steps committed. Does nothing when the station is not working."""
        if self._thread is None:
            return
        atexit.unregister(self.stop)
        self._stopped.set()
        self._thread.join(_STOP_TIMEOUT_S)
        if self._thread.is_alive():
            logger.warning("live station: no answer of the database for %s s, its thread is left", _STOP_TIMEOUT_S)
        self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _work(self) -> None:
        next_run = time.monotonic()
        while not self._stopped.is_set():
            if time.monotonic() >= next_run:
                next_run = max(next_run + self.every_s, time.monotonic())
                self._attempt(self._commit_headers)
            while self._due and self._due[0][0] <= time.monotonic():
                self._attempt(self._commit_steps)
            wake = min(next_run, self._due[0][0]) if self._due else next_run
            self._stopped.wait(max(0.0, wake - time.monotonic()))
        while self._due:
            self._attempt(self._commit_steps)

    def _attempt(self, commit: Callable[[], None]) -> None:
        try:
            commit()
        except Exception as error:  # noqa: BLE001 - a station goes on testing whatever the database answers
            logger.warning("live station: %s", error)
            self.refused.append(error)

    def _commit_headers(self) -> None:
        now = self.clock()
        oddity, runs = self._next_runs(now)
        for run in runs:
            uut = {} if run.uut is None else {"UutData": [run.uut]}
            self.store.insert_rows({**uut, "IndexData": [run.index]})
            committed = Committed(run.guid, oddity, run.index["Timestamp"], now, run.step_count)
            self.committed.append(committed)
            delay_s = self.child_delay_s * (_SLOW_FACTOR if run.slow else 1)
            if run.step_count:
                heapq.heappush(self._due, (time.monotonic() + delay_s, next(self._order), committed, run))

    def _commit_steps(self) -> None:
        _, _, committed, run = heapq.heappop(self._due)
        self.store.insert_rows({table: rows for table, rows in run.steps.items() if rows})
        committed.steps_at = self.clock()

    def _next_runs(self, now: datetime) -> tuple[str | None, list[RunRows]]:
        if self.oddities and self.random.random() < self.oddity_rate:
            bench = Bench(self.random, self.masters, self.zone, self._catalogue, now, now)
            name = self.random.choice(self.oddities)
            runs = ODDITIES[name].make(bench)
            if runs:
                return name, runs
        run = self._flow.next_run(now)
        steps = {table: rows.to_pylist() for table, rows in self._catalogue.measure([run], self.random).items()}
        uut = uut_row(run, self.masters) if run.is_first else None
        return None, [RunRows(index_row(run, self.masters), uut, steps)]
