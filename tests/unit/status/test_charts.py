from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.history import History, Tally
from vte_wats.status.api_models import DagRunLink, SegmentKind, Span
from vte_wats.status.charts import SHOWN, Unfinished, coverage_chart, history_chart

NOW_AT = datetime(2026, 6, 15, 12, 34, tzinfo=UTC)


def minute(n: int) -> datetime:
    """Return minute ``n`` of the last two hours."""
    return NOW_AT - timedelta(minutes=120 - n)


def a_state(*covered: tuple[int, int], since: int = 0) -> State:
    coverage = tuple(Interval(from_at=minute(begin), to_at=minute(end)) for begin, end in covered)
    return State(since_at=minute(since), coverage=coverage)


def a_run(begin: int, end: int, *, is_running: bool = False) -> Unfinished:
    return Unfinished(
        DagRunLink(dag_id="sync", dag_run_id=f"at {begin}"), Interval(minute(begin), minute(end)), is_running
    )


def drawn(state: State, *runs: Unfinished) -> list[tuple]:
    segments = coverage_chart(state, runs, NOW_AT).segments
    offset = lambda at: 120 - int((NOW_AT - at).total_seconds() // 60)  # noqa: E731
    return [
        (
            p.kind.value,
            offset(p.interval.from_at),
            offset(p.interval.to_at),
            p.dag_run.dag_run_id if p.dag_run else None,
            p.dag_runs,
        )
        for p in segments
    ]


def test_a_gap_names_the_dag_run_that_left_it():
    assert drawn(a_state((0, 50), (60, 118)), a_run(50, 55), a_run(55, 60)) == [
        ("complete", 0, 50, None, 0),
        ("gap", 50, 60, "at 50", 2),
        ("complete", 60, 118, None, 0),
        ("waiting", 118, 120, None, 0),
    ]


def test_a_gap_that_no_dag_run_left_has_no_link():
    assert drawn(a_state((0, 50), (60, 120)))[1] == ("gap", 50, 60, None, 0)


def test_a_dag_run_at_work_closes_its_part_of_a_gap():
    assert drawn(a_state((0, 50), (60, 120)), a_run(55, 60, is_running=True))[1:3] == [
        ("gap", 50, 55, None, 0),
        ("running", 55, 60, "at 55", 1),
    ]


def test_failed_intervals_at_the_end_are_gaps_and_what_has_not_started_waits():
    assert drawn(a_state((0, 100)), a_run(100, 105), a_run(105, 110), a_run(110, 115, is_running=True)) == [
        ("complete", 0, 100, None, 0),
        ("gap", 100, 110, "at 100", 2),
        ("running", 110, 115, "at 110", 1),
        ("waiting", 115, 120, None, 0),
    ]


def test_before_the_first_success_everything_waits():
    assert drawn(a_state()) == [("waiting", 0, 120, None, 0)]


def test_only_the_last_fourteen_days_are_shown():
    begin = NOW_AT - timedelta(days=400)
    state = State(since_at=begin, coverage=(Interval(from_at=begin, to_at=NOW_AT),))
    shown = coverage_chart(state, (), NOW_AT)
    assert (shown.interval.from_at, shown.interval.to_at, len(shown.segments)) == (NOW_AT - SHOWN, NOW_AT, 1)


edges = st.tuples(st.integers(-60, 130), st.integers(1, 40)).map(lambda edge: (edge[0], sum(edge)))


@given(st.lists(edges, max_size=6), st.lists(st.tuples(edges, st.booleans()), max_size=8), st.integers(-30, 100))
def test_the_segments_fill_the_time_and_complete_is_what_is_covered(intervals, runs, since):
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(intervals):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    state = a_state(*merged, since=since)
    shown = coverage_chart(state, [a_run(*edge, is_running=running) for edge, running in runs], NOW_AT)
    ends = [shown.interval.from_at] + [segment.interval.to_at for segment in shown.segments]
    assert [segment.interval.from_at for segment in shown.segments] == ends[:-1]
    assert ends[-1] == shown.interval.to_at
    assert all(left.kind is not right.kind for left, right in pairwise(shown.segments))
    complete = sum(
        (p.interval.to_at - p.interval.from_at for p in shown.segments if p.kind is SegmentKind.COMPLETE), timedelta()
    )
    covered = sum(
        (
            max(timedelta(), min(s.to_at, shown.interval.to_at) - max(s.from_at, shown.interval.from_at))
            for s in state.coverage
        ),
        timedelta(),
    )
    assert complete == covered


# The chart's points


@pytest.mark.parametrize(("span", "points", "hours"), [("day", 24, 1), ("fortnight", 56, 6), ("year", 52, 168)])
def test_a_span_has_points_of_equal_length_up_to_now(span, points, hours):
    found = history_chart(History(), Span(span), NOW_AT).points
    assert len(found) == points
    assert {point.interval.to_at - point.interval.from_at for point in found} == {timedelta(hours=hours)}
    assert found[-1].interval.from_at <= NOW_AT <= found[-1].interval.to_at
    assert all(left.interval.to_at == right.interval.from_at for left, right in pairwise(found))


@pytest.mark.parametrize("span", Span)
def test_every_kept_run_of_a_span_is_in_one_point(span):
    history = History()
    for hours in range(24 * 400, -1, -7):
        history = history.settled(f"sync/{hours}", NOW_AT - timedelta(hours=hours), Tally(outcomes={"uploaded": 1}))
    found = history_chart(history, span, NOW_AT).points
    kept = history.days if span is Span.YEAR else history.hours
    begin_at = found[0].interval.from_at
    expected = sum(
        tally.read for at, tally in kept.items()
        if (at >= begin_at.date() if span is Span.YEAR else at >= begin_at)
    )  # fmt: skip
    assert sum(point.read for point in found) == expected > 0


def test_a_point_has_latency_and_requests():
    tally = Tally(outcomes={"uploaded": 2}, requests=5, latency_ms={20: 1, 50: 1})
    point = history_chart(History().settled("a", NOW_AT, tally), Span.DAY, NOW_AT).points[-1]
    assert (point.read, point.requests, point.p50_ms, point.p95_ms) == (2, 5, 20.0, 48.0)
