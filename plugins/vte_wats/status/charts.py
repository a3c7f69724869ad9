"""What is stored as charts: the coverage of the last days, the history in as many points as a screen can show.

And the proof: a calendar of what the comparisons have proven per day, and CSV for an auditor. Pure; the clock is an
argument.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

from vte_wats.health import Stored
from vte_wats.intervals.interval import Interval, in_utc
from vte_wats.intervals.wall_clock import wall_clock
from vte_wats.state.coverage import State
from vte_wats.state.history import History, Tally, quantile_ms
from vte_wats.state.proof import DayStatus, GoneRuns, OddKind, OddRuns, Proof
from vte_wats.status.api_models import (
    CoverageChart,
    DagRunLink,
    DifferencesOfCause,
    HistoryChart,
    OddRunsOfKind,
    Point,
    ProofCalendar,
    ProofDay,
    Segment,
    SegmentKind,
    Span,
)

SHOWN = timedelta(days=14)
_WIDTH = {Span.DAY: timedelta(hours=1), Span.FORTNIGHT: timedelta(hours=6), Span.YEAR: timedelta(days=7)}
_POINTS = {Span.DAY: 24, Span.FORTNIGHT: 56, Span.YEAR: 52}


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A DAG run that has not succeeded, and the real time it is responsible for."""

    dag_run: DagRunLink
    interval: Interval
    is_running: bool


def coverage_chart(state: State, unfinished: Iterable[Unfinished], now_at: datetime) -> CoverageChart:
    """Return the last fourteen days up to ``now_at``.

    What is not covered is a gap where a DAG run failed or where later time is complete, running where a DAG run is
    working on it, and waiting where none has started.
    """
    now_at = in_utc(now_at)
    from_at = max(now_at - SHOWN, min((state.since_at, *(covered.from_at for covered in state.coverage[:1]))))
    shown = Interval(min(from_at, now_at), now_at)
    runs = sorted(unfinished, key=lambda run: run.interval.from_at)
    covered_until = max((covered.to_at for covered in state.coverage), default=from_at)
    complete = [done for covered in state.coverage if (done := covered.intersection(shown))]
    segments = [Segment(kind=SegmentKind.COMPLETE, interval=done) for done in complete]
    for gap in shown.minus(complete):
        segments += _open_segments(gap, runs, covered_until)
    return CoverageChart(interval=shown, segments=sorted(segments, key=lambda segment: segment.interval))


def _open_segments(interval: Interval, runs: Sequence[Unfinished], covered_until: datetime) -> list[Segment]:
    """Split time that is not complete at the edges of the DAG runs in it; equal neighbours become one segment."""
    merged: list[Segment] = []
    inside = [run for run in runs if run.interval.intersection(interval)]
    for segment in _split(interval, inside, covered_until):
        last = merged[-1] if merged else None
        if last is not None and last.kind is segment.kind:
            first = last.dag_run or segment.dag_run
            both = last.dag_runs + segment.dag_runs
            joined = Interval(last.interval.from_at, segment.interval.to_at)
            merged[-1] = last.model_copy(update={"interval": joined, "dag_run": first, "dag_runs": both})
        else:
            merged.append(segment)
    return merged


def _split(interval: Interval, runs: Sequence[Unfinished], covered_until: datetime) -> Iterator[Segment]:
    at = interval.from_at
    for run in runs:
        left = run.interval.intersection(Interval(at, interval.to_at))
        if left is None:
            continue
        yield from _without_dag_run(Interval(at, left.from_at), covered_until)
        kind = SegmentKind.RUNNING if run.is_running else SegmentKind.GAP
        yield Segment(kind=kind, interval=left, dag_run=run.dag_run, dag_runs=1)
        at = left.to_at
    yield from _without_dag_run(Interval(at, interval.to_at), covered_until)


def _without_dag_run(interval: Interval, covered_until: datetime) -> Iterator[Segment]:
    """Yield what no DAG run is responsible for: a gap before the end of the coverage, waiting time after it."""
    border_at = min(max(covered_until, interval.from_at), interval.to_at)
    before, after = Interval(interval.from_at, border_at), Interval(border_at, interval.to_at)
    for kind, part in ((SegmentKind.GAP, before), (SegmentKind.WAITING, after)):
        if not part.is_empty:
            yield Segment(kind=kind, interval=part)


