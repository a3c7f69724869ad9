from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.status.api_models import DagRunLink, PieceKind
from vte_wats.status.coverage_chart import SHOWN, Unfinished, picture

NOW_AT = datetime(2026, 6, 15, 12, 34, tzinfo=UTC)


def minute(n: int) -> datetime:
    """Return minute ``n`` of the last two hours."""
    return NOW_AT - timedelta(minutes=120 - n)


def a_state(*stretches: tuple[int, int], since: int = 0) -> State:
    coverage = tuple(Interval(from_at=minute(begin), to_at=minute(end)) for begin, end in stretches)
    return State(since_at=minute(since), coverage=coverage)


def a_run(begin: int, end: int, *, is_running: bool = False) -> Unfinished:
    return Unfinished(DagRunLink(dag_id="sync", run_id=f"at {begin}"), minute(begin), minute(end), is_running)


def drawn(state: State, *runs: Unfinished) -> list[tuple]:
    pieces = picture(state, runs, NOW_AT).pieces
    offset = lambda at: 120 - int((NOW_AT - at).total_seconds() // 60)  # noqa: E731
    return [
        (p.kind.value, offset(p.from_at), offset(p.to_at), p.dag_run.run_id if p.dag_run else None, p.dag_runs)
        for p in pieces
    ]


def test_a_gap_names_the_dag_run_that_left_it():
    assert drawn(a_state((0, 50), (60, 118)), a_run(50, 55), a_run(55, 60)) == [
        ("complete", 0, 50, None, 0),
        ("gap", 50, 60, "at 50", 2),
        ("complete", 60, 118, None, 0),
        ("waiting", 118, 120, None, 0),
    ]


def test_a_hole_that_no_dag_run_answers_for_is_a_gap_without_a_link():
    assert drawn(a_state((0, 50), (60, 120)))[1] == ("gap", 50, 60, None, 0)


def test_a_dag_run_at_work_closes_its_part_of_a_gap():
    assert drawn(a_state((0, 50), (60, 120)), a_run(55, 60, is_running=True))[1:3] == [
        ("gap", 50, 55, None, 0),
        ("running", 55, 60, "at 55", 1),
    ]


def test_failed_intervals_at_the_end_are_gaps_and_what_has_not_begun_waits():
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
    shown = picture(state, (), NOW_AT)
    assert (shown.from_at, shown.to_at, len(shown.pieces)) == (NOW_AT - SHOWN, NOW_AT, 1)


edges = st.tuples(st.integers(-60, 130), st.integers(1, 40)).map(lambda one: (one[0], sum(one)))


@given(st.lists(edges, max_size=6), st.lists(st.tuples(edges, st.booleans()), max_size=8), st.integers(-30, 100))
def test_the_pieces_fill_the_time_and_complete_is_what_is_covered(stretches, runs, since):
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(stretches):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((begin, end))
    state = a_state(*merged, since=since)
    shown = picture(state, [a_run(*edge, is_running=running) for edge, running in runs], NOW_AT)
    ends = [shown.from_at] + [piece.to_at for piece in shown.pieces]
    assert [piece.from_at for piece in shown.pieces] == ends[:-1]
    assert ends[-1] == shown.to_at
    assert all(one.kind is not other.kind for one, other in pairwise(shown.pieces))
    complete = sum((p.to_at - p.from_at for p in shown.pieces if p.kind is PieceKind.COMPLETE), timedelta())
    covered = sum(
        (max(timedelta(), min(s.to_at, shown.to_at) - max(s.from_at, shown.from_at)) for s in state.coverage),
        timedelta(),
    )
    assert complete == covered
