"""Which real time is completely done, and the totals: the one thing a sync remembers.

The watermark is never stored on its own: it is the end of the covered interval that holds the start of the sync, so no
success can move it past a gap that a failure left, and no backfill of older time can move it back.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field, computed_field

from vte_wats.domain.run import Outcome
from vte_wats.domain.source import SourceIdentity
from vte_wats.intervals.interval import Instant, Interval, in_utc, merge_intervals, whole_second


class LateArrivals(BaseModel):
    """How many runs appeared after their time, by the least age in seconds they had.

    ``seen`` counts the runs of the last window before ``until_at`` by age. The keys of both are upper edges of ages;
    edges beyond the guard band count what only a comparison with WATS found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    until_at: Instant = Field(alias="until")
    seen: dict[int, int]
    late: dict[int, int]

    def with_late(self, late: Mapping[int, int]) -> LateArrivals:
        """Return the counts with these late runs added."""
        return self.model_copy(
            update={"late": {**self.late, **{age: self.late.get(age, 0) + n for age, n in late.items()}}}
        )

    def joined(self, other: LateArrivals) -> LateArrivals:
        """Return the later of two that grew from one: counts only rise, and each age is counted by one DAG."""
        newest = max(self, other, key=lambda arrivals: arrivals.until_at)
        ages = sorted(self.late.keys() | other.late.keys())
        return newest.model_copy(
            update={"late": {age: max(self.late.get(age, 0), other.late.get(age, 0)) for age in ages}}
        )


class FailedGap(BaseModel):
    """Time that is not covered, whose transfer failed beside a current interval that went well, and why.

    After each failure less of it is tried, later; after each success more. So what can be transferred is, and what
    cannot is narrowed down to its second.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    interval: Interval
    tries: int = Field(ge=1, description="Failures so far, less the successes since.")
    tried_at: Instant = Field(description="When it failed last.")
    due_at: Instant = Field(description="When it is tried again.")
    reason: str = Field(description="What the task said that failed.")

    @property
    def is_stuck(self) -> bool:
        """Whether it failed so often that a person should know why."""
        return self.tries >= _STUCK_AFTER

    def __str__(self) -> str:
        from_at, to_at = self.interval.from_at, self.interval.to_at
        return f"the time from {from_at:%Y-%m-%d %H:%M:%S} to {to_at:%Y-%m-%d %H:%M:%S} UTC failed {self.tries} times"


_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(minutes=4), timedelta(hours=1)  # the first one ends before the next interval
_STUCK_AFTER = 3
_SYNCS_REMEMBERED = 100
_MOST_GAPS = 100  # that one statement can name
_VERIFIED_FIELDS = ("started_at", "source", "target", "timezone", "clock_skew_s")


@dataclass(frozen=True, slots=True)
class SettledSync:
    """What one balanced sync adds to the state. ``key`` is its own, ``window`` is ``None`` when it covered no time.

    ``redriven`` counts the dead letters that were removed, ``late`` the runs that appeared after their time, by their
    least age.
    """

    key: str
    window: Interval | None
    outcomes: Mapping[Outcome, int]
    settings_hash: str | None
    redriven: int = 0
    late: Mapping[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gap:
    """Time to be filled, and how often that failed. The time before it is covered since ``covered_from_at``."""

    interval: Interval
    tries: int
    covered_from_at: datetime


class Receipt(BaseModel):
    """When a state was started, and how many syncs it counted when one was settled."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    started_at: Instant = Field(alias="started")
    syncs: int


