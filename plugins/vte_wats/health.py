"""How a site stands, in one word with its reason, judged from what is stored: nothing is asked of VTE or WATS.

Airflow's own health is not judged here. When its scheduler is down nothing is settled any more, and that shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from vte_wats.intervals.interval import Instant
from vte_wats.state.coverage import State
from vte_wats.state.history import History

_INTERVAL_S = 300  # until the first scheduled interval has told
_STILL = timedelta(hours=1)  # without anything settled: something is wrong whatever the interval
_LATE_INTERVALS = 3
_GRACE_S = 300


class HealthStatus(StrEnum):
    """How a site stands; the later, the worse."""

    OK = "ok"
    BEHIND = "behind"
    DEGRADED = "degraded"
    STOPPED = "stopped"


class Assessment(BaseModel):
    """One word, and why."""

    model_config = ConfigDict(frozen=True)

    word: HealthStatus
    reason: str


@dataclass(frozen=True, slots=True)
class Stored:
    """What is stored of one site. ``open_conditions`` are the summaries of what the monitor holds for wrong."""

    state: State | None
    history: History
    open_conditions: tuple[str, ...] = ()


def standing(stored: Stored, now_at: datetime, *, is_paused: bool = False, is_running: bool = False) -> Assessment:
    """Judge one site. ``is_running`` tells that a sync is under way, which counts while there is no state yet."""
    if is_paused:
        return Assessment(word=HealthStatus.STOPPED, reason="The sync is paused in Airflow.")
    if stored.state is None and is_running:
        return Assessment(word=HealthStatus.BEHIND, reason="The first sync is under way.")
    if stored.state is None:
        return Assessment(word=HealthStatus.STOPPED, reason="Nothing has been synced yet.")
    word, reason = next(_findings(stored.state, stored, now_at))
    return Assessment(word=word, reason=reason)


def _findings(state: State, stored: Stored, now_at: datetime) -> Iterator[tuple[HealthStatus, str]]:
    """Yield what is to be said, the worst first."""
    history = stored.history
    interval_s = history.interval_s or _INTERVAL_S
    still = now_at - (history.settled_at or state.last_sync)
    if still > max(_STILL, timedelta(seconds=_LATE_INTERVALS * interval_s)):
        yield HealthStatus.STOPPED, f"No sync has succeeded for {roughly(still)}."
    for first in stored.open_conditions:
        others = len(stored.open_conditions) - 1
        yield (
            HealthStatus.DEGRADED,
            f"{first[:1].upper()}{first[1:].rstrip('.')}.{f' And {others} more.' if others else ''}",
        )
    if any(not one.is_done(state.coverage) for one in history.waiting):
        runs = history.runs_waiting(state)
        seen = f"; {counted(runs, 'run')} seen in VTE {'waits' if runs == 1 else 'wait'}" if runs else ""
        yield HealthStatus.DEGRADED, f"The last sync did not succeed{seen}."
    if gaps := state.gaps():
        yield HealthStatus.DEGRADED, f"{counted(len(gaps), 'gap')} in the coverage."
    behind = now_at - state.last_sync
    if behind > timedelta(seconds=_LATE_INTERVALS * interval_s + _GRACE_S):
        yield HealthStatus.BEHIND, f"lastSync is {roughly(behind)} behind and catching up."
    yield HealthStatus.OK, "Every run up to lastSync is in WATS or has a dead letter."


class ProbeStatus(StrEnum):
    """What a probe is told; the later, the worse."""

    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"


_HEALTH = {
    HealthStatus.OK: ProbeStatus.OK,
    HealthStatus.BEHIND: ProbeStatus.DEGRADED,
    HealthStatus.DEGRADED: ProbeStatus.DEGRADED,
    HealthStatus.STOPPED: ProbeStatus.FAILING,
}


class Health(BaseModel):
    """What a probe without a login is told: numbers of the whole deployment, no names."""

    model_config = ConfigDict(frozen=True)

    status: ProbeStatus = Field(description="That of the site that stands worst.")
    last_sync: Instant | None = Field(
        description="lastSync of the site that is furthest behind; null before the first."
    )
    runs_processed: int = Field(description="Runs that got an outcome since the beginning, read again ones included.")
    errors: int = Field(description="Runs that are not in WATS: dead letters and held runs.")
    runs_per_minute: float = Field(description="Runs that got an outcome, over the last hour or two.")

    def __str__(self) -> str:
        at = self.last_sync.isoformat(timespec="seconds") if self.last_sync else "never"
        return (
            f"health {self.status}: last sync {at}, {self.runs_processed} runs processed, {self.errors} errors, "
            f"{self.runs_per_minute:g} runs per minute"
        )


def health(sites: Sequence[Stored], now_at: datetime) -> Health:
    """Judge the deployment by its worst site."""
    words = [_HEALTH[standing(one, now_at).word] for one in sites]
    states = [one.state for one in sites]
    hour_at = now_at.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=1)
    recent = sum(one.history.since(hour_at).read for one in sites)
    return Health(
        status=max(words, key=list(ProbeStatus).index),
        last_sync=None if None in states else min(one.last_sync for one in states if one is not None),
        runs_processed=sum(sum(one.totals.values()) for one in states if one is not None),
        errors=sum(one.history.dead_letters for one in sites),
        runs_per_minute=round(recent / ((now_at - hour_at).total_seconds() / 60), 1),
    )


def roughly(duration: timedelta) -> str:
    """Return a duration as a person says it: the largest unit that fills it, rounded down."""
    seconds = max(0, int(duration.total_seconds()))
    for unit, size in (("day", 86_400), ("hour", 3_600), ("minute", 60)):
        if seconds >= size:
            return counted(seconds // size, unit)
    return counted(seconds, "second")


def counted(number: int, thing: str) -> str:
    """Return ``1 gap`` or ``2 gaps``."""
    return f"{number:,} {thing}{'' if number == 1 else 's'}"
