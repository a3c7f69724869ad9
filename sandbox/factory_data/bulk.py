"""Filling a database with history: many runs over a range of time, written table by table as columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
from more_itertools import chunked

from sandbox.factory_data.masters import Masters
from sandbox.factory_data.measurements import STEP_SCHEMAS, Catalogue
from sandbox.factory_data.oddities import ODDITIES, Bench, RunRows
from sandbox.factory_data.runs import Flow, index_row, uut_row
from sandbox.factory_data.target_database import TargetDatabase

_RUNS_AT_ONCE = 2_000

_MASTER_GUIDS = [
    ("Product_GUID", pa.string()),
    ("Testplan_GUID", pa.string()),
    ("TestplanRevision_GUID", pa.string()),
    ("Testsystem_GUID", pa.string()),
    ("User_GUID", pa.string()),
]
_UUT_SCHEMA = pa.schema([("Uut_GUID", pa.string()), ("Serial", pa.string()), *_MASTER_GUIDS])
_INDEX_SCHEMA = pa.schema(
    [
        ("Index_GUID", pa.string()),
        ("Uut_GUID", pa.string()),
        *_MASTER_GUIDS,
        ("Timestamp", pa.timestamp("ms")),
        ("ExitCode", pa.int32()),
        ("Result", pa.int32()),
        ("TestTime", pa.float32()),
        ("Hostname", pa.string()),
        ("Site", pa.string()),
        ("UserName", pa.string()),
        ("ProductName", pa.string()),
        ("TestplanName", pa.string()),
        ("TestplanVariant", pa.string()),
        ("TestplanRevision", pa.string()),
        ("Info1", pa.string()),
        ("Info2", pa.string()),
        ("Info3", pa.string()),
    ]
)

# How busy the plant is, by hour of the day on a working day; Saturdays have a fifth of it, Sundays next to nothing.
_BUSY = [0.25] * 6 + [1.0] * 8 + [0.7] * 8 + [0.25] * 2
_BUSY_SATURDAY, _BUSY_SUNDAY = 0.2, 0.01


@dataclass(frozen=True)
class LoadSummary:
    """What a load wrote, oddities included; ``guids_by_oddity`` holds the Index_GUIDs of the odd runs."""

    runs: int
    steps: int
    guids_by_oddity: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Load:
    """One filling of a database. Plain runs come in the order of their ends; the odd ones come on top, at the end."""

    random: Random
    masters: Masters
    zone: ZoneInfo
    start: datetime
    end: datetime
    runs: int
    steps: int | None
    oddities: Sequence[str]

    def write(self, store: TargetDatabase) -> LoadSummary:
        steps = self._write_plain(store) if self.runs else 0
        odd = self._odd_runs()
        every = [run for runs in odd.values() for run in runs]
        if every:
            _write_odd(store, every)
        return LoadSummary(
            self.runs + len(every),
            steps + sum(run.step_count for run in every),
            {name: tuple(run.guid for run in runs) for name, runs in odd.items()},
        )

    def _write_plain(self, store: TargetDatabase) -> int:
        flow = Flow(self.random, self.masters, self.zone, self.steps)
        catalogue = Catalogue(self.steps)
        written = 0
        for ends in chunked(sorted(self._ends()), _RUNS_AT_ONCE):
            runs = [flow.next_run(ended_at) for ended_at in ends]
            uuts = [uut_row(run, self.masters) for run in runs if run.is_first]
            if uuts:
                store.insert_arrow("UutData", pa.Table.from_pylist(uuts, _UUT_SCHEMA))
            store.insert_arrow(
                "IndexData", pa.Table.from_pylist([index_row(run, self.masters) for run in runs], _INDEX_SCHEMA)
            )
            for table, rows in catalogue.measure(runs, self.random).items():
                if len(rows):
                    store.insert_arrow(table, rows)
                    written += len(rows)
        return written

    def _ends(self) -> Iterator[datetime]:
        """Yield the times at which tests end: as many as there are runs, fewer at night and on Sundays."""
        left = self.runs
        while left:
            at = self.start + (self.end - self.start) * self.random.random()
            local = at.astimezone(self.zone)
            busy = {5: _BUSY_SATURDAY, 6: _BUSY_SUNDAY}.get(local.weekday(), 1.0) * _BUSY[local.hour]
            if self.random.random() < busy:
                left -= 1
                yield at

    def _odd_runs(self) -> dict[str, list[RunRows]]:
        bench = Bench(self.random, self.masters, self.zone, Catalogue(), self.start, self.end)
        return {name: ODDITIES[name].make(bench) for name in self.oddities}


def _write_odd(store: TargetDatabase, runs: Sequence[RunRows]) -> None:
    uuts = [run.uut for run in runs if run.uut is not None]
    store.insert_arrow("UutData", pa.Table.from_pylist(uuts, _UUT_SCHEMA))
    store.insert_arrow("IndexData", pa.Table.from_pylist([run.index for run in runs], _INDEX_SCHEMA))
    for table, schema in STEP_SCHEMAS.items():
        rows: list[dict[str, Any]] = [row for run in runs for row in run.steps.get(table, [])]
        if rows:
            store.insert_arrow(table, pa.Table.from_pylist(rows, schema))
