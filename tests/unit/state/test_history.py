from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vte_wats.domain.report import UploadResult
from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.history import (
    COUNTED_KEPT,
    DAYS_KEPT,
    HOURS_KEPT,
    LATENCY_BOUNDS_MS,
    WAITING_KEPT,
    History,
    PlanSnapshot,
    Tally,
    bucket_of,
    quantile_ms,
)

NOON_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)


def minute(n: int) -> datetime:
    return NOON_AT + timedelta(minutes=n)


def a_tally(uploaded: int = 1, requests: int = 0) -> Tally:
    return Tally(outcomes={Outcome.UPLOADED: uploaded}, requests=requests)


def a_plan_snapshot(from_minute: int, to_minute: int, runs: int = 1, newest: int | None = None) -> PlanSnapshot:
    newest_at = None if newest is None else minute(newest)
    return PlanSnapshot(interval=Interval(minute(from_minute), minute(to_minute)), runs=runs, newest_at=newest_at)


def a_covered_interval(from_minute: int, to_minute: int) -> Interval:
    return Interval(from_at=minute(from_minute), to_at=minute(to_minute))


tallies = st.builds(
    Tally,
    outcomes=st.dictionaries(st.sampled_from(Outcome), st.integers(1, 1_000)),
    requests=st.integers(0, 9_999),
    latency_ms=st.dictionaries(st.sampled_from(LATENCY_BOUNDS_MS), st.integers(1, 1_000)),
)
few = settings(max_examples=40, deadline=None)
settlings = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 60 * 24 * 500), tallies), max_size=12)


@given(tallies, tallies, tallies)
def test_tallies_add_up_in_any_order(first, second, third):
    assert first + second == second + first
    assert (first + second) + third == first + (second + third)
    assert first + Tally() == first
    assert (first + second).read == first.read + second.read


@given(settlings)
@few
def test_every_dag_run_counts_once_however_often_it_is_settled(drawn):
    history, counted = History(), {}
    for run, at, tally in sorted(drawn, key=lambda drawing: drawing[1]):
        history = history.settled(f"sync/{run}", minute(at), tally)
        counted.setdefault(run, (minute(at).date(), tally))
    last = max((minute(at).date() for _, at, _ in drawn), default=None)
    assert sum(history.days.values(), Tally()) == sum(
        (tally for day, tally in counted.values() if last - day < DAYS_KEPT), Tally()
    )


@given(settlings)
@few
def test_hours_and_days_are_kept_as_long_as_promised_and_agree(drawn):
    history = History()
    for run, at, tally in sorted(drawn, key=lambda drawing: drawing[1]):
        history = history.settled(f"sync/{run}", minute(at), tally)
    if not drawn:
        return
    last_at = max(minute(at) for _, at, _ in drawn)
    assert all(last_at - hour < HOURS_KEPT for hour in history.hours)
    for day, tally in history.days.items():
        if datetime.combine(day, datetime.min.time(), UTC) > last_at - HOURS_KEPT + timedelta(days=1):
            assert tally == sum((counted for hour, counted in history.hours.items() if hour.date() == day), Tally())


@given(settlings)
@few
def test_a_history_comes_back_from_its_text(drawn):
    history = History()
    for run, at, tally in sorted(drawn, key=lambda drawing: drawing[1]):
        history = history.settled(f"sync/{run}", minute(at), tally).seen(a_plan_snapshot(at, at + 5, 3, at + 1), ())
    assert History.model_validate_json(history.model_dump_json(by_alias=True, exclude_defaults=True)) == history


def test_counts_go_to_the_hour_and_the_day_in_which_they_were_settled():
    history = History().settled("a", minute(59), a_tally(2)).settled("b", minute(60), a_tally(3))
    history = history.settled("c", minute(60 * 12), a_tally(4))
    assert {hour.hour: tally.read for hour, tally in history.hours.items()} == {12: 2, 13: 3, 0: 4}
    assert {day: tally.read for day, tally in history.days.items()} == {date(2026, 6, 1): 5, date(2026, 6, 2): 4}
    assert history.since(minute(60)).read == 7


def test_a_repeated_settle_moves_nothing_but_the_time_of_the_last_sync():
    once = History().settled("sync/a", minute(0), a_tally(2)).synced(minute(0), 300)
    again = once.settled("sync/a", minute(9), a_tally(2))
    assert again == once
    assert again.synced(minute(9)) == once.model_copy(update={"settled_at": minute(9)})


