from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from vte_wats.domain.errors import FatalError
from vte_wats.domain.report import UploadResult
from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import LateArrivals, SettledSync, State
from vte_wats.sync import settle as verb

BEGIN_AT = datetime(2026, 6, 1, 10, tzinfo=UTC)
WINDOW = Interval(BEGIN_AT, BEGIN_AT + timedelta(minutes=5))
STATE = State(since_at=BEGIN_AT)


def settle(state: State, *how, key: str = "sync-1", late: dict[int, int] | None = None) -> State:
    return state.extended(verb.settle(*how, key=key, late=late or {}))


def counts(read: int, redriven: int = 0, **outcomes: int) -> UploadResult:
    return UploadResult(read=read, redriven=redriven, **dict.fromkeys(Outcome, 0) | outcomes)


def test_balanced_slices_extend_coverage_and_totals(caplog):
    caplog.set_level(logging.INFO)
    results = [counts(5, uploaded=3, unchanged=2), counts(4, replaced=1, dead=2, held=1)]
    after = settle(STATE, WINDOW, 2, results, "1234")
    assert after.last_sync == WINDOW.to_at
    assert after.totals == {"uploaded": 3, "unchanged": 2, "replaced": 1, "dead": 2, "held": 1}
    assert after.settings_hash == "1234"
    assert "read 9: uploaded 3, unchanged 2, replaced 1, dead 2, held 1" in caplog.text


def test_an_empty_window_is_done():
    assert settle(STATE, WINDOW, 0, [], "1234").last_sync == WINDOW.to_at


def test_named_runs_count_without_moving_the_watermark():
    after = settle(STATE, None, 1, [counts(2, uploaded=2)], "1234")
    assert after.last_sync == BEGIN_AT
    assert after.coverage == ()
    assert after.totals[Outcome.UPLOADED] == 2


@pytest.mark.parametrize("results", [[], [counts(5, uploaded=5)]], ids=["all-failed", "one-failed"])
def test_a_failed_slice_leaves_the_window_open_and_says_so(results):
    with pytest.raises(
        FatalError, match=rf"{2 - len(results)} of 2 slices failed; the window stays open.*later syncs transfer it"
    ) as caught:
        settle(STATE, WINDOW, 2, results, "1234")
    assert "skipped" in str(caught.value)


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_is_part_of_the_balance(outcome):
    assert settle(STATE, WINDOW, 1, [counts(1, **{outcome: 1})], "1234").totals[outcome] == 1
    with pytest.raises(FatalError, match="the counts do not balance: 2 runs read, but"):
        settle(STATE, WINDOW, 1, [counts(2, **{outcome: 1})], "1234")
    with pytest.raises(FatalError, match="balance"):
        settle(STATE, WINDOW, 1, [counts(0, **{outcome: 1})], "1234")


def test_more_results_than_planned_slices_do_not_pass():
    with pytest.raises(FatalError):
        settle(STATE, WINDOW, 1, [counts(1, uploaded=1), counts(1, uploaded=1)], "1234")


def test_dead_letters_that_went_are_counted(caplog):
    caplog.set_level(logging.INFO)
    after = settle(STATE, WINDOW, 2, [counts(1, 1, uploaded=1), counts(2, 2, unchanged=2)], "1234")
    assert after.redriven == 3
    assert "3 dead letters redriven" in caplog.text


def test_a_sync_whose_settle_is_tried_again_is_added_once():
    results = [counts(3, 1, uploaded=2, dead=1)]
    late_arrivals = LateArrivals(until_at=BEGIN_AT, seen={600: 0}, late={600: 1})
    state = STATE.model_copy(update={"late_arrivals": late_arrivals})
    once = settle(state, WINDOW, 1, results, "1234", key="a", late={1800: 2})
    again = settle(
        State.model_validate_json(once.model_dump_json(by_alias=True)),
        WINDOW,
        1,
        results,
        "1234",
        key="a",
        late={1800: 2},
    )
    assert again.model_dump(exclude={"since_at"}) == once.model_dump(exclude={"since_at"})
    assert once.late_arrivals.late == {600: 1, 1800: 2}


def test_a_sync_is_known_again_after_many_others():
    state = settle(STATE, WINDOW, 1, [counts(1, uploaded=1)], "1234", key="a")
    for number in range(99):
        state = settle(state, None, 1, [counts(1, unchanged=1)], "1234", key=f"other-{number}")
    assert settle(state, WINDOW, 1, [counts(1, uploaded=1)], "1234", key="a") == state
    assert len(settle(state, None, 0, [], "1234", key="b").settled) == 100


