"""Every day since the first one that was synced, and what may be said of it."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime, timedelta

from vte_wats.health import Stored
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.history import History
from vte_wats.state.proof import Cause, DayProof, GoneRuns, OddKind, OddRun, OddRuns, OpenRun, Proof
from vte_wats.status.proof_calendar import as_csv, for_page, proof_calendar

SINCE_AT = datetime(2026, 6, 1, 22, 30, tzinfo=UTC)  # the 2nd in Oslo
NOW_AT = datetime(2026, 6, 5, 22, 30, tzinfo=UTC)  # the 6th
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
    found = proof_calendar(stored(), NOW_AT)
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
        for difference in proof_calendar(stored(), NOW_AT).differences
    ] == [
        (4, "mapping_changed", 7, "changed by mapping or settings"),
        (3, "vte_changed", 2, "changed in VTE"),
        (3, "altered", 1, "altered in WATS"),
    ]


def test_without_a_comparison_no_day_is_proven():
    found = proof_calendar(stored(Proof()), NOW_AT)
    assert {day.status for day in found.days} == {"not_compared"}
    assert (len(found.days), found.proven_through, found.compared_at) == (4, None, None)
    assert proof_calendar(Stored(None, History()), NOW_AT).days == []


def test_history_that_a_backfill_transferred_is_shown_and_does_not_move_proven_through():
    begin_at = SINCE_AT - timedelta(days=10)
    found = proof_calendar(stored(PROOF, SINCE_AT, Interval(begin_at, begin_at + timedelta(days=1))), NOW_AT)
    assert [found.days[0].day, len(found.days)] == [date(2026, 5, 23), 14]
    assert found.proven_through == date(2026, 6, 3)


def test_the_page_shows_a_year_and_names_open_runs_to_who_may_read_logs():
    whole = proof_calendar(stored(PROOF, SINCE_AT - timedelta(days=1_000)), NOW_AT)
    seen, guest = (for_page(whole, may_read_logs=may) for may in (True, False))
    assert (len(whole.days), len(seen.days), seen.days[-1].day) == (1_004, 365, date(2026, 6, 5))
    assert (seen.days[-2].open_runs, seen.counts_alone) == ([OPEN_RUN], False)
    assert (guest.days[-2].open_runs, guest.days[-2].open, guest.counts_alone) == ([], 1, True)


def test_the_csv_has_a_row_a_day_of_dates_and_numbers():
    head, *rows = csv.reader(as_csv(proof_calendar(stored(), NOW_AT)).splitlines())
    assert head == ["day", "in_vte", "proven", "dead", "held", "open", "gone", "verified_at"]
    assert rows == [
        ["2026-06-02", "3", "3", "0", "0", "0", "0", "2026-06-05T03:00:00+00:00"],
        ["2026-06-03", "3", "1", "1", "1", "0", "2", "2026-06-05T03:00:00+00:00"],
        ["2026-06-04", "3", "2", "0", "0", "1", "1", "2026-06-05T03:00:00+00:00"],
        ["2026-06-05", "", "", "", "", "", "", ""],
    ]


def test_runs_outside_every_window_and_those_gone_from_vte_are_named_to_who_may_read_logs():
    whole = proof_calendar(stored(), NOW_AT)
    seen, guest = (for_page(whole, may_read_logs=may) for may in (True, False))
    for found, examples in ((seen, ["o"]), (guest, [])):
        (odd,) = found.odd
        assert (odd.text, odd.in_vte, odd.held, odd.open) == ("without a Timestamp", 2, 1, 1)
        assert [run.index_guid for run in odd.examples] == examples
    assert [(day.gone, day.gone_is_listed) for day in guest.days[:3]] == [(0, True), (2, True), (1, False)]
    assert [day.gone_runs for day in seen.days[:3]] == [[], ["a", "b"], []]
    assert [day.gone_runs for day in guest.days[:3]] == [[], [], []]
