"""What the runs that are read hold in memory."""

from __future__ import annotations

import tracemalloc

from tests.unit.builders import NOON_LOCAL, guid_of
from vte_wats.vte.rows import RunRow, StepRow
from vte_wats.vte.run_rows import run_of

STEPS = 3_000
HEADER = RunRow(**dict.fromkeys(RunRow._fields) | {"index_guid": guid_of(1), "timestamp_local": NOON_LOCAL})
ROW = StepRow(**dict.fromkeys(StepRow._fields) | {"index_guid": guid_of(1), "kind": "numeric", "test_name": "Gain"})


def test_a_step_that_was_read_takes_less_than_one_kilobyte():
    """Each would have a set of its own of the fields that were given."""
    tracemalloc.start()
    run = run_of([HEADER], (ROW._replace(step_number=n) for n in range(STEPS)))
    held_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(run.steps) == STEPS
    assert held_bytes < STEPS * 1_000
