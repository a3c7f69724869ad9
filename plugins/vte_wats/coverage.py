"""Which real time is completely done, and the totals: the one thing a sync remembers.

The watermark is never stored on its own: it is the end of the stretch of coverage that begins where the sync began, so
no success can move it past a hole that a failure left, and no backfill of older history can move it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, computed_field

from vte_wats.ports import SourceIdentity
from vte_wats.windows import Window


class Outcome(StrEnum):
    """What became of one run."""

    UPLOADED = "uploaded"
    UNCHANGED = "unchanged"
    REPLACED = "replaced"
    DEAD = "dead"
    HELD = "held"


Instant = Annotated[AwareDatetime, AfterValidator(lambda at: at.astimezone(UTC))]


class Stretch(BaseModel):
    """Real time ``[from, to)`` whose runs are all in WATS or dead letters."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    from_at: Instant = Field(alias="from")
    to_at: Instant = Field(alias="to")


class Lateness(BaseModel):
    """How many runs appeared after their time, by the least age in seconds they had, as far as the guard band shows.

    ``seen`` counts the runs of the last window before ``until_at`` by age; keys are the upper edges of both.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    until_at: Instant = Field(alias="until")
    seen: dict[int, int]
    late: dict[int, int]


_RECOGNISED = ("begun_at", "source", "target", "clock_skew_s")


class State(BaseModel):
    """What the Variable ``vte_wats_state`` holds: coverage, totals, whose they are, and ``lastSync`` to read."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    since_at: Instant = Field(alias="since", description="Where the sync began: the watermark counts from here.")
    coverage: tuple[Stretch, ...] = ()
    totals: dict[Outcome, int] = Field(default_factory=dict)
    settings_hash: str | None = Field(None, description="The settings of the last sync; others give held runs a try.")
    syncs: int = Field(0, ge=0, description="Syncs whose accounts balanced.")
    begun_at: Instant | None = Field(None, alias="begun", description="When this state began, or was accepted last.")
    source: SourceIdentity | None = Field(None, description="The database the coverage was gained with.")
    target: str | None = Field(None, description="The host of the WATS it was gained with.")
    lateness: Lateness | None = Field(None, description="When runs appear in the database, beside their Timestamp.")
    clock_skew_s: float | None = Field(None, description="SQL Server's clock less Airflow's at the last sync.")

    @computed_field(alias="lastSync")  # type: ignore[prop-decorator]
    @property
    def last_sync(self) -> Instant:
        """The watermark: everything from ``since_at`` up to here is done."""
        ends = (s.to_at for s in self.coverage if s.from_at <= self.since_at < s.to_at)
        return next(ends, self.since_at)

    def extended(self, window: Window | None, outcomes: Mapping[Outcome, int], settings_hash: str) -> State:
        """Return the state after a window was carried completely; ``None`` adds to the totals alone."""
        done = () if window is None else (Stretch(from_at=window.from_at, to_at=window.to_at),)
        return self.model_copy(
            update={
                "coverage": _merged((*self.coverage, *done)),
                "totals": {o: self.totals.get(o, 0) + outcomes.get(o, 0) for o in Outcome},
                "settings_hash": settings_hash,
                "syncs": self.syncs + 1,
            }
        )

    def recognised_as(self, other: State) -> State:
        """Return the state with what another found out; when that began earlier, its own is newer."""
        if self.begun_at and other.begun_at and self.begun_at > other.begun_at:
            return self
        measures = [one for one in (self.lateness, other.lateness) if one is not None]
        newest = {"lateness": max(measures, key=lambda one: one.until_at, default=None)}
        return self.model_copy(update=newest | {name: getattr(other, name) for name in _RECOGNISED})

    def receipt(self) -> dict[str, Any]:
        """Return what a later sync needs to notice that this state is lost or an older one was put in its place."""
        return self.model_dump(mode="json", by_alias=True, include={"begun_at", "syncs"})

    def holes(self) -> tuple[Window, ...]:
        """Return the real time between stretches of coverage: what failed, or is still under way."""
        return tuple(Window(left.to_at, right.from_at) for left, right in pairwise(self.coverage))


def _merged(stretches: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    merged: list[Stretch] = []
    for stretch in sorted(stretches, key=lambda s: s.from_at):
        if stretch.from_at == stretch.to_at:
            continue
        if merged and stretch.from_at <= merged[-1].to_at:
            merged[-1] = Stretch(from_at=merged[-1].from_at, to_at=max(merged[-1].to_at, stretch.to_at))
        else:
            merged.append(stretch)
    return tuple(merged)