def history_chart(history: History, span: Span, now_at: datetime) -> HistoryChart:
    """Return the points of a span that ends with the present one: hours, quarters of days, or weeks, of UTC."""
    if span is Span.YEAR:
        tallies = {datetime.combine(day, datetime.min.time(), UTC): tally for day, tally in history.days.items()}
    else:
        tallies = dict(history.hours)
    width = _WIDTH[span]
    return HistoryChart(span=span, points=[_point(Interval(at, at + width), tallies) for at in _starts(span, now_at)])


def _starts(span: Span, now_at: datetime) -> Iterator[datetime]:
    day_at = now_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    width = _WIDTH[span]
    last_at = day_at + (now_at - day_at) // width * width
    if span is Span.YEAR:
        last_at -= timedelta(days=6)  # so that the last week ends with today
    return (last_at - width * n for n in reversed(range(_POINTS[span])))


def _point(interval: Interval, tallies: Mapping[datetime, Tally]) -> Point:
    tally = sum((tally for at, tally in tallies.items() if at in interval), Tally())
    return Point(
        interval=interval,
        read=tally.read,
        outcomes=tally.outcomes,
        requests=tally.requests,
        p50_ms=quantile_ms(tally.latency_ms, 0.5),
        p95_ms=quantile_ms(tally.latency_ms, 0.95),
    )


_NUMBERS = ("in_vte", "proven", "dead", "held", "open")
_COLUMNS = (*_NUMBERS, "gone")
_SHOWN = 365  # days


def proof_calendar(stored: Stored, now_at: datetime) -> ProofCalendar:
    """Return every day from the first one that was synced up to yesterday, by the wall clock of the stations."""
    state, proof = stored.state, stored.proof
    if state is None:
        return ProofCalendar(proven_through=None, compared_at=proof.compared_at, days=[])
    zone = ZoneInfo(state.timezone or "UTC")
    first_at = min((state.since_at, *(covered.from_at for covered in state.coverage)))
    first, today = (wall_clock(at, zone).date() for at in (first_at, now_at))
    return ProofCalendar(
        proven_through=proof.proven_through(wall_clock(state.since_at, zone).date(), zone),
        compared_at=proof.compared_at,
        days=[_day(proof, first + timedelta(days=n), zone) for n in range((today - first).days)],
        odd=[_odd(kind, runs) for kind, runs in proof.odd.items()],
        differences=[
            DifferencesOfCause(found_on=day, cause=cause, text=cause.words, reports=reports)
            for day, causes in sorted(proof.differences.items(), reverse=True)
            for cause, reports in causes.items()
        ],
    )


def for_page(found: ProofCalendar, *, may_read_logs: bool) -> ProofCalendar:
    """Return the last year as one user may see it."""
    days, odd = found.days[-_SHOWN:], found.odd
    if not may_read_logs:
        days = [day.model_copy(update={"open_runs": [], "gone_runs": []}) for day in days]
        odd = [runs.model_copy(update={"examples": []}) for runs in odd]
    return found.model_copy(update={"days": days, "odd": odd, "counts_alone": not may_read_logs})


def as_csv(found: ProofCalendar) -> str:
    """Return one row a day. Dates and numbers alone: no program takes any of it for a formula."""
    text = StringIO()
    rows = csv.writer(text)
    rows.writerow(("day", *_COLUMNS, "verified_at"))
    for day in found.days:
        verified_at = day.verified_at and day.verified_at.isoformat(timespec="seconds")
        rows.writerow((day.day, *(getattr(day, number) for number in _COLUMNS), verified_at))
    return text.getvalue()


def _day(proof: Proof, day: date, zone: ZoneInfo) -> ProofDay:
    found = proof.compared_day(day, zone)
    if found is None:
        return ProofDay(day=day, status=DayStatus.NOT_COMPARED)
    gone = proof.gone.get(day, GoneRuns(runs=0))
    return ProofDay(
        day=day,
        status=found.status,
        **{number: getattr(found, number) for number in _NUMBERS},
        gone=gone.runs,
        gone_is_listed=gone.is_listed,
        verified_at=found.verified_at,
        open_runs=list(found.open_runs),
        gone_runs=list(gone.examples),
    )


def _odd(kind: OddKind, runs: OddRuns) -> OddRunsOfKind:
    numbers = runs.numbers
    return OddRunsOfKind(
        kind=kind,
        text=kind.words,
        in_vte=numbers.in_vte,
        proven=numbers.proven,
        dead=numbers.dead,
        held=numbers.held,
        open=runs.open,
        examples=list(runs.examples),
    )
