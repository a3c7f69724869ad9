"""A plant of some simulated days: its stations work, syncs and comparisons run as scheduled, events come in between.

Nobody acts: what fails stays failed, no task is cleared, nothing is triggered. Tasks run in this process, over the real
wires. The intervals of a pause are not caught up, as if somebody had deleted their DAG runs: that is harder.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.variable import Variable
from airflow.utils.db import initdb
from airflow.utils.session import create_session

from sandbox.environment import SandboxEnvironment
from tests.site.check import Ended, Findings, Kept, check, differing
from tests.site.in_process import BEGIN_AT, DEFAULTS, HISTORY, PROGRESS, PROOF, STATE, Site, stored_dags
from tests.site.simulated_time import SimulatedTime

REPOSITORY = Path(__file__).resolve().parents[2]
SYNC, RECONCILE = "vte_wats_sync", "vte_wats_reconcile"
SEEN = "vte_wats_seen"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COMPARED_AT = 3.5 * HOUR  # of each day, UTC
_NIGHT = COMPARED_AT + HOUR  # what the last comparison needs beyond the last day


@dataclass(frozen=True)
class Event:
    """What happens so long after the beginning."""

    name: str
    after: timedelta
    play: Callable[[SimulatedSite], None]


@dataclass(frozen=True)
class Story:
    """How many days are played, with which events, how dense, and how far back and how closely comparisons look."""

    days: int
    events: tuple[Event, ...]
    every: timedelta = 2 * HOUR
    runs: int = 4
    compared_days: int = 7
    sample: int = 20
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Due:
    """A run that must be in WATS as VTE has it, or be a dead letter, by a time."""

    guid: str
    by: datetime
    why: str
    as_report: bool = False


class SimulatedSite:
    """One plant, and what happened in it."""

    def __init__(self, story: Story, environment: SandboxEnvironment, clock: SimulatedTime, storage: Path) -> None:
        self.story, self.environment, self.clock, self.storage = story, environment, clock, storage
        self.db, self.wats = environment.db, environment.wats
        self.zone = ZoneInfo(environment.factory_data.timezone)
        self.settings = environment.settings(storage_path=f"file://{storage}", **story.settings)
        self.every = story.every
        self.is_paused = False
        self.gone: dict[str, date] = {}
        self.refused: set[str] = set()
        self.states: list[tuple[datetime, str]] = []
        self.failed: list[str] = []
        self.late: list[str] = []
        self._due: list[Due] = []
        self._events = sorted(story.events, key=lambda event: event.after)
        self._site = Site(environment, _bag(self.every))

    # -- what events use ----------------------------------------------------------------------------------------------
    def work(self, from_at: datetime, to_at: datetime, runs: int) -> list[str]:
        """Let the stations commit runs that ended within a time; return their GUIDs."""
        before = self.environment.source
        self.environment.factory_data.load(self.db, start=from_at, end=to_at, runs=runs, steps=3)
        return sorted(self.environment.source - before)

    def a_run(self, youngest: timedelta, oldest: timedelta) -> str:
        """Return a passed run of that age that WATS has, the youngest whose unit was tested once."""
        to_local, from_local = (
            (self.clock.at - age).astimezone(self.zone).replace(tzinfo=None) for age in (youngest, oldest)
        )
        rows = self.db.query(
            'SELECT min("Index_GUID") FROM "IndexData" GROUP BY "Uut_GUID" '
            'HAVING count(*) = 1 AND min("Result") = 1 AND min("Timestamp") >= ? AND min("Timestamp") < ? '
            'ORDER BY min("Timestamp") DESC',
            [from_local, to_local],
        )
        used = {due.guid for due in self._due} | self.gone.keys() | self.refused
        receipts = self.environment.receipts
        return next(guid for (found,) in rows if (guid := str(found).lower()) in receipts and guid not in used)

    def expect(self, guid: str, within: timedelta, why: str) -> None:
        """Say by when a run must be in WATS as VTE has it now."""
        self._due.append(Due(guid, self.clock.at + within, why))

    def expect_report(self, guid: str, within: timedelta, why: str) -> None:
        """Say by when a run must be in WATS as VTE has it then, not a dead letter."""
        self._due.append(Due(guid, self.clock.at + within, why, as_report=True))

    def later(self, event: Event) -> None:
        """Let something happen later."""
        self._events = sorted((*self._events, event), key=lambda event: event.after)

    def set_schedule(self, every: timedelta) -> None:
        """Deploy the DAGs with another schedule."""
        self.every = every
        self._site = Site(self.environment, _bag(every))

    # -- the days -----------------------------------------------------------------------------------------------------
    def live(self) -> None:
        """Play all days."""
        end_at = BEGIN_AT + self.story.days * DAY + _NIGHT
        while self.clock.at < end_at:
            next_sync = _next(self.clock.at, self.every)
            next_comparison = _next(self.clock.at - COMPARED_AT, DAY) + COMPARED_AT
            event_at = BEGIN_AT + self._events[0].after if self._events else end_at
            at = min(next_sync, next_comparison, event_at, end_at)
            if at > self.clock.at and self.clock.at < BEGIN_AT + self.story.days * DAY:
                share = (at - self.clock.at) / (2 * HOUR)
                self.work(self.clock.at, at, max(round(self.story.runs * share), 1))
            self.clock.at = at
            self._look()
            if self._events and at == event_at:
                self._events.pop(0).play(self)
                continue
            if at in (next_sync, next_comparison) and not self.is_paused:
                self._run(SYNC if at == next_sync else RECONCILE)

    def _run(self, dag_id: str) -> None:
        conf = {"days": self.story.compared_days, "sample": self.story.sample} if dag_id == RECONCILE else {}
        at = self.clock.at
        self.clock.at += timedelta(seconds=20)  # a DAG run begins after its interval
        state = str(self._site.bag.dags[dag_id].test(logical_date=at, run_conf=DEFAULTS | conf).state)
        self.clock.at = at
        if state != "success":
            self.failed.append(f"{at:%m-%d %H:%M} {dag_id}: {self._site.refusal}")
            self._site.refusal = ""
        elif dag_id == SYNC:
            self.states.append((at, Variable.get(STATE)))

    def _look(self, *, is_end: bool = False) -> None:
        """Note what is not where it must be by now, at the end of everything."""
        past = [due for due in self._due if is_end or due.by <= self.clock.at]
        self._due = [due for due in self._due if due not in past]
        if past:
            kept = self.kept()
            for due in past:
                self.late += [f"{due.why}: {due.guid}: {line}" for line in differing(kept, due.guid)]
                if due.as_report and due.guid in kept.dead_letters:
                    self.late.append(f"{due.why}: {due.guid}: still a dead letter")

    # -- the end ------------------------------------------------------------------------------------------------------
    def kept(self) -> Kept:
        """Return what VTE and WATS hold, and the dead letters, read without the product."""
        dead_letters = {path.stem: json.loads(path.read_text()) for path in self.storage.glob("dead_letters/*.json")}
        return Kept.read(self.environment, dead_letters, self.settings["process_map"])

    def findings(self) -> Findings:
        """Return what is wrong at the end."""
        self._look(is_end=True)
        first = BEGIN_AT.astimezone(self.zone).date()
        days = [first + n * DAY for n in range(self.story.days)]
        proof = json.loads(Variable.get(PROOF, default_var="{}"))
        ended = Ended(self.gone, frozenset(self.refused), proof, json.loads(Variable.get(STATE)))
        found = check(self.kept(), ended, days)
        return found.with_lines(f"not in time: {line}" for line in self.late)


def _next(at: datetime, every: timedelta) -> datetime:
    """Return the first multiple of a schedule after a time."""
    midnight = datetime(at.year, at.month, at.day, tzinfo=UTC)
    return midnight + ((at - midnight) // every + 1) * every


@cache
def _database() -> None:
    """Make Airflow's database, once in a process."""
    initdb()


