"""What a comparison looks at: the last days whole, clocks that were reset, and a part of the history."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from upath import UPath

from tests.unit.builders import NOON_LOCAL, a_run, a_settings
from tests.unit.fakes import FakeSource
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import LocalRange, everything_until
from vte_wats.reconcile.keys import Key, compared_days, ranges_to_compare, stage_keys, staged_keys
from vte_wats.state.coverage import State
from vte_wats.state.proof import Proof
from vte_wats.storage.staging import staging_of

ALL = [LocalRange(NOON_LOCAL - timedelta(days=1), NOON_LOCAL + timedelta(days=1))]
NOW_AT = datetime(2026, 6, 16, 10, tzinfo=UTC)
WEEK = Interval(NOW_AT - timedelta(days=7), NOW_AT)
BEGIN_AT = datetime(2025, 1, 1, 10, tzinfo=UTC)


def test_batches_are_small_and_no_more_than_airflow_maps(tmp_path):
    def staging(name):
        return staging_of(UPath(tmp_path), "reconcile", "run", name)

    source = FakeSource(*(a_run(number) for number in range(1, 2_001)))
    names = stage_keys(source, staging, ALL, batch=1)
    sizes = [len(list(staging(name).read("keys"))) for name in names]
    assert sum(sizes) == 2_000
    assert [sizes[n] for n in (0, 99, 100, 199, 200, 300)] == [1, 1, 2, 2, 4, 8]  # so 1,000 hold 200 million runs
    assert len(names) < 500


def test_a_batch_holds_runs_and_their_timestamps(tmp_path):
    staged = staging_of(UPath(tmp_path), "reconcile", "run", "k0001")
    stage_keys(FakeSource(a_run(1)), lambda _: staged, ALL)
    assert list(staged_keys(staged)) == [Key(a_run(1).index_guid, a_run(1).timestamp_local)]


@pytest.mark.parametrize(("cycle_days", "part"), [(30, 18), (0, 0), (3_650, 1)])
def test_whole_days_are_compared_and_a_part_of_the_history_before(cycle_days, part):
    state = State(since_at=NOW_AT, coverage=(Interval(BEGIN_AT, NOW_AT),))
    ranges, next_day = ranges_to_compare(WEEK, state, Proof(), a_settings(verify_cycle_days=cycle_days))
    first, *parts, recent = ranges
    assert first.to_local == datetime(2002, 1, 1)
    assert recent == LocalRange(datetime(2026, 6, 9), datetime(2026, 6, 16, 12))
    begin = datetime(2025, 1, 1)
    assert parts == ([LocalRange(begin, begin + timedelta(days=part))] if part else [])
    assert next_day == (date(2025, 1, 1) + timedelta(days=part) if part else None)


def test_the_days_that_are_compared_are_whole_and_not_older_than_what_was_synced():
    state = State(since_at=NOW_AT, coverage=(Interval(BEGIN_AT, NOW_AT),))
    ranges, _ = ranges_to_compare(WEEK, state, Proof(), a_settings(verify_cycle_days=30))
    week = (date(2026, 6, 9), date(2026, 6, 16))
    assert compared_days(ranges, state, a_settings()) == ((date(2025, 1, 1), date(2025, 1, 19)), week)
    everything = everything_until(NOW_AT, a_settings().zone)
    assert compared_days(everything, state, a_settings()) == ((date(2025, 1, 1), date(2026, 6, 16)),)
    assert compared_days(everything, State(since_at=NOW_AT), a_settings()) == ()


def test_a_site_without_history_compares_the_last_days_alone():
    ranges, next_day = ranges_to_compare(WEEK, State(since_at=NOW_AT), Proof(), a_settings())
    assert len(ranges) == 2
    assert next_day is None
