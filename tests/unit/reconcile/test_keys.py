"""What a comparison looks at: the last days whole, clocks that were reset, and a part of the history."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from upath import UPath

from tests.unit.builders import NOON_LOCAL, a_run, a_settings
from tests.unit.fakes import FakeSource
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import LAST, LocalRange, everything_until
from vte_wats.reconcile.keys import (
    Key,
    OutsideWindows,
    compared_days,
    count_history,
    history_ranges,
    ranges_to_compare,
    stage_keys,
    staged_keys,
    within_days,
)
from vte_wats.state.coverage import State
from vte_wats.state.proof import DayProof, OddKind, Proof
from vte_wats.storage.staging import staging_of

ALL = [LocalRange(NOON_LOCAL - timedelta(days=1), NOON_LOCAL + timedelta(days=1))]
NOW_AT = datetime(2026, 6, 16, 10, tzinfo=UTC)
WEEK = Interval(NOW_AT - timedelta(days=7), NOW_AT)
BEGIN_AT = datetime(2025, 1, 1, 10, tzinfo=UTC)


def test_batches_are_small_and_no_more_than_airflow_maps(tmp_path):
    def staging(name):
        return staging_of(UPath(tmp_path), "reconcile", "run", name)

    source = FakeSource(*(a_run(number) for number in range(1, 2_001)))
    names = stage_keys(source, staging, ALL, OutsideWindows(LAST), batch=1)
    sizes = [len(list(staging(name).lines("keys"))) for name in names]
    assert sum(sizes) == 2_000
    assert [sizes[n] for n in (0, 99, 100, 199, 200, 300)] == [1, 1, 2, 2, 4, 8]  # so 1,000 hold 200 million runs
    assert len(names) < 500


def test_a_batch_holds_runs_and_their_timestamps(tmp_path):
    staged = staging_of(UPath(tmp_path), "reconcile", "run", "k0001")
    stage_keys(FakeSource(a_run(1)), lambda _: staged, ALL, OutsideWindows(LAST))
    assert list(staged_keys(staged)) == [Key(a_run(1).index_guid, a_run(1).timestamp_local)]


@pytest.mark.parametrize(("cycle_days", "part"), [(30, 18), (0, 0), (3_650, 1)])
def test_whole_days_are_compared_and_a_part_of_the_history_before(cycle_days, part):
    state = State(since_at=NOW_AT, coverage=(Interval(BEGIN_AT, NOW_AT),))
    ranges, next_day = ranges_to_compare(WEEK, state, Proof(), a_settings(verify_cycle_days=cycle_days))
    *parts, recent = ranges
    assert recent == LocalRange(datetime(2026, 6, 9), datetime(2026, 6, 16, 12))
    begin = datetime(2025, 1, 1)
    synced_from = begin + timedelta(hours=11)  # what lies before is for a backfill
    assert parts == ([LocalRange(synced_from, begin + timedelta(days=part))] if part else [])
    assert next_day == (date(2025, 1, 1) + timedelta(days=part) if part else None)


def test_the_days_that_are_compared_are_whole_and_not_older_than_what_was_synced():
    state = State(since_at=NOW_AT, coverage=(Interval(BEGIN_AT, NOW_AT),))
    ranges, _ = ranges_to_compare(WEEK, state, Proof(), a_settings(verify_cycle_days=30))
    week = (date(2026, 6, 9), date(2026, 6, 16))
    assert compared_days(ranges, state, a_settings()) == ((date(2025, 1, 1), date(2025, 1, 19)), week)
    everything = everything_until(NOW_AT, a_settings().zone)
    assert compared_days(everything, state, a_settings()) == ((date(2025, 1, 1), date(2026, 6, 16)),)
    assert compared_days(everything, State(since_at=NOW_AT), a_settings()) == ()


def test_days_of_the_history_that_are_open_are_compared_again_by_the_next_comparison():
    def a_day(proven: int, verified_at: datetime = NOW_AT) -> DayProof:
        return DayProof(in_vte=2, proven=proven, verified_at=verified_at)

    days = {date(2025, 5, n): a_day(n % 2 + 1, NOW_AT - timedelta(days=n)) for n in range(1, 29)}
    others = {date(2024, 1, 1): a_day(0), date(2026, 6, 10): a_day(0)}  # before all that was synced, and in the week
    state = State(since_at=NOW_AT, coverage=(Interval(BEGIN_AT, NOW_AT),))
    ranges, next_day = ranges_to_compare(WEEK, state, Proof(days=days | others), a_settings(verify_cycle_days=30))
    part, *still_open, recent = ranges
    assert (part.from_local, recent.from_local) == (datetime(2025, 1, 1, 11), datetime(2026, 6, 9))
    assert [local_range.from_local.day for local_range in still_open] == [
        16,
        18,
        20,
        22,
        24,
        26,
        28,
    ]  # compared longest ago
    assert {local_range.to_local - local_range.from_local for local_range in still_open} == {timedelta(days=1)}
    assert next_day == part.to_local.date()


def test_a_site_without_history_compares_the_last_days_from_its_start_on_alone():
    since_at = NOW_AT - timedelta(days=2)
    ranges, next_day = ranges_to_compare(WEEK, State(since_at=since_at), Proof(), a_settings())
    assert ranges == (LocalRange(datetime(2026, 6, 14, 12), datetime(2026, 6, 16, 12)),)
    assert next_day is None
    assert ranges_to_compare(WEEK, State(since_at=NOW_AT), Proof(), a_settings())[0] == ()


def test_nothing_is_compared_between_a_month_that_was_backfilled_and_the_start():
    month = Interval(BEGIN_AT, BEGIN_AT + timedelta(days=31))
    state = State(since_at=NOW_AT - timedelta(days=10), coverage=(month,))
    open_day = DayProof(in_vte=2, proven=1, verified_at=NOW_AT)
    proof = Proof(days={date(2025, 1, 20): open_day, date(2025, 5, 1): open_day})
    ranges, _ = ranges_to_compare(WEEK, state, proof, a_settings(verify_cycle_days=1))
    assert [(local_range.from_local.date(), local_range.to_local.date()) for local_range in ranges] == [
        (date(2025, 1, 1), date(2025, 2, 1)),
        (date(2026, 6, 6), date(2026, 6, 16)),
    ]


@pytest.mark.parametrize("history_days", [1, 29, 60])
@pytest.mark.parametrize("cycle_days", [7, 30])
def test_each_day_of_a_growing_history_comes_round_in_a_cycle(history_days, cycle_days):
    begin_at = NOW_AT - timedelta(days=7 + history_days)
    proof, seen, settings = Proof(), {}, a_settings(verify_cycle_days=cycle_days)
    for n in range(3 * cycle_days):
        to_at = NOW_AT + timedelta(days=n)
        state = State(since_at=begin_at, coverage=(Interval(begin_at, to_at),))
        week = Interval(to_at - timedelta(days=7), to_at)
        ranges, next_day = ranges_to_compare(week, state, proof, settings)
        proof = proof.ended(to_at, to_at.date(), 0, next_day)
        for first, end in compared_days(ranges, state, settings):
            seen |= {first + timedelta(days=day): n for day in range((end - first).days)}
        oldest = min(seen.values())
        assert n < cycle_days or (begin_at.date() in seen and n - oldest < cycle_days)


AHEAD_LOCAL = NOON_LOCAL + timedelta(days=2)
OUTSIDE = OutsideWindows(AHEAD_LOCAL, (LocalRange(datetime(2016, 6, 15), datetime(2016, 6, 15, 9)),))


@pytest.mark.parametrize(
    ("local", "kind"),
    [
        (None, OddKind.NO_TIMESTAMP),
        (datetime(1, 1, 1), OddKind.RESET_CLOCK),
        (datetime(1753, 1, 1), OddKind.RESET_CLOCK),
        (datetime(2001, 12, 31, 23, 59, 59), OddKind.RESET_CLOCK),
        (datetime(2002, 1, 1), None),
        (datetime(2016, 6, 14, 23, 59, 59), None),
        (datetime(2016, 6, 15), OddKind.BEFORE_START),
        (datetime(2016, 6, 15, 8, 59, 59), OddKind.BEFORE_START),
        (datetime(2016, 6, 15, 9), None),
        (NOON_LOCAL, None),
        (AHEAD_LOCAL - timedelta(seconds=1), None),
        (AHEAD_LOCAL, OddKind.FUTURE),
        (datetime(9999, 12, 31, 23, 59, 59, 997_000), OddKind.FUTURE),
    ],
)
def test_whatever_no_window_holds_has_a_kind_and_is_listed_under_it(tmp_path, local, kind):
    assert OUTSIDE.kind_of(local) is kind
    staged = staging_of(UPath(tmp_path), "reconcile", "run", "k0001")
    source = FakeSource(*([a_run(1, timestamp_local=local)] if local else []))
    source.timeless = [] if local else [a_run(1).index_guid]
    listed = stage_keys(source, lambda _: staged, [], OUTSIDE)
    assert [key for _ in listed for key in staged_keys(staged)] == (
        [Key(a_run(1).index_guid, local, kind)] if kind else []
    )


def test_the_history_is_counted_by_day_wherever_no_sync_and_no_backfill_was():
    month = Interval(datetime(2025, 1, 1, 10, tzinfo=UTC), datetime(2025, 2, 1, 10, tzinfo=UTC))
    state = State(since_at=datetime(2026, 3, 2, 7, tzinfo=UTC), coverage=(month,))
    days = {
        datetime(2001, 12, 31): 0,
        datetime(2016, 6, 15, 3): 2,
        datetime(2016, 6, 15, 23): 2,
        datetime(2025, 1, 1, 10, 59): 1,  # before the hour that the backfill began with
        datetime(2025, 1, 1, 11): 0,
        datetime(2025, 1, 20): 0,
        datetime(2025, 2, 1, 11): 1,
        datetime(2025, 12, 24): 1,
        datetime(2026, 3, 2, 7, 59): 1,  # on the day of the start, before its hour
        datetime(2026, 3, 2, 8): 0,
        datetime(2026, 3, 3): 0,
    }
    source = FakeSource(*(a_run(n, timestamp_local=local) for n, local in enumerate(days, start=1)))
    ranges = history_ranges(state, a_settings().zone)
    assert count_history(source, ranges) == {local.date(): runs for local, runs in days.items() if runs}
    assert within_days(ranges, [date(2026, 3, 2)]) == (LocalRange(datetime(2026, 3, 2), datetime(2026, 3, 2, 8)),)


def test_nothing_is_counted_where_all_of_the_history_was_synced():
    source = FakeSource(a_run(1))
    everything = Interval(datetime(1970, 1, 1, tzinfo=UTC), NOW_AT)
    ranges = history_ranges(State(since_at=NOW_AT, coverage=(everything,)), a_settings().zone)
    assert count_history(source, ranges) == {}
    assert source.statements == []