@cache
def _bag(every: timedelta) -> DagBag:
    """Parse the DAGs, once for each schedule: they take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AIRFLOW__VTE_WATS__SCHEDULE", f"0 */{every // HOUR} * * *")
        bag = DagBag(dag_folder=str(REPOSITORY / "dags"))
    for dag in bag.dags.values():
        dag.deadline = None  # DAG.test looks a deadline up in the database and has none there
    return bag


@contextmanager
def opened(story: Story, home: Path, patch: pytest.MonkeyPatch) -> Iterator[SimulatedSite]:
    """Open a plant with empty databases at the beginning of its first day."""
    _database()
    with create_session() as session:
        session.query(DagRun).delete()
    for name in (STATE, HISTORY, PROGRESS, PROOF, SEEN):
        Variable.delete(name)
    clock = SimulatedTime(BEGIN_AT)
    clock.rule(patch)
    # The statements of so small a plant take no time, however busy this machine is.
    patch.setattr("vte_wats.orchestration.sync_tasks.time", SimpleNamespace(monotonic=lambda: 0.0))
    Variable.set(SEEN, json.dumps({"asked_min": 2_880}))
    environment = SandboxEnvironment(clock=clock)
    with environment:
        plant = SimulatedSite(story, environment, clock, home)
        for name, value in environment.environment_variables.items():
            patch.setenv(name, value)
        patch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(plant.settings))
        with stored_dags():
            yield plant


def play(story: Story, home: Path, *switches: Callable[[pytest.MonkeyPatch], None]) -> tuple[SimulatedSite, Findings]:
    """Play a story, with some rules of the product switched off; return what is wrong at its end."""
    with pytest.MonkeyPatch.context() as patch, opened(story, home, patch) as plant:
        for switch in switches:
            switch(patch)
        plant.live()
        return plant, plant.findings()
