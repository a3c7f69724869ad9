"""Which real time is completely done, and the totals: the one thing a sync remembers.

The watermark is never stored on its own: it is the end of the stretch of coverage that begins where the sync began, so
no success can move it past a hole that a failure left, and no backfill of older history can move it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, computed_field

from vte_wats.domain.ports import SourceIdentity
from vte_wats.intervals.windows import Window, window_of


class Outcome(StrEnum):
    """What became of one run."""

    UPLOADED = "uploaded"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"
    DEAD = "dead"
    HELD = "held"


Instant = Annotated[AwareDatetime, AfterValidator(lambda at: at.astimezone(UTC))]


class CoveredInterval(BaseModel):
    """Real time ``[from, to)`` whose runs are all in WATS or dead letters."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    from_at: Instant = Field(alias="from")
    to_at: Instant = Field(alias="to")


class LateArrivals(BaseModel):
    """How many runs appeared after their time, by the least age in seconds they had.

    ``seen`` counts the runs of the last window before ``until_at`` by age; keys are the upper edges of both. Edges
    beyond the guard band count what only a comparison with WATS found.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    until_at: Instant = Field(alias="until")
    seen: dict[int, int]
    late: dict[int, int]

    def with_late(self, late: Mapping[int, int]) -> LateArrivals:
        """Return it with so many late runs more."""
        return self.model_copy(
            update={"late": {**self.late, **{age: self.late.get(age, 0) + n for age, n in late.items()}}}
        )

    def joined(self, other: LateArrivals) -> LateArrivals:
        """Return the later of two that grew from one: counts only rise, and each age is counted by one DAG."""
        newest = max(self, other, key=lambda one: one.until_at)
        ages = sorted(self.late.keys() | other.late.keys())
        return newest.model_copy(
            update={"late": {age: max(self.late.get(age, 0), other.late.get(age, 0)) for age in ages}}
        )


_SETTLED_REMEMBERED = 100
_GAPS_NAMED = 100
_VERIFIED_FIELDS = ("started_at", "source", "target", "timezone", "clock_skew_s")


@dataclass(frozen=True, slots=True)
class SettledSync:
    """What one balanced sync adds to the state. ``key`` is its own, ``window`` is ``None`` when it covered no time.

    ``redriven`` counts the letters that went, ``late`` the runs that appeared after their time, by their least age.
    """

    key: str
    window: Window | None
    outcomes: Mapping[Outcome, int]
    settings_hash: str | None
    redriven: int = 0
    late: Mapping[int, int] = field(default_factory=dict)


class State(BaseModel):
    """What the Variable ``vte_wats_state`` holds: coverage, totals, whose they are, and ``lastSync`` to read."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    since_at: Instant = Field(alias="since", description="Where the sync began: the watermark counts from here.")
    coverage: tuple[CoveredInterval, ...] = ()
    totals: dict[Outcome, int] = Field(default_factory=dict)
    settings_hash: str | None = Field(None, description="The settings of the last sync; others give held runs a try.")
    redriven: int = Field(0, ge=0, description="Dead letters and held runs that reached WATS after all.")
    settled: tuple[str, ...] = Field((), description="The last syncs in the totals, so that none is added twice.")
    syncs: int = Field(0, ge=0, description="Syncs whose accounts balanced.")
    started_at: Instant | None = Field(
        None, alias="started", description="When this state began, or was accepted last."
    )
    source: SourceIdentity | None = Field(None, description="The database the coverage was gained with.")
    target: str | None = Field(None, description="The host of the WATS it was gained with.")
    timezone: str | None = Field(None, description="The source_timezone it was gained with.")
    late_arrivals: LateArrivals | None = Field(
        None, description="When runs appear in the database, beside their Timestamp."
    )
    clock_skew_s: float | None = Field(None, description="SQL Server's clock less Airflow's at the last sync.")

    @computed_field(alias="lastSync")  # type: ignore[prop-decorator]
    @property
    def last_sync(self) -> Instant:
        """The watermark: everything from ``since_at`` up to here is done."""
        ends = (s.to_at for s in self.coverage if s.from_at <= self.since_at < s.to_at)
        return next(ends, self.since_at)

    def extended(self, sync: SettledSync) -> State:
        """Return the state after a sync that carried its window completely; the same sync is never added twice."""
        if sync.key in self.settled:
            return self
        done = () if sync.window is None else (CoveredInterval(from_at=sync.window.from_at, to_at=sync.window.to_at),)
        return self.model_copy(
            update={
                "coverage": _merged((*self.coverage, *done)),
                "totals": {o: self.totals.get(o, 0) + sync.outcomes.get(o, 0) for o in Outcome},
                "redriven": self.redriven + sync.redriven,
                "late_arrivals": self.late_arrivals and self.late_arrivals.with_late(sync.late),
                "settings_hash": sync.settings_hash,
                "settled": (*self.settled, sync.key)[-_SETTLED_REMEMBERED:],
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

    def gaps(self) -> tuple[Window, ...]:
        """Return the real time between stretches of coverage: what failed, or is still under way."""
        return tuple(Window(left.to_at, right.from_at) for left, right in pairwise(self.coverage))

    def left_to_do(self, until_at: datetime) -> tuple[Window, ...]:
        """Return the real time from ``last_sync`` to ``until_at`` that is not covered, its holes included.

        After as many holes as a statement can name, the rest is one window.
        """
        windows, at = [], self.last_sync
        for stretch in (*self.coverage, CoveredInterval(from_at=until_at, to_at=until_at)):
            to_at = min(stretch.from_at, until_at)
            if at < to_at:
                windows.append(window_of(at, to_at, 0, 0))
            at = max(at, stretch.to_at)
        if len(windows) > _GAPS_NAMED:
            windows[_GAPS_NAMED - 1 :] = [Window(windows[_GAPS_NAMED - 1].from_at, windows[-1].to_at)]
        return tuple(windows)


def _merged(stretches: tuple[CoveredInterval, ...]) -> tuple[CoveredInterval, ...]:
    merged: list[CoveredInterval] = []
    for stretch in sorted(stretches, key=lambda s: s.from_at):
        if stretch.from_at == stretch.to_at:
            continue
        if merged and stretch.from_at <= merged[-1].to_at:
            merged[-1] = CoveredInterval(from_at=merged[-1].from_at, to_at=max(merged[-1].to_at, stretch.to_at))
        else:
            merged.append(stretch)
    return tuple(merged)
