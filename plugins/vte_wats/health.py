"""The status of a site with its reason, assessed from what is stored: nothing is asked of VTE or WATS.

Airflow's own health is not assessed here. When its scheduler is down, nothing is settled any more, and that shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field

from vte_wats.intervals.interval import Instant
from vte_wats.state.coverage import State
from vte_wats.state.history import History
from vte_wats.state.proof import Proof
from vte_wats.wording import count, duration

_INTERVAL_S = 300  # until the first scheduled interval is known
_MAX_IDLE = timedelta(hours=1)  # without anything settled: something is wrong whatever the interval
_MAX_CHANGES_WAIT = timedelta(hours=2)  # a near check is skipped while another sync is at work, or after a slow one
_MAX_CHECK_AGE = timedelta(hours=1)  # what the monitor remembers of longer ago is not of now
_LATE_INTERVALS = 3
_GRACE_S = 300


class HealthStatus(StrEnum):
    """The status of a site; the later, the worse."""

    OK = "ok"
    BEHIND = "behind"
    DEGRADED = "degraded"
    STOPPED = "stopped"


class Assessment(BaseModel):
    """The status of a site, and why."""

    model_config = ConfigDict(frozen=True)

    status: HealthStatus
    reason: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of one site.

    ``open_conditions`` are the summaries of the conditions that the monitor has open, ``checked_at`` is its last check;
    while there was none, the time counts from the start of the sync.
    ``comparison_limit_h`` is the age from which the last comparison with WATS is too old; 0 is no limit.
    ``changes_wait_since`` is since when the near check was skipped, or what it found waits; ``None`` when neither.
    ``state_problem`` says why a state that exists cannot be read, and what to do; ``state`` is ``None`` then.
    """

    state: State | None
    history: History
    open_conditions: tuple[str, ...] = ()
    checked_at: datetime | None = None
    proof: Proof = field(default_factory=Proof)
    comparison_limit_h: int = 0
    changes_wait_since: datetime | None = None
    state_problem: str | None = None


def assess(stored: Stored, now_at: datetime, *, is_paused: bool = False, is_running: bool = False) -> Assessment:
    """Assess one site. ``is_running`` says that a sync is under way, which counts while there is no state yet."""
    if is_paused:
        return Assessment(status=HealthStatus.STOPPED, reason="The sync is paused in Airflow.")
    if stored.state_problem:
        return Assessment(status=HealthStatus.STOPPED, reason=stored.state_problem)
    if stored.state is None and is_running:
        return Assessment(status=HealthStatus.BEHIND, reason="The first sync is under way.")
    if stored.state is None:
        return Assessment(status=HealthStatus.STOPPED, reason="Nothing has been synced yet.")
    status, reason = next(_findings(stored.state, stored, now_at))
    return Assessment(status=status, reason=reason)


def _findings(state: State, stored: Stored, now_at: datetime) -> Iterator[tuple[HealthStatus, str]]:
    """Yield every status that applies, with its reason, the worst first."""
    history = stored.history
    interval_s = history.interval_s or _INTERVAL_S
    idle = now_at - history.settled_at if history.settled_at else history.behind(state, now_at)
    if idle > max(_MAX_IDLE, timedelta(seconds=_LATE_INTERVALS * interval_s)):
        yield HealthStatus.STOPPED, f"No sync has succeeded for {duration(idle)}."
    unchecked = now_at - (stored.checked_at or state.at_work_since_at)
    if unchecked > _MAX_CHECK_AGE:
        yield HealthStatus.DEGRADED, f"The monitor has not checked anything for {duration(unchecked)}."
    for first in stored.open_conditions:
        others = len(stored.open_conditions) - 1
        yield HealthStatus.DEGRADED, f"{_sentence(first)}{f' And {others} more.' if others else ''}"
    runs = history.runs_waiting(state)
    seen = f"; {count(runs, 'run')} seen in VTE {'waits' if runs == 1 else 'wait'}" if runs else ""
    covered_until = max((done.to_at for done in state.coverage), default=state.since_at)
    if any(snapshot.interval.to_at > covered_until for snapshot in history.waiting):
        yield HealthStatus.DEGRADED, f"The last sync did not succeed{seen}."
    for failed in state.failed_gaps:
        if failed.is_stuck:
            yield HealthStatus.DEGRADED, f"A gap cannot be filled: {failed}; the monitor's condition lag says why."
    if overdue := stored.proof.overdue(state, now_at, stored.comparison_limit_h):
        yield HealthStatus.DEGRADED, _sentence(overdue)
    if altered := stored.proof.altered:
        yield HealthStatus.DEGRADED, f"{count(altered, 'report')} altered in WATS, as comparisons found."
    yield from _up_to_date(state, stored, now_at, interval_s, seen)