def test_another_sync_with_equal_results_is_added():
    once = settle(STATE, WINDOW, 1, [counts(1, uploaded=1)], "1234", key="a")
    assert settle(once, WINDOW, 1, [counts(1, uploaded=1)], "1234", key="b").totals[Outcome.UPLOADED] == 2


GAP = Interval(BEGIN_AT - timedelta(hours=2), BEGIN_AT - timedelta(hours=1))
OLDER = State(since_at=GAP.from_at)


def settle_both(
    live: list[UploadResult], gap: list[UploadResult], state: State = OLDER, near: Sequence[UploadResult] = ()
) -> verb.Settled:
    """Settle one slice of the live window and one of the gap, and the near slices that did not fail."""
    return verb.settle_beside(
        lambda _: verb.settle(WINDOW, 1, live, "1234", key="sync-1", late={}),
        state,
        live,
        verb.GapResult(GAP, GAP, 1, gap, BEGIN_AT, "VW201 no login"),
        near,
        key="sync-1",
    )


def test_the_interval_and_the_gap_beside_it_are_both_covered_and_counted_once():
    settled = settle_both([counts(2, uploaded=2)], [counts(3, uploaded=1, unchanged=2)])
    assert settled.failure is None
    assert settled.state.coverage == (GAP, WINDOW)
    assert settled.state.totals[Outcome.UPLOADED] == 3
    assert len(settled.results) == 2
    assert settle_both([counts(2, uploaded=2)], [counts(3, uploaded=1, unchanged=2)], settled.state).state == (
        settled.state
    )


def test_a_gap_that_fails_leaves_the_interval_alone_and_keeps_its_reason(caplog):
    settled = settle_both([counts(2, uploaded=2)], [])
    assert settled.failure is None
    assert settled.state.coverage == (WINDOW,)
    (failed,) = settled.state.failed_gaps
    assert (failed.interval, failed.tries, failed.reason) == (GAP, 1, "VW201 no login")
    assert "VW523 not covered yet, a later sync tries it again" in caplog.text


def test_an_interval_that_fails_leaves_the_gap_alone():
    settled = settle_both([], [counts(3, unchanged=3)])
    assert "1 of 1 slices failed" in str(settled.failure)
    assert settled.state.coverage == (GAP,)
    assert settled.results == [counts(3, unchanged=3)]


def test_when_both_fail_the_gap_is_not_to_blame():
    settled = settle_both([], [])
    assert settled.failure is not None
    assert settled.state == OLDER


def test_one_run_that_always_fails_keeps_no_other_run_back():
    bad_at, state, now_at = GAP.from_at + timedelta(minutes=17), State(since_at=GAP.from_at), BEGIN_AT
    state = state.extended(SettledSync("live", WINDOW, {}, None))
    for n in range(400):
        now_at += timedelta(minutes=5)
        gap = state.gap_to_fill(WINDOW.from_at, now_at)
        if gap is None:
            continue
        length = timedelta(minutes=max(1, 64 >> gap.tries))  # a run a minute
        part = Interval(gap.interval.from_at, min(gap.interval.from_at + length, gap.interval.to_at))
        state = (
            state.failed(part, now_at, "bad")
            if bad_at in part
            else state.extended(SettledSync(f"gap-{n}", part, {}, None))
        )
        if sum((left.to_at - left.from_at for left in state.gaps()), timedelta()) <= timedelta(minutes=1):
            break
    assert state.gaps() == (Interval(bad_at, bad_at + timedelta(minutes=1)),)
    assert n < 200


def test_runs_that_changed_are_counted_once_whatever_becomes_of_interval_and_gap():
    near = [counts(2, replaced=1, unchanged=1), counts(1, replaced=1)]
    settled = settle_both([], [], near=near)
    assert settled.failure is not None
    assert (settled.near_is_settled, settled.results) == (True, near)
    assert settled.state.totals[Outcome.REPLACED] == 2
    assert settle_both([], [], settled.state, near).state.totals == settled.state.totals


def test_near_slices_that_do_not_balance_are_not_settled_and_leave_the_interval_alone(caplog):
    settled = settle_both([counts(2, uploaded=2)], [counts(3, unchanged=3)], near=[counts(2, replaced=1)])
    assert settled.failure is None
    assert not settled.near_is_settled
    assert settled.state.coverage == (GAP, WINDOW)
    assert settled.state.totals[Outcome.REPLACED] == 0
    assert "VW532" in caplog.text
