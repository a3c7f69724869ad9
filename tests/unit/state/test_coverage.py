from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import a_sync
from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import Gap, LateArrivals, State

BEGIN_AT = datetime(2026, 6, 1, 10, tzinfo=UTC)


def minute(n: int) -> datetime:
    return BEGIN_AT + timedelta(minutes=n)


def covered(*intervals: tuple[int, int], since: int = 0, outcomes: dict[Outcome, int] | None = None) -> State:
    state = State(since_at=minute(since))
    for from_minute, to_minute in intervals:
        state = state.extended(a_sync(Interval(minute(from_minute), minute(to_minute)), outcomes))
    return state


intervals = st.lists(
    st.tuples(st.integers(-20, 60), st.integers(0, 12)).map(lambda drawn: (drawn[0], sum(drawn))), max_size=12
)


@pytest.mark.parametrize(
    ("done", "until", "left"),
    [
        ([], 60, [(0, 60)]),
        ([], -5, []),
        ([(0, 50)], 60, [(50, 60)]),
        ([(0, 60)], 60, []),
        ([(0, 5), (10, 50)], 60, [(5, 10), (50, 60)]),
        ([(-30, -20), (-10, 5), (10, 20), (30, 90)], 60, [(5, 10), (20, 30)]),
        ([(10, 20), (30, 40)], 35, [(0, 10), (20, 30)]),
        ([(0, 5), (30, 40)], 20, [(5, 20)]),
    ],
)
def test_what_is_left_to_do_are_the_gaps_after_the_watermark_and_what_is_newer(done, until, left):
    windows = covered(*done).left_to_do(minute(until))
    assert windows == tuple(Interval(minute(from_minute), minute(to_minute)) for from_minute, to_minute in left)


@given(intervals, st.randoms(use_true_random=False))
def test_coverage_is_the_same_in_whatever_order_windows_are_done(done, random):
    shuffled = done.copy()
    random.shuffle(shuffled)
    assert covered(*done).coverage == covered(*shuffled).coverage
    assert covered(*done).last_sync == covered(*shuffled).last_sync


