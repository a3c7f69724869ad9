from __future__ import annotations

import json

import pytest
from upath import UPath

from tests.unit.builders import a_settings, guid_of
from vte_wats.intervals.wall_clock import OLDEST_CLOCK, LocalRange
from vte_wats.storage.staging import StagedFileError, Staging
from vte_wats.sync.named_runs import NAMED, hand_over, with_runs
from vte_wats.sync.plan import plan_named
from vte_wats.sync.slices import Slice

BY_TIME = Slice("s0001", 3, ranges=(LocalRange(OLDEST_CLOCK, OLDEST_CLOCK.replace(day=2)),))
ASKS_WATS = Slice("c0001", 0)


@pytest.fixture
def staging(tmp_path) -> Staging:
    return Staging(UPath(tmp_path) / "plan")


def test_each_slice_gets_the_runs_that_its_plan_named(staging):
    slices = plan_named([guid_of(n) for n in range(1, 8)], a_settings(batch_size=3))
    handed = [Slice.from_xcom(plain) for plain in hand_over(staging, slices)]
    assert [with_runs(staging, part) for part in handed] == list(slices)
    assert [part.label for part in handed] == [part.label for part in slices]


def test_slices_of_time_need_no_file(staging):
    handed = [Slice.from_xcom(plain) for plain in hand_over(staging, (BY_TIME, ASKS_WATS))]
    assert [with_runs(staging, part) for part in handed] == [BY_TIME, ASKS_WATS]
    assert not staging.holds(NAMED)


def test_two_hundred_thousand_named_runs_are_counts_in_xcom(staging):
    slices = plan_named([guid_of(n) for n in range(200_000)], a_settings(batch_size=200))
    handed = json.dumps(hand_over(staging, slices))
    assert len(handed) < 100_000
    assert str(guid_of(1)) not in handed
    parts = (Slice.from_xcom(plain) for plain in json.loads(handed))
    assert sum(part.runs for part in parts) == 200_000
    assert with_runs(staging, Slice("g1000", 200)).guids[-1] == guid_of(199_999)


def test_a_missing_or_incomplete_list_of_runs_says_which_task_to_clear(staging):
    (part,) = plan_named([guid_of(1), guid_of(2)], a_settings())
    with pytest.raises(StagedFileError, match=r"VW620 .*named.* is missing; clear the task that writes it"):
        with_runs(staging, part)
    staging.write(NAMED, [f"{part.name} {guid_of(1)}"])
    with pytest.raises(StagedFileError, match=r"VW620 .*damaged: 1 of the 2 runs of g0001"):
        with_runs(staging, part)
    staging.write(NAMED, [f"{part.name} {guid_of(1)} 42"])
    with pytest.raises(StagedFileError, match=r"VW620 .*damaged: line 1"):
        with_runs(staging, part)
