"""Which real time is completely done, and the totals: the one thing a sync remembers.

The watermark is never stored on its own: it is the end of the stretch of coverage that begins where the sync began, so
no success can move it past a hole that a failure left, and no backfill of older history can move it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC
from enum import StrEnum
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, computed_field

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


class State(BaseModel):
    """What the Variable ``vte_wats_state`` holds: coverage, totals, and ``lastSync`` for people to read."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    since_at: Instant = Field(alias="since", description="Where the sync began: the watermark counts from here.")
    coverage: tuple[Stretch, ...] = ()
    totals: dict[Outcome, int] = Field(default_factory=dict)
    settings_hash: str | None = Field(None, description="The settings of the last sync; others give held runs a try.")
    syncs: int = Field(0, ge=0, description="Syncs whose accounts balanced.")

    @computed_field(alias="lastSync")  # type: ignore[prop-decorator]
    @property
    def last_sync(self) -> Instant:
        """The watermark: everything from ``since_at`` up to here is done."""
        ends = (s.to_at for s in self.coverage if s.from_at <= self.since_at < s.to_at)
        return next(ends, self.since_at)

    def extended(self, window: Window | None, outcomes: Mapping[Outcome, int], settings_hash: str) -> State:
        """Return the state after a window was carried completely; ``None`` adds to the totals alone."""
        done = () if window is None else (Stretch(from_at=window.from_at, to_at=window.to_at),)
        return State(
            since_at=self.since_at,
            coverage=_merged((*self.coverage, *done)),
            totals={o: self.totals.get(o, 0) + outcomes.get(o, 0) for o in Outcome},
            settings_hash=settings_hash,
            syncs=self.syncs + 1,
        )

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
