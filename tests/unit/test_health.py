from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vte_wats.domain.run import Outcome
from vte_wats.health import Health, HealthStatus, ProbeStatus, Stored, assess, health
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.history import History, PlanSnapshot, Tally
from vte_wats.state.proof import DayProof, OddKind, OddRuns, Proof

NOW_AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
BEGIN_AT = NOW_AT - timedelta(days=3)


def ago(minutes: float) -> datetime:
    return NOW_AT - timedelta(minutes=minutes)


def a_state(*covered: tuple[datetime, datetime], **fields) -> State:
    coverage = tuple(Interval(from_at=begin, to_at=end) for begin, end in covered or [(BEGIN_AT, ago(5))])
    return State(**{"since_at": BEGIN_AT, "coverage": coverage, "totals": {Outcome.UPLOADED: 7}, **fields})


def a_history(**fields) -> History:
    return History(**{"settled_at": ago(4), "interval_s": 300, **fields})


def stored(state: State | None = None, history: History | None = None, *conditions: str) -> Stored:
    proof = Proof(compared_at=ago(60))
    return Stored(state or a_state(), history or a_history(), conditions, checked_at=ago(1), proof=proof)


GAP = a_state((BEGIN_AT, ago(600)), (ago(500), ago(5)))


def failed_gap(tries: int) -> State:
    state = GAP
    for _ in range(tries):
        state = state.failed(state.gaps()[0], ago(5), "VW201 no login")
    return state


WAITING = a_history(waiting=(PlanSnapshot(interval=Interval(ago(5), ago(0)), runs=12),))


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        (stored(), HealthStatus.OK, "Every run up to lastSync is in WATS or has a dead letter."),
        (Stored(None, History()), HealthStatus.STOPPED, "Nothing has been synced yet."),
        (Stored(None, History(), state_problem="Set both keys."), HealthStatus.STOPPED, "Set both keys."),
        (stored(a_state((BEGIN_AT, ago(25)))), HealthStatus.BEHIND, "lastSync is 25 minutes behind and catching up."),
        (stored(GAP), HealthStatus.BEHIND, "Catching up: 1 gap with 1 hour and 40 minutes are left."),
        (
            stored(GAP, a_history(waiting=(PlanSnapshot(interval=Interval(ago(560), ago(550)), runs=3),))),
            HealthStatus.BEHIND,
            "Catching up: 1 gap with 1 hour and 40 minutes are left; 3 runs seen in VTE wait.",
        ),
        (stored(failed_gap(tries=2)), HealthStatus.BEHIND, "Catching up: 1 gap"),
        (
            stored(failed_gap(tries=3)),
            HealthStatus.DEGRADED,
            "A gap cannot be filled: the time from 2026-06-01 02:00:00 to 2026-06-01 03:40:00 UTC failed 3 times; the",
        ),
        (
            stored(a_state((BEGIN_AT, ago(70))), a_history(settle_delay_s=3_600)),
            HealthStatus.OK,
            "Every run up to lastSync",
        ),
        (stored(None, WAITING), HealthStatus.DEGRADED, "The last sync did not succeed; 12 runs seen in VTE wait."),
        (
            stored(None, a_history(waiting=(PlanSnapshot(interval=Interval(ago(5), ago(0)), runs=0),))),
            HealthStatus.DEGRADED,
            "The last sync did not succeed.",
        ),
        (stored(None, a_history(settled_at=ago(61))), HealthStatus.STOPPED, "No sync has succeeded for 1 hour and 1 minute."),
        (stored(None, History()), HealthStatus.OK, "Every run"),
        (stored(a_state((BEGIN_AT, ago(90))), History()), HealthStatus.STOPPED, "No sync has succeeded for 1 hour and 30 minutes."),
        (stored(None, None, "VTE does not answer: refused"), HealthStatus.DEGRADED, "VTE does not answer: refused."),
        (stored(None, None, "disk is full.", "b", "c"), HealthStatus.DEGRADED, "Disk is full. And 2 more."),
        (stored(GAP, a_history(settled_at=ago(99)), "b"), HealthStatus.STOPPED, "No sync has succeeded for 1 hour and 39 minutes."),
    ],
    ids=[
        "well", "never", "unreadable", "catching up", "gap", "gap, seen", "gap, failed twice", "gap, stuck", "settle delay", "failed", "failed, empty", "still", "no history", "still, no history",
        "condition", "conditions", "the worst first",
    ],
)  # fmt: skip
def test_a_site_has_a_status_with_the_reason(given, status, reason):
    found = assess(given, NOW_AT)
    assert found.status is status
    assert found.reason.startswith(reason)