class State(BaseModel):
    """What the Variable ``vte_wats_state`` holds: coverage, totals, whose they are, and ``lastSync`` to read."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    since_at: Instant = Field(alias="since", description="Where the sync starts: the watermark counts from here.")
    coverage: tuple[Interval, ...] = ()
    totals: dict[Outcome, int] = Field(default_factory=dict)
    settings_hash: str | None = Field(
        None, description="The settings of the last sync; when they change, held runs are tried again."
    )
    redriven: int = Field(0, ge=0, description="Dead letters and held runs that reached WATS after all.")
    settled: tuple[str, ...] = Field((), description="The last syncs in the totals, so that none is added twice.")
    syncs: int = Field(0, ge=0, description="Syncs whose counts balanced.")
    sequence: int = Field(0, ge=0, description="How often this state was written.")
    failed_gaps: tuple[FailedGap, ...] = Field((), description="Time that could not be transferred yet, and why.")
    started_at: Instant | None = Field(
        None, alias="started", description="When this state was started, or was accepted last."
    )
    source: SourceIdentity | None = Field(None, description="The database that the coverage belongs to.")
    target: str | None = Field(None, description="The host of the WATS that it belongs to.")
    timezone: str | None = Field(None, description="The source_timezone that it was synced with.")
    late_arrivals: LateArrivals | None = Field(
        None, description="When runs appear in the database, beside their Timestamp."
    )
    clock_skew_s: float | None = Field(None, description="SQL Server's clock less Airflow's at the last sync.")

    @computed_field(alias="lastSync")  # type: ignore[prop-decorator]
    @property
    def last_sync(self) -> Instant:
        """The watermark: everything from ``since_at`` up to here is done."""
        return next((covered.to_at for covered in self.coverage if self.since_at in covered), self.since_at)

    @property
    def at_work_since_at(self) -> datetime:
        """The start date, or the first sync if that came later: what is missing since then is missing for so long."""
        return max(self.since_at, self.started_at or self.since_at)

    def extended(self, sync: SettledSync) -> State:
        """Return the state after a sync that processed its window completely; the same sync is never added twice."""
        if sync.key in self.settled:
            return self
        done = () if sync.window is None else (sync.window,)
        coverage = merge_intervals((*self.coverage, *done))
        return self.model_copy(
            update={
                "coverage": coverage,
                "failed_gaps": tuple(_left_of(self.failed_gaps, sync.window, coverage)),
                "totals": {outcome: self.totals.get(outcome, 0) + sync.outcomes.get(outcome, 0) for outcome in Outcome},
                "redriven": self.redriven + sync.redriven,
                "late_arrivals": self.late_arrivals and self.late_arrivals.with_late(sync.late),
                "settings_hash": sync.settings_hash,
                "settled": (*self.settled, sync.key)[-_SYNCS_REMEMBERED:],
                "syncs": self.syncs + 1,
            }
        )

    def may_have_forgotten(self, syncs: int) -> bool:
        """Return whether the sync that was added after so many may be in the totals and not in ``settled`` any more.

        After half of those remembered it may: two writers number their syncs differently.
        """
        return syncs <= self.syncs - _SYNCS_REMEMBERED // 2

    def verified_as(self, other: State) -> State:
        """Return the state with what another found out; when that began earlier, its own is newer."""
        if self.started_at and other.started_at and self.started_at > other.started_at:
            return self
        late_arrivals = self.late_arrivals or other.late_arrivals
        if self.late_arrivals is not None and other.late_arrivals is not None:
            late_arrivals = self.late_arrivals.joined(other.late_arrivals)
        return self.model_copy(
            update={"late_arrivals": late_arrivals} | {name: getattr(other, name) for name in _VERIFIED_FIELDS}
        )

    def receipt(self) -> Receipt:
        """Return what a later sync needs to notice that this state is lost or an older one was put in its place."""
        return Receipt.model_validate(self, from_attributes=True)

    def failed(self, gap: Interval, at: datetime, reason: str) -> State:
        """Return the state after the transfer of a gap failed."""
        tries = max((failure.tries for failure in self.failed_gaps if failure.interval.intersection(gap)), default=0)
        others = tuple(failure for failure in self.failed_gaps if not failure.interval.intersection(gap))
        pause = min(_FIRST_PAUSE * 2 ** min(tries, 10), _LONGEST_PAUSE)
        failed = FailedGap(interval=gap, tries=tries + 1, tried_at=at, due_at=in_utc(at) + pause, reason=reason)
        return self.model_copy(
            update={"failed_gaps": tuple(sorted((*others, failed), key=lambda failure: failure.interval))[-_MOST_GAPS:]}
        )

    def gaps(self) -> tuple[Interval, ...]:
        """Return the real time since ``since_at`` that is not covered although later time is."""
        return self.left_to_do(self.coverage[-1].to_at) if self.coverage else ()

    def gap_to_fill(self, until_at: datetime, now_at: datetime) -> Gap | None:
        """Return the oldest time before ``until_at`` that is not covered and may be tried now."""
        waiting = [failure for failure in self.failed_gaps if failure.due_at > now_at]
        for gap in self.left_to_do(until_at):
            for part in gap.minus(failure.interval for failure in waiting):
                from_at, to_at, tries = part.from_at, part.to_at, 0
                failed = next((failure for failure in self.failed_gaps if failure.interval.intersection(part)), None)
                if failed is not None and from_at in failed.interval:
                    to_at, tries = min(to_at, failed.interval.to_at), failed.tries
                elif failed is not None:
                    to_at = failed.interval.from_at
                covered_from_at = next((done.from_at for done in self.coverage if done.to_at == from_at), from_at)
                return Gap(Interval(from_at, to_at), tries, covered_from_at)
        return None

    def left_to_do(self, until_at: datetime) -> tuple[Interval, ...]:
        """Return the real time from ``last_sync`` to ``until_at`` that is not covered, its gaps included.

        After as many gaps as one statement can name, the rest is one window.
        """
        until_at = whole_second(until_at)
        if until_at <= self.last_sync:
            return ()
        left = Interval(whole_second(self.last_sync), until_at).minus(self.coverage)
        if len(left) <= _MOST_GAPS:
            return left
        return (*left[: _MOST_GAPS - 1], Interval(left[_MOST_GAPS - 1].from_at, left[-1].to_at))


def _left_of(
    failed_gaps: Iterable[FailedGap], done: Interval | None, coverage: tuple[Interval, ...]
) -> Iterator[FailedGap]:
    """Yield what is left of failed gaps after an interval was done; a success within one lets more of it be tried."""
    for failed in failed_gaps:
        eased = done is not None and failed.interval.intersection(done) is not None
        tries = failed.tries - 1 if eased else failed.tries
        due_at = failed.tried_at if eased else failed.due_at
        for rest in failed.interval.minus(coverage):
            if tries:
                yield failed.model_copy(update={"interval": rest, "tries": tries, "due_at": due_at})
