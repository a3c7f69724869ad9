"""Which part of a history is counted, read and kept."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tests.unit.builders import a_run
from vte_wats.domain.run import VteTestplan
from vte_wats.domain.source import RunGroup, TimeBounds
from vte_wats.survey.sampling import Sampler, months, sampled_ranges

NOON = datetime(2026, 6, 15, 12)


def bounds(oldest: datetime | None, newest: datetime | None) -> TimeBounds:
    return TimeBounds(datetime(2026, 6, 15, 10, tzinfo=UTC), NOON, oldest, newest)


def group(newest: datetime, code: int | None = 1, testplan: str | None = "Gain") -> RunGroup:
    return RunGroup("PN", testplan, "S", code, 1, newest)


def test_an_empty_database_has_no_months():
    assert months(bounds(None, None), 365) == []


def test_months_join_from_the_oldest_run_to_the_newest():
    oldest, newest = datetime(2026, 4, 29, 8, 30, 0, 3000), datetime(2026, 6, 15, 11, 59, 59, 997000)
    found = months(bounds(oldest, newest), 365)
    assert [local_range.from_local for local_range in found] == [
        datetime(2026, 4, 29, 8, 30),
        datetime(2026, 5, 1),
        datetime(2026, 6, 1),
    ]
    assert all(earlier.to_local == later.from_local for earlier, later in pairwise(found))
    assert newest in found[-1]


def test_clocks_that_were_reset_or_are_ahead_make_no_survey_longer():
    found = months(bounds(datetime(1970, 1, 1), datetime(2050, 1, 1)), 60)
    assert found[0].from_local > datetime(2026, 4, 1)
    assert found[-1].to_local <= NOON + timedelta(days=1, seconds=1)


def test_sampled_hours_are_spread_and_hold_about_what_is_wanted():
    hours = [(NOON - timedelta(hours=n), 10) for n in reversed(range(1_000))]
    found = sampled_ranges(hours, [], 200)
    assert NOON in found[-1]
    taken = sum((local_range.to_local - local_range.from_local) / timedelta(hours=1) for local_range in found)
    assert taken == 20
    gaps = [later.from_local - earlier.to_local for earlier, later in pairwise(found)]
    assert max(gaps) < timedelta(hours=150)


def test_an_hour_with_more_runs_than_wanted_is_cut():
    (found,) = sampled_ranges([(NOON, 100_000)], [], 1_000)
    assert found.to_local - found.from_local == timedelta(seconds=36)


def test_the_newest_run_of_each_test_plan_and_result_is_read():
    rare = datetime(2026, 1, 5, 3, 4, 5)
    found = sampled_ranges([(NOON, 10)], [group(NOON), group(rare, 7), group(rare - timedelta(days=9), 7)], 10)
    assert rare in found[0]
    assert len(found) == 2


def test_few_runs_of_a_kind_are_chosen_beside_the_many():
    chooser = Sampler(20)
    for number in range(1_000):
        chooser.add(a_run(number + 1), oddness="")
    for number in (2_000, 2_001):
        chooser.add(a_run(number, result_code=7), oddness="")
        chooser.add(a_run(number + 10, testplan=VteTestplan(name="Rare")), oddness="odd")
    chosen = chooser.chosen()
    assert len(chosen) == len(set(chosen)) == 20
    rare = {a_run(number).index_guid for number in (2_000, 2_001, 2_010, 2_011)}
    assert rare <= set(chosen)


def test_the_choice_does_not_depend_on_the_order_of_the_stream():
    runs = [a_run(number) for number in range(1, 500)]
    one, other = Sampler(10), Sampler(10)
    for run in runs:
        one.add(run, oddness="")
    for run in reversed(runs):
        other.add(run, oddness="")
    assert one.chosen() == other.chosen()