def test_a_monitor_that_does_not_check_is_worse_than_what_it_remembers():
    old = Stored(a_state(), a_history(), ("disk is full",), checked_at=ago(61))
    assert assess(old, NOW_AT).reason == "The monitor has not checked anything for 1 hour and 1 minute."
    assert assess(old, NOW_AT).status is HealthStatus.DEGRADED
    assert assess(Stored(a_state(), a_history(), checked_at=ago(59)), NOW_AT).status is HealthStatus.OK
    assert health([old], NOW_AT).status is ProbeStatus.DEGRADED


@pytest.mark.parametrize(
    ("started_at", "checked_at", "reason"),
    [
        (None, None, "The monitor has not checked anything for 3 days."),
        (ago(61), None, "The monitor has not checked anything for 1 hour and 1 minute."),
        (ago(59), None, None),
        (ago(61), ago(1), None),
    ],
    ids=["never", "never, started an hour ago", "never, started lately", "lately"],
)
def test_a_monitor_that_never_checked_degrades_a_site_an_hour_after_its_start(started_at, checked_at, reason):
    found = assess(replace(stored(a_state(started_at=started_at)), checked_at=checked_at), NOW_AT)
    assert found.status is (HealthStatus.DEGRADED if reason else HealthStatus.OK)
    assert found.reason == reason or reason is None


@pytest.mark.parametrize(
    ("compared_at", "limit_h", "reason"),
    [
        (ago(37 * 60), 36, "The last comparison with WATS ended 1 day and 13 hours ago."),
        (ago(36 * 60), 36, None),
        (ago(99 * 60), 0, None),
        (None, 36, "No comparison with WATS has ended since the sync started 3 days ago."),
        (None, 73, None),
        (None, 0, None),
    ],
    ids=["old", "new", "not watched", "never", "never, started lately", "never, not watched"],
)
def test_an_old_comparison_degrades_a_site(compared_at, limit_h, reason):
    given = replace(stored(), proof=Proof(compared_at=compared_at), comparison_limit_h=limit_h)
    found = assess(given, NOW_AT)
    assert found.status is (HealthStatus.DEGRADED if reason else HealthStatus.OK)
    if reason:
        assert found.reason == reason
    started = replace(given, state=a_state(started_at=ago(5)))
    assert (assess(started, NOW_AT).status is HealthStatus.OK) is (compared_at is None or reason is None)
    assert health([given], NOW_AT).status is (ProbeStatus.DEGRADED if reason else ProbeStatus.OK)


def test_a_paused_sync_is_stopped_whatever_is_stored():
    assert assess(stored(), NOW_AT, is_paused=True).status is HealthStatus.STOPPED


def test_the_first_sync_under_way_is_behind_and_not_stopped():
    assert assess(Stored(None, History()), NOW_AT, is_running=True).status is HealthStatus.BEHIND
    assert assess(stored(None, WAITING), NOW_AT, is_running=True).status is HealthStatus.DEGRADED


@pytest.mark.parametrize("interval_s", [300, 3_600, 86_400])
def test_longer_intervals_may_be_quiet_for_longer(interval_s):
    quiet = timedelta(seconds=2 * interval_s)
    given = stored(a_state((BEGIN_AT, NOW_AT - quiet)), a_history(settled_at=NOW_AT - quiet, interval_s=interval_s))
    assert assess(given, NOW_AT).status is HealthStatus.OK


def test_health_is_that_of_the_worst_site_and_adds_up():
    recent = Tally(outcomes={Outcome.UPLOADED: 90, Outcome.UNCHANGED: 30})
    busy = a_history(dead_letters=3, hours={NOW_AT - timedelta(hours=1): recent, NOW_AT - timedelta(hours=9): recent})
    sites = [stored(None, busy), stored(a_state((BEGIN_AT, ago(25))), a_history(dead_letters=4)), stored()]
    assert health(sites, NOW_AT) == Health(
        status=ProbeStatus.DEGRADED, last_sync=ago(25), runs_processed=21, errors=7, runs_per_minute=2.0
    )
    assert health([*sites, Stored(None, History())], NOW_AT).status is ProbeStatus.FAILING
    assert health([*sites, Stored(None, History())], NOW_AT).last_sync is None
    assert health(sites[:1], NOW_AT).status is ProbeStatus.OK