def test_a_year_and_everything_else_at_its_largest_stays_below_the_stated_size():
    full = Tally(
        outcomes=dict.fromkeys(Outcome, 999_999),
        requests=9_999_999,
        latency_ms=dict.fromkeys(LATENCY_BOUNDS_MS, 99_999),
    )
    history = History(
        hours={NOON_AT + timedelta(hours=n): full for n in range(HOURS_KEPT // timedelta(hours=1))},
        days={NOON_AT.date() + timedelta(days=n): full for n in range(DAYS_KEPT.days)},
        counted=tuple(f"{n:08}" for n in range(COUNTED_KEPT)),
        waiting=tuple(a_plan_snapshot(n, n + 1, 999_999, n) for n in range(WAITING_KEPT)),
    )
    assert (
        len(
            history.settled("x", NOON_AT, full)
            .seen(a_plan_snapshot(-9, -8), ())
            .model_dump_json(by_alias=True, exclude_defaults=True)
        )
        < 500_000
    )


def test_memory_is_bounded_whatever_is_settled_and_seen():
    history = History(counted=tuple(str(n) for n in range(COUNTED_KEPT))).settled("new", NOON_AT, a_tally())
    assert len(history.counted) == COUNTED_KEPT
    assert "0" not in history.counted
    crowded = History(waiting=tuple(a_plan_snapshot(2 * n, 2 * n + 1) for n in range(WAITING_KEPT)))
    assert len(crowded.seen(a_plan_snapshot(-9, -8), ()).waiting) == WAITING_KEPT


def test_results_of_uploads_are_added_up_as_they_come_out_of_json():
    outcomes = {"uploaded": 2, "unchanged": 1, "replaced": 0, "dead": 0, "held": 0}
    first = UploadResult(read=3, redriven=0, **outcomes, requests=4, latency_ms={20: 1, 50: 1})
    second = UploadResult(read=3, redriven=0, **outcomes, latency_ms={50: 2})
    tally = Tally.of(UploadResult.model_validate_json(result.model_dump_json()) for result in (first, second))
    assert tally == Tally(outcomes={Outcome.UPLOADED: 4, Outcome.UNCHANGED: 2}, requests=4, latency_ms={20: 1, 50: 3})
    assert tally.read == 6


# What waits


def test_seen_runs_wait_until_their_interval_is_covered():
    history = History().seen(a_plan_snapshot(0, 5, runs=7, newest=4), ())
    open_state = State(since_at=minute(0))
    assert history.runs_waiting(open_state) == 7
    assert history.newest_at == minute(4)
    done = open_state.model_copy(update={"coverage": (a_covered_interval(-5, 5),)})
    assert history.runs_waiting(done) == 0
    assert history.seen(None, done.coverage).waiting == ()


def test_an_interval_seen_again_counts_once():
    history = History().seen(a_plan_snapshot(0, 5, runs=7), ()).seen(a_plan_snapshot(5, 10, runs=2), ())
    assert history.seen(a_plan_snapshot(0, 5, runs=8), ()).runs_waiting(State(since_at=minute(0))) == 10
    whole = history.seen(a_plan_snapshot(0, 20, runs=30), ())
    assert whole.runs_waiting(State(since_at=minute(0))) == 30
    assert whole.seen(a_plan_snapshot(5, 10, runs=2), ()) == whole


def test_the_newest_run_is_never_an_older_one():
    history = History().seen(a_plan_snapshot(0, 5, newest=4), ()).seen(a_plan_snapshot(-60, -55, newest=-56), ())
    assert history.newest_at == minute(4)
    assert history.seen(a_plan_snapshot(5, 10), ()).newest_at == minute(4)


# Latency


@given(st.floats(0, 10_000_000))
def test_a_latency_belongs_to_the_narrowest_bucket_that_holds_it(latency_ms):
    edge = bucket_of(latency_ms)
    assert edge in LATENCY_BOUNDS_MS
    assert latency_ms <= edge or edge == LATENCY_BOUNDS_MS[-1]
    narrower = [narrower for narrower in LATENCY_BOUNDS_MS if narrower < edge]
    assert not narrower or latency_ms > narrower[-1]


@given(st.lists(st.floats(1, 500_000), min_size=1), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(latencies, share):
    counts: dict[int, int] = {}
    for latency in latencies:
        counts[bucket_of(latency)] = counts.get(bucket_of(latency), 0) + 1
    rank = max(1, -(-share * len(latencies) // 1))
    true = sorted(latencies)[int(rank) - 1]
    assert bucket_of(quantile_ms(counts, share)) == bucket_of(true)


@pytest.mark.parametrize("latency_ms", [{}, {20: 0}], ids=["nothing", "zero"])
def test_without_uploads_there_is_no_latency(latency_ms):
    assert quantile_ms(latency_ms, 0.95) is None
