from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from upath import UPath

from tests.unit.builders import a_settings, guid_of
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.storage.staging import StagedFileError, discard, staging_of
from vte_wats.sync.named_runs import NAMED, PLAN, hand_over, with_runs
from vte_wats.sync.plan import plan_named
from vte_wats.sync.slices import SLICE_LIMIT, Slice

NOON = datetime(2026, 6, 1, 12)
A_WINDOW = Slice("s0001", 7, ranges=(LocalRange(NOON, NOON + timedelta(minutes=5)),))
NAMING = (Slice("g0001", 2, guids=(guid_of(1), guid_of(2))), Slice("again-g0001", 1, guids=(guid_of(3),)))


@pytest.fixture
def staging(tmp_path):
    return staging_of(UPath(tmp_path), "sync", "run", PLAN)


def received(staging, plain) -> list[Slice]:
    return [with_runs(staging, Slice.from_xcom(part)) for part in json.loads(json.dumps(plain))]


def test_each_slice_gets_the_runs_that_its_plan_named(staging):
    slices = (A_WINDOW, *NAMING, Slice("again", 0))
    assert received(staging, hand_over(staging, slices)) == list(slices)


def test_200_000_named_runs_leave_less_than_100_kb_in_xcom_and_all_of_them_arrive(staging):
    guids = [guid_of(number) for number in range(200_000)]
    slices = plan_named(guids, a_settings(batch_size=200))
    plain = hand_over(staging, slices)
    assert len(json.dumps(plain)) < 100_000
    assert len(plain) <= SLICE_LIMIT
    for part in (slices[0], slices[499], slices[-1]):
        assert with_runs(staging, Slice.from_xcom(part.to_xcom())) == part
    assert [guid for part in slices for guid in part.guids] == guids


def test_a_plan_without_named_runs_stages_nothing(staging):
    hand_over(staging, (A_WINDOW, Slice("again", 0)))
    assert not staging.holds(NAMED)


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(None, id="missing"),
        pytest.param([], id="without the slice"),
        pytest.param([f"g0001 {guid_of(1)}"], id="a run less than planned"),
        pytest.param([f"g0001 {guid_of(1)} {guid_of(2)}"[:-5]], id="cut short"),
        pytest.param([""], id="an empty line"),
    ],
)
def test_named_runs_that_are_lost_stop_the_slice_until_its_plan_is_tried_again(staging, lines):
    if lines is not None:
        staging.write(NAMED, lines)
    with pytest.raises(StagedFileError, match=r"VW620 .*plan.*clear the task that writes it, with the tasks after it"):
        with_runs(staging, NAMING[0])
    hand_over(staging, NAMING)
    assert with_runs(staging, NAMING[0]) == NAMING[0]


def test_what_a_plan_named_goes_with_the_staging_of_its_dag_run(staging, tmp_path):
    hand_over(staging, NAMING)
    discard(UPath(tmp_path), "sync", "run")
    assert not staging.holds(NAMED)