def _up_to_date(
    state: State, stored: Stored, now_at: datetime, interval_s: float, seen: str
) -> Iterator[tuple[HealthStatus, str]]:
    """Yield whether a site that works catches up. While it does, it looks for no changes, which is no fault."""
    if gaps := state.gaps():
        left = sum((gap.to_at - gap.from_at for gap in gaps), timedelta())
        yield HealthStatus.BEHIND, f"Catching up: {count(len(gaps), 'gap')} with {duration(left)} are left{seen}."
    behind = stored.history.behind(state, now_at)
    if behind > timedelta(seconds=_LATE_INTERVALS * interval_s + _GRACE_S):
        yield HealthStatus.BEHIND, f"lastSync is {duration(behind)} behind and catching up."
    waits = now_at - (stored.changes_wait_since or now_at)
    if waits > max(_MAX_CHANGES_WAIT, timedelta(seconds=_LATE_INTERVALS * interval_s)):
        yield HealthStatus.DEGRADED, f"Changes in VTE were not looked for, or wait, for {duration(waits)}."
    yield HealthStatus.OK, _what_is_known(state, stored.proof)


def _what_is_known(state: State, proof: Proof) -> str:
    """Say of every run what the last comparison knows; before the first one, only runs that were read are known."""
    unproven, outside = proof.unproven(ZoneInfo(state.timezone or "UTC")), sum(proof.odd_open.values())
    but = [f"{count(unproven, 'run')} not proven yet"] if unproven else []
    but += [f"{count(outside, 'run')} of wrong clocks"] if outside else []
    if proof.compared_at is None:
        every, but = "Every run that was read", [*but, "no comparison has ended yet"]
        return f"{every} up to lastSync is in WATS or has a dead letter; {' and '.join(but)}."
    if but:
        return f"Up to lastSync, every run is in WATS or has a dead letter, but {' and '.join(but)}."
    return "Every run up to lastSync is in WATS or has a dead letter."


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


class ProbeStatus(StrEnum):
    """The status that a probe gets; the later, the worse."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"


_PROBE_STATUS = {
    HealthStatus.OK: ProbeStatus.OK,
    HealthStatus.BEHIND: ProbeStatus.DEGRADED,
    HealthStatus.DEGRADED: ProbeStatus.DEGRADED,
    HealthStatus.STOPPED: ProbeStatus.FAILING,
}


class Health(BaseModel):
    """What a probe gets without a login: numbers of the whole deployment, no names."""

    model_config = ConfigDict(frozen=True)

    status: ProbeStatus = Field(description="That of the site in the worst state.")
    last_sync: Instant | None = Field(
        description="lastSync of the site that is furthest behind; null before the first."
    )
    runs_processed: int = Field(description="Runs that got an outcome since the start, those read again included.")
    errors: int = Field(description="Runs that are not in WATS: dead letters and held runs.")
    runs_per_minute: float = Field(description="Runs that got an outcome, over the last hour or two.")

    def __str__(self) -> str:
        at = self.last_sync.isoformat(timespec="seconds") if self.last_sync else "never"
        return (
            f"health {self.status}: last sync {at}, {self.runs_processed} runs processed, {self.errors} errors, "
            f"{self.runs_per_minute:g} runs per minute"
        )


def health(sites: Sequence[Stored], now_at: datetime) -> Health:
    """Assess the deployment by its worst site."""
    statuses = [_PROBE_STATUS[assess(site, now_at).status] for site in sites]
    states = [site.state for site in sites]
    hour_at = now_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    recent = sum(site.history.since(hour_at).read for site in sites)
    return Health(
        status=max(statuses, key=list(ProbeStatus).index),
        last_sync=None if None in states else min(state.last_sync for state in states if state is not None),
        runs_processed=sum(sum(state.totals.values()) for state in states if state is not None),
        errors=sum(site.history.dead_letters for site in sites),
        runs_per_minute=round(recent / ((now_at - hour_at).total_seconds() / 60), 1),
    )
