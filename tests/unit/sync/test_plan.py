from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from tests.unit.builders import NOON_LOCAL, a_run, a_settings, guid_of
from tests.unit.fakes import FakeSource
from vte_wats.domain.errors import RetriableError
from vte_wats.domain.run import DeadLetterKind
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.state.coverage import Gap
from vte_wats.state.history import PlanSnapshot
from vte_wats.storage.dead_letter_index import DeadLetterIndex
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.sync.plan import plan, plan_gap, plan_held, plan_named, plan_snapshot, window_of

NOON_AT = datetime(2026, 6, 15, 10, tzinfo=UTC)  # NOON_LOCAL in Oslo
WINDOW = Interval(NOON_AT, NOON_AT + timedelta(minutes=5))
SETTLED_AT = WINDOW.to_at + timedelta(seconds=60)


def seconds_later(number: float) -> datetime:
    return NOON_LOCAL + timedelta(seconds=number)


def test_a_window_is_planned_with_one_statement():
    source = FakeSource(*(a_run(n) for n in range(1, 251)), now_at=SETTLED_AT)
    planned = plan(source, a_settings(batch_size=100), WINDOW)
    assert source.statements == ["select_run_times"]
    assert planned.window == WINDOW
    assert [(part.name, part.runs) for part in planned.slices] == [("s0001", 100), ("s0002", 100), ("s0003", 50)]
    assert planned.runs == 250


def test_the_slices_together_read_every_run_of_the_window_once_and_no_other():
    runs = [a_run(n, timestamp_local=seconds_later(n * 1.7 - 20)) for n in range(1, 251)]
    source = FakeSource(*runs, now_at=SETTLED_AT)
    planned = plan(source, a_settings(batch_size=7), WINDOW)
    read = [run.index_guid for part in planned.slices for run in source.runs_between(part.ranges)]
    inside = [r.index_guid for r in runs if NOON_LOCAL <= r.timestamp_local < NOON_LOCAL + timedelta(minutes=5)]
    assert read == inside
    assert planned.runs == len(inside)


def test_runs_of_one_second_stay_in_one_slice():
    runs = [a_run(n, timestamp_local=seconds_later(30 + n / 1_000)) for n in range(900)]
    planned = plan(FakeSource(*runs, now_at=SETTLED_AT), a_settings(), WINDOW)
    assert [part.runs for part in planned.slices] == [900]


def test_an_empty_window_has_no_slices_and_is_done_all_the_same():
    planned = plan(FakeSource(now_at=SETTLED_AT), a_settings(), WINDOW)
    assert (planned.window, planned.slices, planned.runs) == (WINDOW, (), 0)


def test_what_a_plan_saw_counts_without_the_guard_band_and_names_the_newest_run():
    runs = [a_run(10 + n, timestamp_local=seconds_later(60 * n)) for n in range(-9, 4)]
    window = Interval(NOON_AT - timedelta(minutes=10), NOON_AT + timedelta(minutes=5))
    planned = plan(FakeSource(*runs, now_at=SETTLED_AT), a_settings(settle_delay_s=60), window)
    seen = plan_snapshot(planned, a_settings(settle_delay_s=60), NOON_AT + timedelta(minutes=1))
    assert seen == PlanSnapshot(
        interval=Interval(NOON_AT, window.to_at), runs=4, newest_at=NOON_AT + timedelta(minutes=3)
    )


def test_a_plan_that_saw_nothing_names_no_newest_run():
    planned = plan(FakeSource(now_at=SETTLED_AT), a_settings(), WINDOW)
    assert plan_snapshot(planned, a_settings(settle_delay_s=0), NOON_AT) == PlanSnapshot(
        interval=Interval(WINDOW.from_at, WINDOW.to_at), runs=0
    )


def test_a_window_of_no_length_is_planned():
    window = Interval(NOON_AT, NOON_AT)
    assert plan(FakeSource(a_run(), now_at=SETTLED_AT), a_settings(), window).slices == ()


@pytest.mark.parametrize("ahead_s", [0, 1, 86_400], ids=["just-settled", "a-second-ahead", "a-day-ahead"])
def test_a_server_clock_that_is_not_behind_leaves_the_window_alone(ahead_s, caplog):
    source = FakeSource(a_run(), now_at=SETTLED_AT + timedelta(seconds=ahead_s))
    assert plan(source, a_settings(), WINDOW).window == WINDOW
    assert "behind" not in caplog.text


@pytest.mark.parametrize("behind_s", [1, 120, 299], ids=["a-second", "two-minutes", "nearly-the-window"])
def test_a_server_clock_behind_cuts_the_window_and_the_runs_it_calls_future(behind_s, caplog):
    runs = [a_run(n, timestamp_local=seconds_later(n)) for n in range(300)]
    source = FakeSource(*runs, now_at=SETTLED_AT - timedelta(seconds=behind_s))
    planned = plan(source, a_settings(), WINDOW)
    assert planned.window == Interval(WINDOW.from_at, WINDOW.to_at - timedelta(seconds=behind_s))
    assert planned.runs == 300 - behind_s
    assert planned.slices[-1].ranges[-1].to_local == seconds_later(300 - behind_s)
    assert f"SQL Server's clock is {behind_s} s behind" in caplog.text


