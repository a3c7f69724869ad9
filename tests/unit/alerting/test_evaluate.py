"""From measures to observations: which limit counts, and what is not blamed twice."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from vte_wats.alerting.evaluate import Measures, check_observation, evaluate, with_measures
from vte_wats.alerting.monitor_state import (
    CatchUp,
    CheckResult,
    Condition,
    Kind,
    MonitorState,
    Observation,
    ServerCheck,
    Waiting,
)
from vte_wats.config.alert_settings import AlertSettings
from vte_wats.config.settings import Settings
from vte_wats.config.sites import Site
from vte_wats.domain.run import EXCLUDED, DeadLetterKind
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.proof import DayProof, OddKind, OddRuns, Proof
from vte_wats.storage.dead_letters import DeadLetterHeader

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
SITE = Site("oslo")
LIMITS = AlertSettings(dead_letters_per_hour=3, failed_syncs_per_hour=5, min_free_mb=1000)
UP = ServerCheck(ok=True, version="1", round_trip_ms=1)
DOWN = ServerCheck(ok=False, problem="no connection")
FINE = Measures(
    NOW,
    vte=UP,
    wats=UP,
    waiting=Waiting(runs=5, newest_local="2026-03-02T12:59:00", lag_s=120),
    clock_skew_s=0.4,
    failed_syncs=0,
    dag_runs=12,
    pools_without_slots=(),
    dead_letters=(),
    free_mb=50_000,
)


def covered(until_at: datetime, days: int = 1) -> State:
    begin_at = NOW - timedelta(days=days)
    return State(since_at=begin_at, coverage=(Interval(from_at=begin_at, to_at=until_at),), syncs=1)


def compared(hours_ago: int) -> Proof:
    return Proof(compared_at=NOW - timedelta(hours=hours_ago))


GROWING = MonitorState(
    checked_at=NOW - timedelta(minutes=2),
    catch_up=CatchUp(left_s=60, at=NOW - timedelta(minutes=31), is_shrinking=True),
)


def with_odd(**numbers: int) -> Proof:
    odd = OddRuns(numbers=DayProof(verified_at=NOW, **numbers))
    return Proof(compared_at=NOW, odd={OddKind.FUTURE: odd})


def a_head(
    kind: DeadLetterKind, signature: str = "serial is blank", *, age: timedelta = timedelta()
) -> DeadLetterHeader:
    at = NOW - age
    return DeadLetterHeader(
        index_guid=uuid4(), kind=kind, reason="r", signature=signature, first_at=at, last_at=NOW, attempts=1
    )


def seen(
    measures: Measures, monitor_state: MonitorState | None = None, limits: AlertSettings = LIMITS
) -> dict[str, Observation]:
    monitor_state = with_measures(monitor_state or MonitorState(), measures)
    return {observation.key: observation for observation in evaluate(SITE, measures, monitor_state, limits)}


def verdict(key: str, monitor_state: MonitorState | None = None, **found) -> CheckResult:
    return seen(replace(FINE, **found), monitor_state or GROWING)[key].verdict


def test_when_all_is_well_every_condition_is_good():
    fine = replace(FINE, state=covered(NOW))
    assert {observation.verdict for observation in seen(fine).values()} == {CheckResult.GOOD}
    assert set(seen(FINE)) == set(Kind) - {Kind.HELD, Kind.CHECK}
    assert check_observation([]).verdict is CheckResult.GOOD


def test_a_part_of_the_check_that_failed_is_a_condition_with_its_reason():
    found = check_observation(["VW549 the summary: TypeError", "VW549 another"])
    assert (found.kind, found.verdict, found.reason) == (Kind.CHECK, CheckResult.BAD, "VW549 the summary: TypeError")


def test_settings_for_alerts_of_another_version_count_as_none_and_cost_nothing_else():
    kept = MonitorState.model_validate({"alerts": {"a_later_setting": 1}, "free_mb": 7, "zone": "Europe/Oslo"})
    assert (kept.alerts, kept.free_mb) == (None, 7)


@pytest.mark.parametrize(
    ("key", "found", "expected"),
    [
        (Kind.SETUP, {"setup_problem": "1 setting(s) are wrong"}, CheckResult.BAD),
        (Kind.VTE, {"vte": DOWN}, CheckResult.BAD),
        (Kind.VTE, {"vte": None}, CheckResult.UNKNOWN),
        (Kind.WATS, {"wats": DOWN}, CheckResult.BAD),
        (Kind.LAG, {"waiting": Waiting(runs=1, lag_s=1_800, left_s=1_800)}, CheckResult.BAD),
        (Kind.LAG, {"waiting": Waiting(runs=1, lag_s=1_500)}, CheckResult.UNKNOWN),
        (Kind.LAG, {"waiting": Waiting(runs=1, lag_s=1_400)}, CheckResult.GOOD),
        (Kind.LAG, {"waiting": Waiting(runs=0, lag_s=9_999)}, CheckResult.GOOD),
        (Kind.FAILED_SYNCS, {"failed_syncs": 5}, CheckResult.BAD),
        (Kind.FAILED_SYNCS, {"failed_syncs": 4}, CheckResult.UNKNOWN),
        (Kind.FAILED_SYNCS, {"failed_syncs": 3}, CheckResult.GOOD),
        (Kind.FAILED_SYNCS, {"failed_syncs": None}, CheckResult.UNKNOWN),
        (Kind.CLOCK_SKEW, {"clock_skew_s": -61.0}, CheckResult.BAD),
        (Kind.CLOCK_SKEW, {"clock_skew_s": 60.0}, CheckResult.UNKNOWN),
        (Kind.CLOCK_SKEW, {"clock_skew_s": None}, CheckResult.UNKNOWN),
        (Kind.DISK, {"free_mb": 999}, CheckResult.BAD),
        (Kind.DISK, {"free_mb": 1_100}, CheckResult.UNKNOWN),
        (Kind.DISK, {"free_mb": 1_250}, CheckResult.GOOD),
        (Kind.DISK, {"free_mb": None}, CheckResult.UNKNOWN),
        (Kind.COMPARISON, {"state": covered(NOW), "proof": compared(hours_ago=37)}, CheckResult.BAD),
        (Kind.COMPARISON, {"state": covered(NOW), "proof": compared(hours_ago=36)}, CheckResult.GOOD),
        (Kind.COMPARISON, {"state": covered(NOW)}, CheckResult.GOOD),
        (Kind.COMPARISON, {"state": covered(NOW, days=2)}, CheckResult.BAD),
        (Kind.COMPARISON, {"state": covered(NOW, days=2), "wats": DOWN}, CheckResult.UNKNOWN),
        (Kind.COMPARISON, {}, CheckResult.UNKNOWN),
        (Kind.ODD_TIMESTAMPS, {"state": covered(NOW), "proof": with_odd(in_vte=3, proven=2)}, CheckResult.BAD),
        (Kind.ODD_TIMESTAMPS, {"state": covered(NOW), "proof": with_odd(in_vte=3, proven=2, held=1)}, CheckResult.GOOD),
        (Kind.ODD_TIMESTAMPS, {"state": None}, CheckResult.UNKNOWN),
        (Kind.ALTERED, {"state": covered(NOW), "proof": Proof(compared_at=NOW, altered=1)}, CheckResult.BAD),
        (Kind.ALTERED, {"state": covered(NOW), "proof": Proof(compared_at=NOW)}, CheckResult.GOOD),
        (Kind.ALTERED, {"state": None}, CheckResult.UNKNOWN),
        (Kind.DEAD_LETTERS, {"dead_letters": (a_head(DeadLetterKind.DEAD),) * 3}, CheckResult.BAD),
        (
            Kind.DEAD_LETTERS,
            {"dead_letters": (a_head(DeadLetterKind.DEAD, age=timedelta(hours=2)),) * 3},
            CheckResult.GOOD,
        ),
        (Kind.DEAD_LETTERS, {"dead_letters": (a_head(DeadLetterKind.HELD),) * 3}, CheckResult.GOOD),
        (Kind.DEAD_LETTERS, {"dead_letters": None}, CheckResult.UNKNOWN),
        (
            Kind.DEAD_LETTER_AGE,
            {"dead_letters": (a_head(DeadLetterKind.DEAD, age=timedelta(days=15)),)},
            CheckResult.BAD,
        ),
        (
            Kind.DEAD_LETTER_AGE,
            {"dead_letters": (a_head(DeadLetterKind.DEAD, age=timedelta(days=13)),)},
            CheckResult.GOOD,
        ),
        (
            Kind.DEAD_LETTER_AGE,
            {"dead_letters": (a_head(DeadLetterKind.HELD, age=timedelta(days=15)),)},
            CheckResult.GOOD,
        ),
    ],
)
def test_each_condition_has_its_limit(key, found, expected):
    assert verdict(key, **found) is expected


def test_runs_outside_every_window_are_named_by_kind_and_those_left_out_wait_for_nobody():
    found = seen(replace(FINE, state=covered(NOW), proof=with_odd(in_vte=3)))[Kind.ODD_TIMESTAMPS]
    assert found.summary == "3 runs in VTE are outside every window and not in WATS yet"
    assert found.reason == "3 dated more than a day ahead"
    excluded_runs = (a_head(DeadLetterKind.HELD, EXCLUDED),)
    assert not [key for key in seen(replace(FINE, dead_letters=excluded_runs)) if key.startswith("held:")]


def test_a_comparison_that_is_overdue_names_its_dag_and_is_not_watched_with_no_limit():
    old = replace(FINE, state=covered(NOW, days=3), proof=compared(hours_ago=48))
    found = seen(old)[Kind.COMPARISON]
    assert found.summary == "the last comparison with WATS ended 2 days ago"
    assert "vte_wats_reconcile_oslo" in found.advice
    assert seen(old, limits=AlertSettings(comparison_limit_h=0))[Kind.COMPARISON].verdict is CheckResult.GOOD


def test_no_progress_counts_from_when_coverage_was_last_seen_to_move():
    monitor_state = with_measures(MonitorState(), replace(FINE, state=covered(NOW)))
    for minutes, expected in ((59, CheckResult.GOOD), (60, CheckResult.BAD)):
        later = replace(FINE, now_at=NOW + timedelta(minutes=minutes), state=covered(NOW))
        assert seen(later, monitor_state)[Kind.NO_PROGRESS].verdict is expected
    moved = replace(FINE, now_at=NOW + timedelta(minutes=60), state=covered(NOW + timedelta(minutes=5)))
    assert seen(moved, monitor_state)[Kind.NO_PROGRESS].verdict is CheckResult.GOOD


def test_after_an_outage_a_sync_has_its_time_before_anybody_is_notified_of_no_progress():
    monitor_state = with_measures(MonitorState(), replace(FINE, state=covered(NOW)))
    for minutes in (60, 120, 180):
        monitor_state = with_measures(
            monitor_state, replace(FINE, now_at=NOW + timedelta(minutes=minutes), state=covered(NOW), wats=DOWN)
        )
    for minutes, expected in ((182, CheckResult.GOOD), (239, CheckResult.GOOD), (240, CheckResult.BAD)):
        back = replace(FINE, now_at=NOW + timedelta(minutes=minutes), state=covered(NOW))
        assert seen(back, monitor_state)[Kind.NO_PROGRESS].verdict is expected


def test_advice_names_the_connections_of_the_site():
    found = seen(replace(FINE, vte=DOWN, wats=DOWN))
    assert "vte_oslo" in found[Kind.VTE].advice
    assert "wats_oslo" in found[Kind.WATS].advice


def test_a_reason_names_the_server_once_behind_its_code():
    coded = ServerCheck(ok=False, code="VW317", problem="VW317 WATS: no answer of WATS: late")
    assert seen(replace(FINE, wats=coded))[Kind.WATS].reason == "VW317 no answer of WATS: late"
    assert seen(replace(FINE, wats=DOWN))[Kind.WATS].reason == "no connection"


def test_no_progress_is_fine_when_vte_holds_nothing_newer():
    monitor_state = with_measures(MonitorState(), replace(FINE, state=covered(NOW)))
    idle = replace(FINE, now_at=NOW + timedelta(hours=5), state=covered(NOW), waiting=Waiting(runs=0, lag_s=18_000))
    assert seen(idle, monitor_state)[Kind.NO_PROGRESS].verdict is CheckResult.GOOD


@pytest.mark.parametrize("away", [{"vte": DOWN}, {"wats": DOWN}, {"vte": None}])
@pytest.mark.parametrize("key", [Kind.NO_PROGRESS, Kind.LAG, Kind.FAILED_SYNCS])
def test_what_only_follows_from_an_outage_is_not_judged_while_it_lasts(key, away):
    monitor_state = with_measures(MonitorState(), replace(FINE, state=covered(NOW)))
    now_at = NOW + timedelta(hours=5)
    catch_up = CatchUp(left_s=60, at=NOW, is_shrinking=True)
    monitor_state = monitor_state.model_copy(update={"checked_at": now_at, "catch_up": catch_up})
    bad = replace(
        FINE,
        now_at=now_at,
        state=covered(NOW),
        waiting=Waiting(runs=9, lag_s=18_000),
        failed_syncs=60,
    )
    assert seen(bad, monitor_state)[key].verdict is CheckResult.BAD
    assert seen(replace(bad, **away), monitor_state)[key].verdict is CheckResult.UNKNOWN


def test_each_held_group_is_a_condition_and_is_good_once_its_dead_letters_are_gone():
    groups = (a_head(DeadLetterKind.HELD, "unmapped test plan 'A'"),) * 2 + (a_head(DeadLetterKind.HELD, "code 7"),)
    found = seen(replace(FINE, dead_letters=groups))
    held = found["held:unmapped test plan 'A'"]
    assert (held.summary, held.reason) == ("2 runs wait for a setting", "unmapped test plan 'A'")
    assert found["held:code 7"].verdict is CheckResult.BAD
    monitor_state = MonitorState(conditions={"held:code 7": Condition(opened_at=NOW, notified_at=NOW)})
    assert seen(replace(FINE, dead_letters=groups[:2]), monitor_state)["held:code 7"].verdict is CheckResult.GOOD
    assert "held:code 7" not in seen(replace(FINE, dead_letters=None), monitor_state)


@pytest.mark.parametrize(
    ("key", "found", "summary"),
    [
        (Kind.LAG, {"waiting": Waiting(runs=1, lag_s=7_500)}, "lastSync is 2 hours and 5 minutes behind; 1 run is waiting in VTE"),
        (Kind.LAG, {"waiting": Waiting(runs=1_200, lag_s=86_700)}, "lastSync is 1 day behind; 1,200 runs are waiting in VTE"),
        (Kind.DEAD_LETTER_AGE, {"dead_letters": (a_head(DeadLetterKind.DEAD, age=timedelta(days=15)),)}, "1 dead letter older than 14 days"),
        (Kind.HELD + ":code 7", {"dead_letters": (a_head(DeadLetterKind.HELD, "code 7"),)}, "1 run waits for a setting"),
    ],
    ids=["one run", "many runs", "one dead letter", "one held run"],
)  # fmt: skip
def test_a_summary_counts_and_measures_in_plain_english(key, found, summary):
    assert seen(replace(FINE, **found), GROWING)[key].summary == summary


def lag_verdicts(
    left_s: list[float], state: State | None = None, every: timedelta = timedelta(minutes=5)
) -> list[CheckResult]:
    """Return the verdict on the lag at each check, while so much time is left; lastSync stands an hour behind."""
    monitor_state, verdicts = MonitorState(), []
    for n, left in enumerate(left_s):
        found = replace(
            FINE, now_at=NOW + n * every, state=state, waiting=Waiting(runs=5, lag_s=3_600 + left, left_s=left)
        )
        monitor_state = with_measures(monitor_state, found)
        verdicts.append(next(o for o in evaluate(SITE, found, monitor_state, LIMITS) if o.key == Kind.LAG).verdict)
    return verdicts


def test_who_catches_up_disturbs_nobody_however_long_it_takes():
    assert set(lag_verdicts([86_400 - 300 * n for n in range(60)])) == {CheckResult.GOOD}


@pytest.mark.parametrize("growth_s", [0, 300], ids=["stands still", "grows"])
def test_a_lag_that_does_not_shrink_is_bad_after_half_an_hour(growth_s):
    verdicts = lag_verdicts([3_600 + growth_s * n + 300 * (n % 2) for n in range(12)])
    assert verdicts[:6] == [CheckResult.GOOD] * 6
    assert verdicts[6:] == [CheckResult.BAD] * 6


def test_when_nobody_looked_for_long_a_lag_has_its_time_to_shrink():
    assert lag_verdicts([3_600, 7_200, 10_800], every=timedelta(hours=1)) == [CheckResult.GOOD] * 3


def test_a_gap_that_is_stuck_is_bad_at_once_with_its_reason():
    state, gap = covered(NOW - timedelta(hours=2)), Interval(NOW - timedelta(hours=2), NOW - timedelta(hours=1))
    for expected in (CheckResult.GOOD, CheckResult.GOOD, CheckResult.BAD):
        state = state.failed(gap, NOW, "VW201 no login")
        found = seen(replace(FINE, state=state, waiting=Waiting(runs=5, lag_s=7_200, left_s=7_200)))[Kind.LAG]
        assert found.verdict is expected
    assert found.reason.endswith("UTC failed 3 times: VW201 no login")
    assert "by themselves" in found.advice


def test_a_scheduler_that_creates_nothing_is_one_condition_and_not_three():
    still = replace(FINE, now_at=NOW + timedelta(hours=5), state=covered(NOW), dag_runs=0)
    before = with_measures(MonitorState(), replace(FINE, state=covered(NOW)))
    found = seen(still, before)
    assert found[Kind.NO_DAG_RUNS].verdict is CheckResult.BAD
    assert "paused" in found[Kind.NO_DAG_RUNS].advice
    assert "delete" not in found[Kind.NO_DAG_RUNS].advice  # the timetable passes by a DAG run in its way
    assert found[Kind.NO_PROGRESS].verdict is found[Kind.LAG].verdict is CheckResult.UNKNOWN
    assert seen(replace(still, dag_runs=1), before)[Kind.NO_DAG_RUNS].verdict is CheckResult.GOOD


def test_a_pool_that_gives_no_slot_is_named_and_an_airflow_that_does_not_say_is_unknown():
    found = seen(replace(FINE, pools_without_slots=("vte_read", "wats_api")))[Kind.POOLS]
    assert (found.verdict, found.summary) == (
        CheckResult.BAD,
        "tasks wait for a pool that has no open slot: vte_read, wats_api",
    )
    assert "airflow pools import include/pools.json" in found.advice
    assert verdict(Kind.POOLS, pools_without_slots=None) is CheckResult.UNKNOWN


def test_before_the_first_sync_nobody_misses_its_dag_runs():
    assert verdict(Kind.NO_DAG_RUNS, state=None, dag_runs=0) is CheckResult.UNKNOWN


def test_what_dead_letters_say_of_runs_is_the_reason_and_not_in_the_summary():
    old = (a_head(DeadLetterKind.DEAD, "serial of 'Secret product'", age=timedelta(days=15)),)
    found = seen(replace(FINE, dead_letters=old))[Kind.DEAD_LETTER_AGE]
    assert "Secret product" not in found.summary
    assert found.reason == "most often: serial of 'Secret product' (1)"


def test_advice_refers_to_the_settings_that_decide_how_long_files_stay_and_which_runs_stay_out():
    old = (a_head(DeadLetterKind.DEAD, age=timedelta(days=15)),)
    found = seen(replace(FINE, dead_letters=old, free_mb=1))
    named = {word for kind in (Kind.DEAD_LETTER_AGE, Kind.DISK) for word in re.findall(r"\w+", found[kind].advice)}
    assert named & Settings.model_fields.keys() == {"excluded_runs", "staging_retention_days"}
