"""What the comparisons have proven, per day: a calendar, and CSV for an auditor. Pure; the clock is an argument."""

from __future__ import annotations

import csv
from datetime import date, datetime, timedelta
from io import StringIO
from zoneinfo import ZoneInfo

from vte_wats.health import Stored
from vte_wats.intervals.wall_clock import wall_clock
from vte_wats.state.proof import DayStatus, GoneRuns, OddKind, OddRuns, Proof
from vte_wats.status.api_models import DifferencesOfCause, OddRunsOfKind, ProofCalendar, ProofDay

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
