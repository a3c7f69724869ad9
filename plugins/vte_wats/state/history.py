"""What was transferred when: counts per hour and per day, how long uploads took, and what was seen but is not done.

The Variable ``vte_wats_history`` holds it, for people to look at: no transfer depends on it. However much is settled,
it stays below half a megabyte with six digits in every count, and takes 150 KB in a usual year.
"""

from __future__ import annotations

import base64
import hashlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vte_wats.domain.report import UploadResult
from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Instant, Interval
from vte_wats.state.coverage import State

HOURS_KEPT = timedelta(days=15)  # the last fourteen days, whole in every time zone
DAYS_KEPT = timedelta(days=366)
COUNTED_KEPT = 5_000  # DAG runs: more than two weeks of five-minute intervals
WAITING_KEPT = 500

# Upper edges of the latency buckets. A p95 read off them is at most half too high, which is what a person can see.
LATENCY_BOUNDS_MS = (5, 10, 15, 20, 30, 50, 70, 100, 150, 200, 300, 500, 700, 1_000, 1_500, 2_000, 3_000, 5_000, 7_000,
                    10_000, 15_000, 20_000, 30_000, 60_000, 600_000)  # fmt: skip


def bucket_of(latency_ms: float) -> int:
    """Return the upper edge of the bucket that a latency belongs to; the last one takes all that is longer."""
    return LATENCY_BOUNDS_MS[min(bisect_left(LATENCY_BOUNDS_MS, latency_ms), len(LATENCY_BOUNDS_MS) - 1)]


def quantile_ms(latency_ms: Mapping[int, int], share: float) -> float | None:
    """Return the latency that ``share`` of the uploads stayed below, read off evenly within its bucket."""
    rank = share * sum(latency_ms.values())
    below = 0
    for edge in sorted(latency_ms):
        if below + latency_ms[edge] >= rank > below:
            at = bisect_left(LATENCY_BOUNDS_MS, edge)
            low = LATENCY_BOUNDS_MS[at - 1] if at else 0
            return low + (edge - low) * (rank - below) / latency_ms[edge]
        below += latency_ms[edge]
    return None