@given(intervals)
def test_coverage_and_watermark_are_those_of_the_single_minutes(done):
    state = covered(*done)
    minutes = {m for from_minute, to_minute in done for m in range(from_minute, to_minute)}
    kept = [
        m
        for s in state.coverage
        for m in range((s.from_at - BEGIN_AT) // timedelta(minutes=1), (s.to_at - BEGIN_AT) // timedelta(minutes=1))
    ]
    assert kept == sorted(minutes)
    watermark = next(m for m in range(100) if m not in minutes)
    assert state.last_sync == minute(watermark)


@given(intervals)
def test_no_success_moves_the_watermark_back(done):
    state = covered()
    for from_minute, to_minute in done:
        after = state.extended(a_sync(Interval(minute(from_minute), minute(to_minute))))
        assert after.last_sync >= state.last_sync
        state = after


def test_watermark_begins_where_the_sync_began():
    assert covered().last_sync == minute(0)


def test_watermark_stays_before_a_gap_and_jumps_when_it_is_filled():
    with_gap = covered((0, 5), (10, 15), (15, 20))
    assert with_gap.last_sync == minute(5)
    assert with_gap.gaps() == (Interval(minute(5), minute(10)),)
    filled = with_gap.extended(a_sync(Interval(minute(5), minute(10))))
    assert filled.last_sync == minute(20)
    assert filled.gaps() == ()


def test_watermark_is_not_moved_past_a_gap_by_a_window_one_second_late():
    state = covered((0, 5)).extended(a_sync(Interval(minute(5) + timedelta(seconds=1), minute(10))))
    assert state.last_sync == minute(5)
    assert state.gaps() == (Interval(minute(5), minute(5) + timedelta(seconds=1)),)


def test_backfill_of_older_history_leaves_the_watermark_alone():
    state = covered((0, 5), (-600, -300))
    assert state.last_sync == minute(5)
    assert len(state.coverage) == 2


def test_backfill_up_to_the_beginning_joins_without_moving_the_watermark():
    assert covered((0, 5), (-600, 0)).last_sync == minute(5)


def test_coverage_that_ends_where_the_sync_began_is_no_progress():
    assert covered((-600, 0)).last_sync == minute(0)


def test_empty_window_adds_nothing_to_coverage():
    assert covered((3, 3)).coverage == ()


def test_totals_add_up_and_named_runs_leave_coverage_as_it_is():
    state = covered((0, 5), (5, 10), outcomes={Outcome.UPLOADED: 3, Outcome.DEAD: 1})
    after = state.extended(a_sync(None, {Outcome.UPLOADED: 2}, "5678"))
    assert after.totals == {"uploaded": 8, "unchanged": 0, "replaced": 0, "dead": 2, "held": 0}
    assert after.coverage == state.coverage
    assert after.syncs == 3
    assert after.settings_hash == "5678"


def test_the_newest_late_arrivals_are_kept_whichever_sync_settles_last():
    older, newer = (
        covered((0, 5)).model_copy(
            update={"late_arrivals": LateArrivals(until_at=minute(n), seen={60: 1}, late={60: n})}
        )
        for n in (5, 10)
    )
    assert older.verified_as(newer).late_arrivals == newer.late_arrivals
    assert newer.verified_as(older).late_arrivals == newer.late_arrivals
    assert older.verified_as(covered()).late_arrivals == older.late_arrivals


def test_late_runs_that_another_dag_counted_meanwhile_are_kept():
    started = covered((0, 5)).model_copy(
        update={"late_arrivals": LateArrivals(until_at=minute(5), seen={600: 1}, late={600: 1})}
    )
    planned = started.model_copy(
        update={"late_arrivals": LateArrivals(until_at=minute(10), seen={600: 3}, late={600: 2})}
    )
    swept = started.extended(a_sync(late={1800: 4}))
    assert swept.verified_as(planned).late_arrivals == LateArrivals(
        until_at=minute(10), seen={600: 3}, late={600: 2, 1800: 4}
    )


def test_state_comes_back_equal_from_the_json_of_the_variable():
    state = covered((0, 5), (10, 15), (-600, -300), outcomes={Outcome.HELD: 2})
    assert State.model_validate_json(state.model_dump_json(by_alias=True)) == state


def test_of_very_many_gaps_the_last_ones_are_one_window():
    state = covered(*((2 * n, 2 * n + 1) for n in range(300)))
    windows = state.left_to_do(minute(1_000))
    assert len(windows) == 100
    assert (windows[0].from_at, windows[0].to_at) == (minute(1), minute(2))
    assert (windows[-1].from_at, windows[-1].to_at) == (minute(199), minute(1_000))


def test_variable_shows_last_sync_and_coverage_in_iso_with_z():
    plain = json.loads(covered((0, 5)).model_dump_json(by_alias=True))
    (settled,) = plain.pop("settled")
    assert settled.startswith("sync-")
    assert plain == {
        "since": "2026-06-01T10:00:00Z",
        "coverage": [{"from": "2026-06-01T10:00:00Z", "to": "2026-06-01T10:05:00Z"}],
        "totals": {"uploaded": 0, "unchanged": 0, "replaced": 0, "dead": 0, "held": 0},
        "settings_hash": "1234",
        "redriven": 0,
        "syncs": 1,
        "sequence": 0,
        "failed_gaps": [],
        "started": None,
        "source": None,
        "target": None,
        "timezone": None,
        "late_arrivals": None,
        "clock_skew_s": None,
        "lastSync": "2026-06-01T10:05:00Z",
    }


def test_last_sync_in_the_variable_is_shown_but_never_believed():
    plain = json.loads(covered((0, 5)).model_dump_json(by_alias=True))
    plain["lastSync"] = "2030-01-01T00:00:00Z"
    assert State.model_validate_json(json.dumps(plain)).last_sync == minute(5)


def test_instants_with_another_offset_are_read_as_utc():
    state = State.model_validate_json('{"since": "2026-06-01T12:00:00+02:00"}')
    assert state.since_at == minute(0)
    assert state.since_at.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("{}", id="nothing"),
        pytest.param('{"since": "2026-06-01T10:00:00"}', id="naive"),
        pytest.param('{"since": "2026-06-01T10:00:00Z", "totals": {"lost": 1}}', id="unknown-outcome"),
        pytest.param('{"since": "2026-06-01T10:00:00Z", "coverage": [{"from": "2026-06-01T10:00:00Z"}]}', id="no-end"),
        pytest.param("not JSON", id="no-json"),
    ],
)
def test_a_damaged_state_is_refused(text):
    with pytest.raises(ValueError):
        State.model_validate_json(text)