def test_a_fraction_of_the_servers_second_does_not_reach_the_window():
    source = FakeSource(a_run(), now_at=SETTLED_AT - timedelta(milliseconds=1))
    assert plan(source, a_settings(), WINDOW).window.to_at == WINDOW.to_at - timedelta(seconds=1)


def test_a_server_clock_behind_the_whole_window_leaves_nothing_to_do_and_nothing_done():
    source = FakeSource(a_run(), now_at=SETTLED_AT - timedelta(seconds=600))
    planned = plan(source, a_settings(), WINDOW)
    assert planned.slices == ()
    assert planned.window.from_at == planned.window.to_at == WINDOW.to_at - timedelta(seconds=600)


def test_a_server_clock_further_behind_than_the_guard_band_is_tried_again_and_says_what_to_do():
    source = FakeSource(a_run(), now_at=SETTLED_AT - timedelta(seconds=601))
    with pytest.raises(RetriableError, match=r"clock is 601 s behind Airflow's, more than guard_band_s = 600 s; set"):
        plan(source, a_settings(), WINDOW)


def test_rows_of_the_future_wait_until_they_are_past():
    source = FakeSource(a_run(1, timestamp_local=datetime(2031, 1, 1)), now_at=SETTLED_AT)
    assert plan(source, a_settings(), WINDOW).slices == ()


def test_the_autumn_hour_is_planned_as_the_stations_wrote_it():
    window = Interval(datetime(2026, 10, 25, 1, tzinfo=UTC), datetime(2026, 10, 25, 1, 5, tzinfo=UTC))
    runs = [
        a_run(1, timestamp_local=datetime(2026, 10, 25, 2, 3)),
        a_run(2, timestamp_local=datetime(2026, 10, 25, 3, 3)),
    ]
    source = FakeSource(*runs, now_at=window.to_at + timedelta(minutes=1))
    (part,) = plan(source, a_settings(), window).slices
    assert part.ranges == (LocalRange(datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 2, 5)),)
    assert part.runs == 1


def test_the_plan_logs_its_numbers_in_one_line(caplog):
    caplog.set_level(logging.INFO)
    plan(FakeSource(a_run(1), a_run(2), now_at=SETTLED_AT), a_settings(batch_size=1), WINDOW)
    expected = "window 2026-06-15 10:00:00+00:00 to 2026-06-15 10:05:00+00:00: 2 runs in 2 slices"
    assert [record.getMessage() for record in caplog.records] == [expected]


def test_the_plan_keeps_the_counts_of_its_window_alone():
    source = FakeSource(a_run(1), a_run(2), a_run(290), now_at=SETTLED_AT - timedelta(seconds=60))
    planned = plan(source, a_settings(), WINDOW)
    assert planned.seconds == ((seconds_later(1), 1), (seconds_later(2), 1))


def test_named_runs_are_cut_by_the_batch_size():
    guids = [guid_of(n) for n in range(7)]
    parts = plan_named(guids, a_settings(batch_size=3))
    assert [(part.name, part.runs) for part in parts] == [("g0001", 3), ("g0002", 3), ("g0003", 1)]
    assert [guid for part in parts for guid in part.guids] == guids
    assert plan_named([], a_settings()) == ()


def test_held_runs_are_tried_again_unless_the_window_reads_them_anyway(tmp_path):
    dead_letters = DeadLetters(UPath(tmp_path))
    early = {"timestamp_local": NOON_LOCAL - timedelta(days=3)}
    dead_letters.put(a_run(1), DeadLetterKind.HELD, "unmapped", "unmapped", NOON_AT)
    dead_letters.put(a_run(2, **early), DeadLetterKind.HELD, "unmapped", "unmapped", NOON_AT)
    dead_letters.put(a_run(3, **early), DeadLetterKind.DEAD, "blank", "blank", NOON_AT)
    planned = plan(FakeSource(a_run(1), now_at=SETTLED_AT), a_settings(), WINDOW)
    (part,) = plan_held(DeadLetterIndex(UPath(tmp_path)).summaries(), planned, a_settings())
    assert part.guids == (guid_of(2),)


def test_a_repeated_hour_is_read_once_more_when_everything_around_it_is_there():
    hour = (datetime(2026, 10, 25, 2), datetime(2026, 10, 25, 3))
    source = FakeSource(a_run(1, timestamp_local=hour[0]), a_run(2, timestamp_local=hour[1]))
    judged_at = datetime(2026, 10, 25, 8, tzinfo=UTC)  # 09:00, six hours after the clock showed 03:00
    for from_at, read in (
        (judged_at - timedelta(minutes=5), []),
        (judged_at, [LocalRange(*hour)]),
        (judged_at + timedelta(minutes=5), []),
    ):
        planned = plan(source, a_settings(), Interval(from_at, from_at + timedelta(minutes=5)))
        assert [r for part in planned.slices for r in part.ranges if r.to_local <= hour[1]] == read
        assert planned.window == Interval(from_at, from_at + timedelta(minutes=5))


