"""Which real time is completely done, and the totals: the one thing a sync remembers.

The watermark is never stored on its own: it is the end of the covered interval that holds the start of the sync, so no
success can move it past a gap that a failure left, and no backfill of older time can move it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, computed_field

from vte_wats.domain.outcome import Outcome
from vte_wats.domain.source import SourceIdentity
from vte_wats.intervals.interval import Instant, Interval, merge_intervals, whole_second


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

    def extended(self, sync: SettledSync) -> State:
        """Return the state after a sync that processed its window completely; the same sync is never added twice."""
        if sync.key in self.settled:
            return self
        done = () if sync.window is None else (sync.window,)
        return self.model_copy(
            update={
                "coverage": merge_intervals((*self.coverage, *done)),
                "totals": {outcome: self.totals.get(outcome, 0) + sync.outcomes.get(outcome, 0) for outcome in Outcome},
                "redriven": self.redriven + sync.redriven,
                "late_arrivals": self.late_arrivals and self.late_arrivals.with_late(sync.late),
                "settings_hash": sync.settings_hash,
                "settled": (*self.settled, sync.key)[-_SYNCS_REMEMBERED:],
                "syncs": self.syncs + 1,
            }
        )

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

    def receipt(self) -> dict[str, Any]:
        """Return what a later sync needs to notice that this state is lost or an older one was put in its place."""
        return self.model_dump(mode="json", by_alias=True, include={"started_at", "syncs"})

    def gaps(self) -> tuple[Interval, ...]:
        """Return the real time between the covered intervals: what failed, or is still being processed."""
        return tuple(Interval(left.to_at, right.from_at) for left, right in pairwise(self.coverage))

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
