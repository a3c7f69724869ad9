from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vte_wats.health import Stored
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.history import History, Tally
from vte_wats.state.proof import Cause, DayProof, GoneRuns, OddKind, OddRun, OddRuns, OpenRun, Proof
from vte_wats.status.api_models import DagRunLink, SegmentKind, Span
from vte_wats.status.charts import SHOWN, Unfinished, as_csv, coverage_chart, for_page, history_chart, proof_calendar

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


SINCE_AT = datetime(2026, 6, 1, 22, 30, tzinfo=UTC)  # the 2nd in Oslo
THE_6TH_AT = datetime(2026, 6, 5, 22, 30, tzinfo=UTC)  # the 6th
COMPARED_AT = datetime(2026, 6, 5, 3, tzinfo=UTC)
OPEN_RUN = OpenRun(index_guid="g", reason="not in WATS")
PROOF = Proof(
    days={
        date(2026, 6, 2): DayProof(in_vte=3, proven=3, verified_at=COMPARED_AT),
        date(2026, 6, 3): DayProof(in_vte=3, proven=1, dead=1, held=1, verified_at=COMPARED_AT),
        date(2026, 6, 4): DayProof(in_vte=3, proven=2, verified_at=COMPARED_AT, open_runs=(OPEN_RUN,)),
        date(2026, 6, 5): DayProof(in_vte=1, proven=1, verified_at=COMPARED_AT),
    },
    compared_at=COMPARED_AT,
    differences={
        date(2026, 6, 3): {Cause.VTE_CHANGED: 2, Cause.WATS_CHANGED: 1},
        date(2026, 6, 4): {Cause.MAPPING_CHANGED: 7},
    },
    odd={
        OddKind.NO_TIMESTAMP: OddRuns(
            numbers=DayProof(in_vte=2, held=1, verified_at=COMPARED_AT),
            examples=(OddRun(index_guid="o", timestamp_local=None),),
        )
    },
    gone={date(2026, 6, 3): GoneRuns(runs=2, examples=("a", "b")), date(2026, 6, 4): GoneRuns(runs=1, is_listed=False)},
)


def stored(proof: Proof = PROOF, since_at: datetime = SINCE_AT, *coverage: Interval) -> Stored:
    return Stored(State(since_at=since_at, timezone="Europe/Oslo", coverage=coverage), History(), proof=proof)


def test_days_are_those_of_the_stations_and_today_is_left_out():
    found = proof_calendar(stored(), THE_6TH_AT)
    assert [(day.day.day, day.status, day.in_vte, day.open) for day in found.days] == [
        (2, "proven", 3, 0),
        (3, "dead_letters", 3, 0),
        (4, "open", 3, 1),
        (5, "not_compared", None, None),  # it had not ended when it was compared
    ]
    assert found.proven_through == date(2026, 6, 3)
    assert found.compared_at == COMPARED_AT


def test_what_differed_is_shown_by_cause_the_newest_first():
    assert [
        (difference.found_on.day, difference.cause, difference.reports, difference.text)
        for difference in proof_calendar(stored(), THE_6TH_AT).differences
    ] == [
        (4, "mapping_changed", 7, "changed by mapping or settings"),
        (3, "vte_changed", 2, "changed in VTE"),
        (3, "altered", 1, "altered in WATS"),
    ]


def test_without_a_comparison_no_day_is_proven():
    found = proof_calendar(stored(Proof()), THE_6TH_AT)
    assert {day.status for day in found.days} == {"not_compared"}
    assert (len(found.days), found.proven_through, found.compared_at) == (4, None, None)
    assert proof_calendar(Stored(None, History()), THE_6TH_AT).days == []


def test_history_that_a_backfill_transferred_is_shown_and_does_not_move_proven_through():
    begin_at = SINCE_AT - timedelta(days=10)
    found = proof_calendar(stored(PROOF, SINCE_AT, Interval(begin_at, begin_at + timedelta(days=1))), THE_6TH_AT)
    assert [found.days[0].day, len(found.days)] == [date(2026, 5, 23), 14]
    assert found.proven_through == date(2026, 6, 3)


def test_the_page_shows_a_year_and_names_open_runs_to_who_may_read_logs():
    whole = proof_calendar(stored(PROOF, SINCE_AT - timedelta(days=1_000)), THE_6TH_AT)
    seen, guest = (for_page(whole, may_read_logs=may) for may in (True, False))
    assert (len(whole.days), len(seen.days), seen.days[-1].day) == (1_004, 365, date(2026, 6, 5))
    assert (seen.days[-2].open_runs, seen.counts_alone) == ([OPEN_RUN], False)
    assert (guest.days[-2].open_runs, guest.days[-2].open, guest.counts_alone) == ([], 1, True)


def test_the_csv_has_a_row_a_day_of_dates_and_numbers():
    head, *rows = csv.reader(as_csv(proof_calendar(stored(), THE_6TH_AT)).splitlines())
    assert head == ["day", "in_vte", "proven", "dead", "held", "open", "gone", "verified_at"]
    assert rows == [
        ["2026-06-02", "3", "3", "0", "0", "0", "0", "2026-06-05T03:00:00+00:00"],
        ["2026-06-03", "3", "1", "1", "1", "0", "2", "2026-06-05T03:00:00+00:00"],
        ["2026-06-04", "3", "2", "0", "0", "1", "1", "2026-06-05T03:00:00+00:00"],
        ["2026-06-05", "", "", "", "", "", "", ""],
    ]


def test_runs_outside_every_window_and_those_gone_from_vte_are_named_to_who_may_read_logs():
    whole = proof_calendar(stored(), THE_6TH_AT)
    seen, guest = (for_page(whole, may_read_logs=may) for may in (True, False))
    for found, examples in ((seen, ["o"]), (guest, [])):
        (odd,) = found.odd
        assert (odd.text, odd.in_vte, odd.held, odd.open) == ("without a Timestamp", 2, 1, 1)
        assert [run.index_guid for run in odd.examples] == examples
    assert [(day.gone, day.gone_is_listed) for day in guest.days[:3]] == [(0, True), (2, True), (1, False)]
    assert [day.gone_runs for day in seen.days[:3]] == [[], ["a", "b"], []]
    assert [day.gone_runs for day in guest.days[:3]] == [[], [], []]