class _SparseModel(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Tally(_SparseModel):
    """What became of runs, and what it cost: requests to WATS, and posts by the upper edge of their latency."""

    outcomes: dict[Outcome, int] = {}
    requests: int = 0
    latency_ms: dict[int, int] = {}

    @classmethod
    def of(cls, results: Iterable[UploadResult]) -> Self:
        """Add up what uploads returned."""
        outcomes: Counter[Outcome] = Counter()
        latency_ms: Counter[int] = Counter()
        requests = 0
        for result in results:
            outcomes.update(result.outcomes)
            latency_ms.update(result.latency_ms)
            requests += result.requests
        return cls(outcomes=+outcomes, requests=requests, latency_ms=+latency_ms)

    @property
    def read(self) -> int:
        """Every run that was read has an outcome."""
        return sum(self.outcomes.values())

    def __add__(self, other: Tally) -> Tally:
        return Tally(
            outcomes=Counter(self.outcomes) + Counter(other.outcomes),
            requests=self.requests + other.requests,
            latency_ms=Counter(self.latency_ms) + Counter(other.latency_ms),
        )


class PlanSnapshot(_SparseModel):
    """What a plan saw of VTE: the newest run, and how many runs its interval held, without the guard band."""

    interval: Interval
    runs: int
    newest_at: Instant | None = Field(None, alias="newest")

    def is_done(self, coverage: Iterable[Interval]) -> bool:
        """Return whether the whole interval is covered."""
        return any(covered.covers(self.interval) for covered in coverage)


def _whole_hour(at: datetime) -> datetime:
    return at.replace(minute=0, second=0, microsecond=0)


Hour = Annotated[Instant, AfterValidator(_whole_hour)]


class History(_SparseModel):
    """What the Variable ``vte_wats_history`` holds. Hours and days are of UTC; empty ones are left out."""

    hours: dict[Hour, Tally] = {}
    days: dict[date, Tally] = {}
    counted: tuple[str, ...] = Field((), description="The DAG runs that were counted, shortened, the latest last.")
    settled_at: Instant | None = Field(None, description="When the counts of a sync balanced last.")
    interval_s: int | None = Field(None, description="How long the last scheduled interval was.")
    settle_delay_s: int = Field(0, description="The settle delay of the last sync: no lag, however long it is.")
    budget_per_minute: int | None = Field(
        None, description="The requests a minute that WATS allows, as the last upload knew it."
    )
    newest_at: Instant | None = Field(None, description="The newest run that was seen in VTE.")
    seen_until_at: Instant | None = Field(None, description="Up to when VTE was looked at for it.")
    dead_letters: int = Field(0, description="Dead letters and held runs when something was settled last.")
    waiting: tuple[PlanSnapshot, ...] = Field((), description="What was seen and is not done.")

    def seen(self, snapshot: PlanSnapshot | None, coverage: Iterable[Interval]) -> History:
        """Return the history after a plan saw something; what is done by now no longer waits."""
        covered = tuple(coverage)
        waiting = [known for known in self.waiting if not known.is_done(covered)]
        if snapshot is None:
            return self.model_copy(update={"waiting": tuple(waiting)})
        if not snapshot.is_done(covered):
            waiting = [known for known in waiting if not snapshot.interval.covers(known.interval)]
            if not any(known.interval.covers(snapshot.interval) for known in waiting):
                waiting.append(snapshot)
        newest = [at for at in (self.newest_at, snapshot.newest_at) if at is not None]
        until = [at for at in (self.seen_until_at, snapshot.interval.to_at) if at is not None]
        return self.model_copy(
            update={
                "waiting": tuple(sorted(waiting, key=lambda known: known.interval)[-WAITING_KEPT:]),
                "newest_at": max(newest, default=None),
                "seen_until_at": max(until),
            }
        )

    def settled(
        self,
        dag_run: str,
        at: datetime,
        tally: Tally,
        *,
        budget_per_minute: int | None = None,
    ) -> History:
        """Return the history after a DAG run's counts balanced at ``at``.

        A DAG run counts once: one that was cleared transfers the same runs again, which are in the counts already.
        """
        mark = _short(dag_run)
        hours, days, counted = self.hours, self.days, self.counted
        hour, day = _whole_hour(at.astimezone(UTC)), at.astimezone(UTC).date()
        if mark not in counted:
            hours = hours | {hour: hours.get(hour, Tally()) + tally}
            days = days | {day: days.get(day, Tally()) + tally}
            counted = (*counted, mark)
        return self.model_copy(
            update={
                "hours": {kept: hours[kept] for kept in sorted(hours) if at - kept < HOURS_KEPT},
                "days": {kept: days[kept] for kept in sorted(days) if day - kept < DAYS_KEPT},
                "counted": counted[-COUNTED_KEPT:],
                "budget_per_minute": budget_per_minute or self.budget_per_minute,
            }
        )

    def synced(self, at: datetime, interval_s: int | None = None, settle_delay_s: int = 0) -> History:
        """Return the history after a sync balanced at ``at``; ``interval_s`` is known of a scheduled one."""
        return self.model_copy(
            update={
                "settled_at": at,
                "interval_s": interval_s or self.interval_s,
                "settle_delay_s": settle_delay_s,
            }
        )

    def behind(self, state: State, now_at: datetime) -> timedelta:
        """Return how far ``lastSync`` is behind what could have been synced by now."""
        return max(timedelta(), now_at - timedelta(seconds=self.settle_delay_s) - state.last_sync)

    def since(self, at: datetime) -> Tally:
        """Add up the hours that start at ``at`` or later."""
        return sum((tally for hour, tally in self.hours.items() if hour >= at), Tally())

    def runs_waiting(self, state: State) -> int:
        """Count the runs that were seen in VTE and are not done; windows that were never planned are not among them."""
        return sum(snapshot.runs for snapshot in self.waiting if not snapshot.is_done(state.coverage))


def _short(dag_run: str) -> str:
    """Eight characters instead of sixty: a new one equals a kept one once in fifty billion."""
    return base64.urlsafe_b64encode(hashlib.blake2b(dag_run.encode(), digest_size=6).digest()).decode()
