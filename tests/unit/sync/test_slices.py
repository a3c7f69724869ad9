from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from upath import UPath

from tests.unit.builders import a_settings, guid_of
from vte_wats.intervals.wall_clock import LocalRange, is_within
from vte_wats.storage.staging import StagedFileError, discard, staging_of
from vte_wats.sync.plan import plan_named
from vte_wats.sync.slices import NAMED, PLAN, SLICE_LIMIT, Slice, hand_over, sized_for_backlog, slices_of, with_runs

seconds = st.datetimes(datetime(1753, 1, 1), datetime(9999, 12, 31)).map(lambda at: at.replace(microsecond=0))
slices = st.builds(
    Slice,
    name=st.text(min_size=1),
    runs=st.integers(0, 10**6),
    ranges=st.lists(st.builds(LocalRange, seconds, seconds), max_size=4).map(tuple),
    guids=st.lists(st.uuids(), max_size=4).map(tuple),
)


@given(slices)
def test_a_slice_comes_back_without_guids_from_the_json_of_an_xcom(part):
    plain = json.loads(json.dumps(part.to_xcom()))
    assert Slice.from_xcom(plain) == replace(part, guids=())


def test_a_slice_in_xcom_reads_in_iso_time():
    part = Slice("s0001", 7, ranges=(LocalRange(datetime(2026, 6, 1, 12), datetime(2026, 6, 1, 12, 5)),))
    assert part.to_xcom() == {
        "slice": "s0001",
        "runs": 7,
        "ranges": [["2026-06-01T12:00:00", "2026-06-01T12:05:00"]],
    }


NOON = datetime(2026, 6, 1, 12)
FIVE_MINUTES = LocalRange(NOON, NOON + timedelta(minutes=5))
AN_HOUR_LATER = LocalRange(NOON + timedelta(hours=1), NOON + timedelta(minutes=65, seconds=7))


@pytest.mark.parametrize(
    ("part", "label"),
    [
        pytest.param(
            Slice("s0001", 97, ranges=(FIVE_MINUTES,)),
            "s0001 · 2026-06-01 12:00:00 to 12:05:00 · 97 runs",
            id="one-range",
        ),
        pytest.param(
            Slice("s0002", 3, ranges=(FIVE_MINUTES, AN_HOUR_LATER)),
            "s0002 · 2026-06-01 12:00:00 to 13:05:07 · 3 runs",
            id="over-a-clock-change",
        ),
        pytest.param(Slice("g0001", 2, guids=(guid_of(1), guid_of(2))), "g0001 · 2 named runs", id="named-runs"),
    ],
)
def test_airflow_shows_what_a_slice_is_about(part, label):
    assert part.label == label


SECOND = timedelta(seconds=1)
MIDNIGHT = datetime(2026, 6, 1)


def values_of(ranges: tuple[LocalRange, ...]) -> set[datetime]:
    return {r.from_local + n * SECOND for r in ranges for n in range((r.to_local - r.from_local) // SECOND)}


@st.composite
def ranges_and_seconds(draw) -> tuple[tuple[LocalRange, ...], list[tuple[datetime, int]]]:
    """Draw up to three disjoint ranges and how many runs some of their seconds hold."""
    edges = sorted(draw(st.lists(st.integers(0, 400), min_size=2, max_size=6, unique=True)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    ranges = tuple(LocalRange(MIDNIGHT + a * SECOND, MIDNIGHT + b * SECOND) for a, b in pairs)
    inside = [second for a, b in pairs for second in range(a, b)]
    chosen = sorted(draw(st.sets(st.sampled_from(inside), max_size=40)))
    runs = st.integers(1, 3) | st.integers(1, 500)
    return ranges, [(MIDNIGHT + second * SECOND, draw(runs)) for second in chosen]


@given(ranges_and_seconds(), st.integers(1, 200), st.integers(1, 12))
@settings(max_examples=300, deadline=None)
@example(
    (
        (LocalRange(MIDNIGHT, MIDNIGHT + SECOND), LocalRange(MIDNIGHT + 5 * SECOND, MIDNIGHT + 6 * SECOND)),
        [(MIDNIGHT, 1), (MIDNIGHT + 5 * SECOND, 1)],
    ),
    1,
    2,
)  # a cut where a range begins
@example(
    ((LocalRange(MIDNIGHT, MIDNIGHT + 3 * SECOND),), [(MIDNIGHT + n * SECOND, 3) for n in range(3)]), 1, 2
)  # a slice that closes before its goal makes one slice too many
def test_slices_tile_the_ranges_keep_seconds_whole_and_respect_the_limit(drawn, batch_size, slice_limit):
    ranges, seconds = drawn
    slices = slices_of(ranges, seconds, batch_size, slice_limit)
    assert len(slices) <= slice_limit
    assert sum(part.runs for part in slices) == sum(runs for _, runs in seconds)
    if not seconds:
        assert slices == ()
        return
    parts = [local_range for part in slices for local_range in part.ranges]
    assert all(part.from_local < part.to_local for part in parts)
    assert all(left.to_local <= right.from_local for left, right in pairwise(parts))
    assert [v for part in parts for v in sorted(values_of((part,)))] == sorted(values_of(ranges))
    assert all(not edge.microsecond for part in parts for edge in (part.from_local, part.to_local))
    for part in slices:
        assert part.runs == sum(count for second, count in seconds if is_within(second, part.ranges))
        assert part.runs > 0


@given(ranges_and_seconds(), st.integers(1, 200))
def test_slices_hold_the_batch_size_and_at_most_one_second_more(drawn, batch_size):
    ranges, seconds = drawn
    slices = slices_of(ranges, seconds, batch_size, slice_limit=100_000)
    assert all(part.runs >= batch_size for part in slices[:-1])
    for part in slices:
        last_second = [count for second, count in seconds if is_within(second, part.ranges)][-1]
        assert part.runs - last_second < batch_size


@pytest.mark.parametrize(
    ("setting", "requests_per_minute", "runs"),
    [(1_000, 500, 200), (1_000, 100_000, 1_000), (150, 500, 150), (1_000, 60, 24), (1_000, 1, 1)],
)
def test_a_slice_of_a_backlog_keeps_the_current_interval_from_wats_for_25_seconds_at_most(
    setting, requests_per_minute, runs
):
    assert sized_for_backlog(a_settings(batch_size=setting), requests_per_minute).batch_size == runs


def test_a_second_with_more_runs_than_the_batch_size_stays_whole():
    ranges = (LocalRange(MIDNIGHT, MIDNIGHT + 10 * SECOND),)
    slices = slices_of(ranges, [(MIDNIGHT + 2 * SECOND, 1_000), (MIDNIGHT + 3 * SECOND, 1)], batch_size=100)
    assert [(part.ranges, part.runs) for part in slices] == [
        ((LocalRange(MIDNIGHT, MIDNIGHT + 3 * SECOND),), 1_000),
        ((LocalRange(MIDNIGHT + 3 * SECOND, MIDNIGHT + 10 * SECOND),), 1),
    ]


def test_no_runs_make_no_slices():
    assert slices_of((LocalRange(MIDNIGHT, MIDNIGHT + SECOND),), [], batch_size=100) == ()


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
