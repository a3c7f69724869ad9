"""From what was measured to one observation per condition. Pure; the limits come from the settings.

What only follows from VTE or WATS being away is not judged while they are away: one cause, one mail.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vte_wats.alerting.monitor_state import CatchUp, CheckResult, Kind, MonitorState, Observation, ServerCheck, Waiting
from vte_wats.config.alert_settings import AlertSettings
from vte_wats.config.sites import Site
from vte_wats.domain.run import EXCLUDED, DeadLetterKind
from vte_wats.messages import VW508, VW549, VW630
from vte_wats.state.coverage import FailedGap, State
from vte_wats.state.proof import Proof
from vte_wats.storage.dead_letters import DeadLetterHeader
from vte_wats.wording import count, duration

# A condition with a limit closes below this share of it, so that a value near the limit does not open and close it.
_CLOSES_BELOW = 0.8
_WATCHED = timedelta(minutes=20)  # between two checks: after longer, nobody knows what was transferred meanwhile


@dataclass(frozen=True, slots=True)
class Measures:
    """What one check found out; ``None`` where it could not be measured.

    ``setup_problem`` is the empty text when settings and state can be read. ``failed_syncs`` are those whose time is
    not covered yet, ``dag_runs`` the DAG runs of the sync that are at work or for its last intervals.
    """

    now_at: datetime
    setup_problem: str = ""
    vte: ServerCheck | None = None
    wats: ServerCheck | None = None
    state: State | None = None
    waiting: Waiting | None = None
    clock_skew_s: float | None = None
    clock_skew_limit_s: int = 60
    failed_syncs: int | None = None
    dag_runs: int | None = None
    pools_without_slots: tuple[str, ...] | None = None
    dead_letters: tuple[DeadLetterHeader, ...] | None = None
    free_mb: int | None = None
    proof: Proof = field(default_factory=Proof)
    looks_for_changes: bool | None = None


def with_measures(monitor_state: MonitorState, measures: Measures) -> MonitorState:
    """Return the state with what was measured, conditions left as they are."""
    covered_until = measures.state.coverage[-1].to_at if measures.state and measures.state.coverage else None
    # While a server is away, no progress is expected: a sync needs time once the server is back.
    is_away = _is_away(measures)
    catch_up = None
    if measures.waiting is not None and not is_away:
        was_watched = monitor_state.checked_at and measures.now_at - monitor_state.checked_at < _WATCHED
        before = monitor_state.catch_up if was_watched else None
        catch_up = CatchUp.after(before, measures.waiting.left_s, measures.now_at)
    moved = monitor_state.progress_at is None or covered_until != monitor_state.covered_until or is_away
    looks_for_changes = measures.looks_for_changes
    return monitor_state.model_copy(
        update={
            "looks_for_changes": monitor_state.looks_for_changes if looks_for_changes is None else looks_for_changes,
            "checked_at": measures.now_at,
            "vte": measures.vte,
            "wats": measures.wats,
            "waiting": measures.waiting,
            "clock_skew_s": measures.clock_skew_s,
            "free_mb": measures.free_mb,
            "failed_syncs": measures.failed_syncs,
            "covered_until": covered_until,
            "catch_up": catch_up,
            "progress_at": measures.now_at if moved else monitor_state.progress_at,
        }
    )


def evaluate(site: Site, measures: Measures, monitor_state: MonitorState, limits: AlertSettings) -> list[Observation]:
    """Return one observation per condition but ``check``; ``monitor_state`` is that of :func:`with_measures`."""
    return [
        _setup(measures),
        _server_check(
            Kind.VTE, "VTE", measures.vte, f"check SQL Server, the network and connection {site.source_connection}"
        ),
        _server_check(
            Kind.WATS,
            "WATS",
            measures.wats,
            f"check WATS, the network, the token and connection {site.wats_connection}",
        ),
        _no_progress(measures, monitor_state, limits),
        _no_dag_runs(measures),
        _pools(measures),
        _lag(measures, monitor_state, limits),
        _failed_syncs(measures, limits),
        _dead_letters(measures, limits),
        _dead_letter_age(measures, limits),
        _clock_skew(measures),
        _comparison(site, measures, limits),
        _altered(site, measures),
        _odd_timestamps(measures),
        _disk(measures, limits),
        *_held(measures, monitor_state),
    ]


def check_observation(problems: Sequence[str]) -> Observation:
    """Return the observation of the check itself, of which these parts failed."""
    if not problems:
        return Observation(Kind.CHECK, CheckResult.GOOD)
    return Observation(Kind.CHECK, CheckResult.BAD, "the monitor cannot check everything", VW549.advice, problems[0])


def _setup(measures: Measures) -> Observation:
    if not measures.setup_problem:
        return Observation(Kind.SETUP, CheckResult.GOOD)
    return Observation(
        Kind.SETUP, CheckResult.BAD, "nothing can run", "correct what the reason names", measures.setup_problem
    )


def _server_check(kind: Kind, name: str, check: ServerCheck | None, advice: str) -> Observation:
    if check is None:
        return Observation(kind, CheckResult.UNKNOWN)
    if check.ok:
        return Observation(kind, CheckResult.GOOD)
    code = f"{check.code} " if check.code else ""
    problem = (check.problem or "").removeprefix(code)
    reason = f"{code}{problem.removeprefix(f'{name}: ')}"  # the summary names the server already
    return Observation(kind, CheckResult.BAD, f"{name} does not answer", advice, reason)


def _no_progress(measures: Measures, monitor_state: MonitorState, limits: AlertSettings) -> Observation:
    if _is_away(measures) or measures.waiting is None or monitor_state.progress_at is None or measures.dag_runs == 0:
        return Observation(Kind.NO_PROGRESS, CheckResult.UNKNOWN)
    still = measures.now_at - monitor_state.progress_at
    if not measures.waiting.runs or still < timedelta(seconds=limits.no_progress_s):
        return Observation(Kind.NO_PROGRESS, CheckResult.GOOD)
    return Observation(
        Kind.NO_PROGRESS,
        CheckResult.BAD,
        f"no sync has finished for {duration(still)}, and {_are_waiting(measures.waiting.runs)} in VTE",
        "open the last DAG run of the sync: the first red task says why",
    )


def _no_dag_runs(measures: Measures) -> Observation:
    if measures.dag_runs is None or measures.state is None or not measures.state.syncs:
        return Observation(Kind.NO_DAG_RUNS, CheckResult.UNKNOWN)
    if measures.dag_runs:
        return Observation(Kind.NO_DAG_RUNS, CheckResult.GOOD)
    return Observation(
        Kind.NO_DAG_RUNS,
        CheckResult.BAD,
        "Airflow creates no DAG runs of the sync: its last intervals have none",
        "see whether the sync DAG is paused, has an import error or starts in the future, and whether the scheduler "
        "runs",
    )


def _pools(measures: Measures) -> Observation:
    if measures.pools_without_slots is None:
        return Observation(Kind.POOLS, CheckResult.UNKNOWN)
    if not measures.pools_without_slots:
        return Observation(Kind.POOLS, CheckResult.GOOD)
    names = ", ".join(measures.pools_without_slots)
    return Observation(
        Kind.POOLS, CheckResult.BAD, f"tasks wait for a pool that has no open slot: {names}", VW630.advice
    )


def _lag(measures: Measures, monitor_state: MonitorState, limits: AlertSettings) -> Observation:
    """Judge a lag that nobody catches up: the time that is left does not shrink, or a gap is stuck."""
    if _is_away(measures) or measures.waiting is None or measures.dag_runs == 0:
        return Observation(Kind.LAG, CheckResult.UNKNOWN)
    waiting, stuck = measures.waiting, _stuck(measures)
    lag = duration(timedelta(seconds=waiting.lag_s))
    summary = f"lastSync is {lag} behind; {_are_waiting(waiting.runs)} in VTE"
    if stuck is not None:
        advice = "fix what the reason says; the next syncs then transfer this time by themselves"
        return Observation(Kind.LAG, CheckResult.BAD, summary, advice, f"{stuck}: {stuck.reason}")
    is_calm = not waiting.runs or (monitor_state.catch_up is not None and monitor_state.catch_up.is_shrinking)
    advice = "more runs come than are transferred, or the syncs fail: open the last DAG runs of the sync"
    return _against(Kind.LAG, 0.0 if is_calm else waiting.lag_s, limits.lag_limit_s, summary, advice)


def _stuck(measures: Measures) -> FailedGap | None:
    failed_gaps = measures.state.failed_gaps if measures.state else ()
    return next((failed for failed in failed_gaps if failed.is_stuck), None)


def _failed_syncs(measures: Measures, limits: AlertSettings) -> Observation:
    if _is_away(measures) or measures.failed_syncs is None:
        return Observation(Kind.FAILED_SYNCS, CheckResult.UNKNOWN)
    return _against(
        Kind.FAILED_SYNCS,
        measures.failed_syncs,
        limits.failed_syncs_per_hour,
        f"{count(measures.failed_syncs, 'interval')} of the last hour failed and {_is_are(measures.failed_syncs)} open",
        "open the failed DAG runs and fix what the first red task says; later syncs then transfer their time",
    )


def _dead_letters(measures: Measures, limits: AlertSettings) -> Observation:
    if measures.dead_letters is None:
        return Observation(Kind.DEAD_LETTERS, CheckResult.UNKNOWN)
    since_at = measures.now_at - timedelta(hours=1)
    new = [head for head in measures.dead_letters if head.kind is DeadLetterKind.DEAD and head.first_at >= since_at]
    return _against(
        Kind.DEAD_LETTERS,
        len(new),
        limits.dead_letters_per_hour,
        f"{count(len(new), 'dead letter')} in the last hour",
        "correct the runs in VTE: later syncs and comparisons try them again; to have it at once, trigger the backfill "
        "DAG with the signature as dead_letters",
        reason=f"most often: {_most_often(new)}",
    )


def _dead_letter_age(measures: Measures, limits: AlertSettings) -> Observation:
    if measures.dead_letters is None:
        return Observation(Kind.DEAD_LETTER_AGE, CheckResult.UNKNOWN)
    days = limits.dead_letter_days
    before_at = measures.now_at - timedelta(days=days)
    old = [head for head in measures.dead_letters if head.kind is DeadLetterKind.DEAD and head.first_at < before_at]
    if not old:
        return Observation(Kind.DEAD_LETTER_AGE, CheckResult.GOOD)
    return Observation(
        Kind.DEAD_LETTER_AGE,
        CheckResult.BAD,
        f"{count(len(old), 'dead letter')} older than {count(days, 'day')}",
        "correct the runs in VTE and redrive them, or name them in `excluded_runs` if they are to stay out of WATS",
        f"most often: {_most_often(old)}",
    )


def _clock_skew(measures: Measures) -> Observation:
    if measures.clock_skew_s is None:
        return Observation(Kind.CLOCK_SKEW, CheckResult.UNKNOWN)
    return _against(
        Kind.CLOCK_SKEW,
        abs(measures.clock_skew_s),
        measures.clock_skew_limit_s + 1,
        f"SQL Server's clock differs from Airflow's by {measures.clock_skew_s:+.0f} s",
        "set both by the same time server",
    )


def _comparison(site: Site, measures: Measures, limits: AlertSettings) -> Observation:
    if _is_away(measures) or measures.state is None:
        return Observation(Kind.COMPARISON, CheckResult.UNKNOWN)
    overdue = measures.proof.overdue(measures.state, measures.now_at, limits.comparison_limit_h)
    if overdue is None:
        return Observation(Kind.COMPARISON, CheckResult.GOOD)
    dag_id = site.dag_id("reconcile")
    advice = f"see whether {dag_id} is paused; else open its last DAG run: the first red task says why"
    return Observation(Kind.COMPARISON, CheckResult.BAD, overdue, advice)


def _altered(site: Site, measures: Measures) -> Observation:
    """Judge the reports that are known to be altered in WATS, until a comparison finds none of them so."""
    if measures.state is None:
        return Observation(Kind.ALTERED, CheckResult.UNKNOWN)
    if not measures.proof.altered:
        return Observation(Kind.ALTERED, CheckResult.GOOD)
    return Observation(
        Kind.ALTERED,
        CheckResult.BAD,
        f"{count(measures.proof.altered, 'report')} altered in WATS, as comparisons found",
        f"open the last DAG run of {site.dag_id('reconcile')}: verify names them. {VW508.advice}",
    )


def _odd_timestamps(measures: Measures) -> Observation:
    """Judge the runs that no window holds, until they are in WATS, a dead letter, or gone from VTE."""
    if measures.state is None:
        return Observation(Kind.ODD_TIMESTAMPS, CheckResult.UNKNOWN)
    still_open = measures.proof.odd_open
    runs = sum(still_open.values())
    if not runs:
        return Observation(Kind.ODD_TIMESTAMPS, CheckResult.GOOD)
    return Observation(
        Kind.ODD_TIMESTAMPS,
        CheckResult.BAD,
        f"{count(runs, 'run')} in VTE {_is_are(runs)} outside every window and not in WATS yet",
        "set the clocks of their stations: the status page has examples. The comparison transfers or holds them, and "
        "the next one closes this; with odd_timestamps = hold, correct those before the start in VTE or backfill them",
        "; ".join(f"{number} {kind.words}" for kind, number in still_open.items()),
    )


def _disk(measures: Measures, limits: AlertSettings) -> Observation:
    if measures.free_mb is None:
        return Observation(Kind.DISK, CheckResult.UNKNOWN)
    if measures.free_mb >= limits.min_free_mb / _CLOSES_BELOW:
        return Observation(Kind.DISK, CheckResult.GOOD)
    return Observation(
        Kind.DISK,
        CheckResult.BAD if measures.free_mb < limits.min_free_mb else CheckResult.UNKNOWN,
        f"{measures.free_mb} MB are free where staging lies, less than {limits.min_free_mb}",
        "make room: what failed DAG runs left in staging is kept for staging_retention_days",
    )


def _held(measures: Measures, monitor_state: MonitorState) -> Iterator[Observation]:
    """Yield one observation per group: runs that are held for the same reason wait for the same setting."""
    known = {key for key in monitor_state.conditions if key.startswith(f"{Kind.HELD}:")}
    if measures.dead_letters is None:
        return
    groups = Counter(
        head.signature
        for head in measures.dead_letters
        if head.kind is DeadLetterKind.HELD and head.signature != EXCLUDED
    )
    for signature, runs in sorted(groups.items()):
        yield Observation(
            f"{Kind.HELD}:{signature}",
            CheckResult.BAD,
            f"{count(runs, 'run')} {'waits' if runs == 1 else 'wait'} for a setting",
            "extend the setting or WATS, or correct the runs in VTE; they are then uploaded without further action",
            signature,
        )
    for key in sorted(known - {f"{Kind.HELD}:{signature}" for signature in groups}):
        yield Observation(key, CheckResult.GOOD)


def _against(kind: Kind, value: float, limit: float, summary: str, advice: str, *, reason: str = "") -> Observation:
    if value >= limit:
        return Observation(kind, CheckResult.BAD, summary, advice, reason)
    return Observation(kind, CheckResult.GOOD if value < limit * _CLOSES_BELOW else CheckResult.UNKNOWN)


def _is_away(measures: Measures) -> bool:
    return any(check is None or not check.ok for check in (measures.vte, measures.wats))


def _most_often(heads: Iterable[DeadLetterHeader]) -> str:
    most_common = Counter(head.signature for head in heads).most_common(1)
    return f"{most_common[0][0]} ({most_common[0][1]})" if most_common else "-"


def _are_waiting(runs: int) -> str:
    return f"{count(runs, 'run')} {_is_are(runs)} waiting"


def _is_are(number: int) -> str:
    return "is" if number == 1 else "are"