def test_health_is_one_line_with_numbers_alone():
    line = str(health([stored(None, a_history(dead_letters=3))], NOW_AT))
    assert line == ("health ok: last sync 2026-06-01T11:55:00+00:00, 7 runs processed, 3 errors, 0 runs per minute")
    assert str(health([Stored(None, History())], NOW_AT)).startswith("health failing: last sync never, 0 runs")


@pytest.mark.parametrize(
    ("state", "waits_min", "status"),
    [
        (None, 121, HealthStatus.DEGRADED),
        (None, 119, HealthStatus.OK),
        (GAP, 999, HealthStatus.BEHIND),
        (a_state((BEGIN_AT, ago(25))), 999, HealthStatus.BEHIND),
    ],
    ids=["too long", "a while", "a gap", "catching up"],
)
def test_changes_that_nobody_looks_for_degrade_a_site_that_does_not_catch_up(state, waits_min, status):
    given = replace(stored(state), changes_wait_since=ago(waits_min))
    found = assess(given, NOW_AT)
    assert found.status is status
    if status is HealthStatus.DEGRADED:
        assert found.reason == "Changes in VTE were not looked for, or wait, for 2 hours and 1 minute."
    daily = replace(given, history=a_history(interval_s=86_400))
    assert assess(daily, NOW_AT).status is not HealthStatus.DEGRADED


def test_altered_reports_that_are_left_as_they_are_degrade_a_site():
    found = assess(replace(stored(), proof=Proof(compared_at=ago(60), altered=2)), NOW_AT)
    assert found.status is HealthStatus.DEGRADED
    assert found.reason == "2 reports altered in WATS, as comparisons found."


YESTERDAY, TODAY = ago(24 * 60).date(), NOW_AT.date()
OUTSIDE = {OddKind.FUTURE: OddRuns(numbers=DayProof(in_vte=3, held=1, verified_at=NOW_AT))}

BUT = "Up to lastSync, every run is in WATS or has a dead letter, but"
READ = "Every run that was read up to lastSync is in WATS or has a dead letter"


def a_day(verified_at: datetime) -> DayProof:
    return DayProof(in_vte=9, proven=5, dead=1, verified_at=verified_at)


@pytest.mark.parametrize(
    ("proof", "reason"),
    [
        (
            Proof(compared_at=ago(60), odd=OUTSIDE),
            f"{BUT} 2 runs of wrong clocks.",
        ),
        (
            Proof(compared_at=ago(60), days={YESTERDAY: a_day(ago(60))}),
            f"{BUT} 3 runs not proven yet.",
        ),
        (
            Proof(compared_at=ago(60), days={YESTERDAY: a_day(ago(60))}, odd=OUTSIDE),
            f"{BUT} 3 runs not proven yet and 2 runs of wrong clocks.",
        ),
        (
            Proof(compared_at=ago(60), days={TODAY: a_day(ago(60))}),
            "Every run up to lastSync is in WATS or has a dead letter.",
        ),
        (
            Proof(compared_at=ago(60), days={YESTERDAY: a_day(ago(24 * 60))}),
            "Every run up to lastSync is in WATS or has a dead letter.",
        ),
        (
            Proof(),
            "Every run that was read up to lastSync is in WATS or has a dead letter; no comparison has ended yet.",
        ),
        (
            Proof(days={YESTERDAY: a_day(ago(60))}),
            f"{READ}; 3 runs not proven yet and no comparison has ended yet.",
        ),
    ],
    ids=["outside", "open", "open and outside", "today", "compared before it ended", "never", "open, none ended"],
)
def test_every_run_is_said_only_as_far_as_a_comparison_knows(proof, reason):
    found = assess(replace(stored(), proof=proof), NOW_AT)
    assert found.status is HealthStatus.OK
    assert found.reason == reason


def test_a_day_ends_by_the_wall_clock_of_the_stations():
    proof = Proof(compared_at=ago(60), days={YESTERDAY: a_day(ago(13 * 60))})  # 23:00 UTC
    assert "3 runs" not in assess(replace(stored(), proof=proof), NOW_AT).reason
    oslo = a_state(timezone="Europe/Oslo")
    assert "3 runs not proven yet" in assess(replace(stored(oslo), proof=proof), NOW_AT).reason