def test_history_before_the_start_leaves_no_gap_and_a_start_that_is_not_covered_is_one():
    assert covered((0, 5), (-600, -300)).gaps() == ()
    assert covered((10, 15)).gaps() == (Interval(minute(0), minute(10)),)


def test_the_oldest_time_that_is_not_covered_is_filled_first():
    state = covered((-90, 5), (10, 15), (20, 60))
    gap = state.gap_to_fill(minute(50), minute(60))
    assert gap == Gap(Interval(minute(5), minute(10)), 0, covered_from_at=minute(-90))
    assert covered((10, 15)).gap_to_fill(minute(50), minute(60)) == Gap(
        Interval(minute(0), minute(10)), 0, covered_from_at=minute(0)
    )
    assert covered((0, 50)).gap_to_fill(minute(50), minute(60)) is None
    assert covered((0, 50)).gap_to_fill(minute(55), minute(60)) is not None


def test_a_gap_that_failed_waits_longer_each_time_while_others_are_filled():
    state = covered((0, 5), (10, 15), (20, 60))
    gap, pauses = Interval(minute(5), minute(10)), []
    for _ in range(7):
        state = state.failed(gap, minute(60), "no")
        (failed,) = state.failed_gaps
        pauses.append((failed.due_at - minute(60)) // timedelta(minutes=1))
        assert state.gap_to_fill(minute(60), minute(60)) == Gap(Interval(minute(15), minute(20)), 0, minute(10))
        assert state.gap_to_fill(minute(60), failed.due_at) == Gap(gap, failed.tries, minute(0))
    assert pauses == [4, 8, 16, 32, 60, 60, 60]
    assert failed.is_stuck


def test_what_did_not_fail_of_a_gap_is_filled_while_the_rest_waits():
    state = covered((0, 5), (30, 60)).failed(Interval(minute(10), minute(20)), minute(60), "no")
    assert state.gap_to_fill(minute(60), minute(60)) == Gap(Interval(minute(5), minute(10)), 0, minute(0))
    state = state.extended(a_sync(Interval(minute(5), minute(10))))
    assert state.gap_to_fill(minute(60), minute(60)) == Gap(Interval(minute(20), minute(30)), 0, minute(20))


def test_a_success_within_a_failed_gap_lets_more_of_it_be_tried_at_once():
    state = covered((0, 5), (30, 60))
    for _ in range(3):
        state = state.failed(Interval(minute(5), minute(30)), minute(60), "no")
    state = state.extended(a_sync(Interval(minute(5), minute(10))))
    assert state.gap_to_fill(minute(60), minute(60)) == Gap(Interval(minute(10), minute(30)), 2, minute(0))
    for n in range(10, 12):
        state = state.extended(a_sync(Interval(minute(n), minute(n + 1))))
    assert state.failed_gaps == ()


def test_a_gap_that_is_covered_in_another_way_is_forgotten():
    state = covered((0, 5), (30, 60)).failed(Interval(minute(5), minute(30)), minute(60), "no")
    state = state.failed(Interval(minute(5), minute(30)), minute(60), "no")
    assert state.extended(a_sync(Interval(minute(0), minute(60)))).failed_gaps == ()