def test_guard_band_and_settle_delay_shift_the_window_by_their_seconds():
    interval = Interval(datetime(2026, 6, 1, 10, 0, tzinfo=UTC), datetime(2026, 6, 1, 10, 5, tzinfo=UTC))
    window = window_of(interval, guard_band_s=600, settle_delay_s=60)
    assert window == Interval(datetime(2026, 6, 1, 9, 49, tzinfo=UTC), datetime(2026, 6, 1, 10, 4, tzinfo=UTC))


@given(
    st.datetimes(
        datetime(1990, 1, 1),
        datetime(2037, 12, 31),
        timezones=st.sampled_from(sorted(available_timezones())).map(ZoneInfo),
    ),
    st.integers(60_000_000, 86_400_000_000),
    st.integers(0, 3_600),
)
@settings(deadline=None)
def test_consecutive_windows_without_guard_band_meet_exactly(begin, length_us, settle_delay_s):
    begin_at = begin.astimezone(UTC)  # fractions included: a manual trigger has some
    edges = [begin_at + n * timedelta(microseconds=length_us) for n in range(3)]
    first, second = (window_of(Interval(a, b), 0, settle_delay_s) for a, b in pairwise(edges))
    assert first.to_at == second.from_at


def a_gap(minutes: float = 60, tries: int = 0, covered_min: float = 600) -> Gap:
    until = timedelta(minutes=minutes)
    return Gap(Interval(NOON_AT, NOON_AT + until), tries, covered_from_at=NOON_AT - timedelta(minutes=covered_min))


def test_of_a_gap_as_many_runs_are_planned_as_one_sync_catches_up():
    source = FakeSource(*(a_run(n) for n in range(1, 251)))
    part, planned = plan_gap(source, a_settings(batch_size=50), a_gap(), 120)
    assert source.statements == ["select_run_times"]
    assert part == Interval(NOON_AT, NOON_AT + timedelta(seconds=121))
    assert [(one_slice.name, one_slice.runs) for one_slice in planned.slices] == [
        ("gap0001", 50),
        ("gap0002", 50),
        ("gap0003", 20),
    ]


@pytest.mark.parametrize(("tries", "runs"), [(1, 50), (2, 25), (6, 1), (30, 1)])
def test_after_each_failure_half_as_many_are_planned(tries, runs):
    source = FakeSource(*(a_run(n) for n in range(1, 251)))
    assert plan_gap(source, a_settings(), a_gap(tries=tries), 100)[1].runs == runs


def test_a_gap_has_the_guard_band_of_its_start_as_far_as_that_is_covered():
    runs = [a_run(10 + n, timestamp_local=seconds_later(60 * n)) for n in range(-9, 4)]
    for covered_min, seen in ((600, 13), (2, 6), (0, 4)):
        part, planned = plan_gap(FakeSource(*runs), a_settings(guard_band_s=600), a_gap(covered_min=covered_min), 100)
        assert part == Interval(NOON_AT, NOON_AT + timedelta(hours=1))
        assert planned.window == Interval(NOON_AT - timedelta(minutes=min(10, covered_min)), part.to_at)
        assert planned.runs == seen


def test_empty_years_are_planned_with_a_few_statements():
    late = a_run(1, timestamp_local=NOON_LOCAL + timedelta(days=3_000))
    source = FakeSource(late, now_at=NOON_AT + timedelta(days=4_000))
    part, planned = plan_gap(source, a_settings(), a_gap(minutes=3_650 * 1_440), 100)
    assert part.to_at == NOON_AT + timedelta(days=3_650)
    assert planned.runs == 1
    assert len(source.statements) <= 7


@given(
    st.lists(st.integers(0, 6 * 3_600), max_size=60),
    st.integers(1, 20),
    st.sampled_from([datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 10, 24, 23, tzinfo=UTC), NOON_AT]),
)
@settings(deadline=None, max_examples=150)
def test_the_parts_of_a_gap_read_every_run_of_it_across_clock_changes(offsets_s, most_runs, starts_at):
    zone = ZoneInfo("Europe/Oslo")
    runs = [
        a_run(n, timestamp_local=(starts_at + timedelta(seconds=at_s)).astimezone(zone).replace(tzinfo=None, fold=0))
        for n, at_s in enumerate(sorted(offsets_s))
    ]
    source = FakeSource(*runs)
    whole, at, read = Interval(starts_at, starts_at + timedelta(hours=7)), starts_at, set()
    while at < whole.to_at:
        gap = Gap(Interval(at, whole.to_at), 0, covered_from_at=at)
        part, planned = plan_gap(source, a_settings(), gap, most_runs)
        assert part.from_at == at < part.to_at
        assert planned.runs == sum(one_slice.runs for one_slice in planned.slices)
        read |= {run.index_guid for one_slice in planned.slices for run in source.runs_between(one_slice.ranges)}
        at = part.to_at
    assert read == {run.index_guid for run in runs}
