"""What is proven, per day: how many runs VTE has, and for how many of them a query found the equal report in WATS.

The Variable ``vte_wats_proof`` holds it. The daily comparison writes it; the page, the monitor and the mails read it,
so that none of them asks VTE or WATS. Days are those of the Timestamps, by the wall clock of the stations.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from vte_wats.intervals.interval import Instant


class _Lean(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class Cause(StrEnum):
    """Why a report in WATS differed from its run."""

    VTE_CHANGED = "vte_changed"
    WATS_CHANGED = "wats_changed"
    MAPPING_CHANGED = "mapping_changed"


class OpenRun(_Lean):
    """A run that is neither proven nor a dead letter, and why; the page lists some of each day."""

    index_guid: str
    reason: str


class DayProof(_Lean):
    """The four numbers of one day, as of ``verified_at``: runs in VTE = proven + dead letters + held + open.

    ``gone`` counts reports in WATS whose run VTE no longer has; they are outside of the sum. ``open_runs`` are
    examples.
    """

    in_vte: int
    proven: int = 0
    dead: int = 0
    held: int = 0
    gone: int = 0
    verified_at: Instant
    open_runs: tuple[OpenRun, ...] = ()

    @property
    def open(self) -> int:
        """Runs whose report was not found with equal content, and that are no dead letter."""
        return max(self.in_vte - self.proven - self.dead - self.held, 0)


class OddKind(StrEnum):
    """Why a run lies outside of every window of the sync."""

    NO_TIMESTAMP = "no_timestamp"
    BEFORE_START = "before_start"
    FUTURE = "future"
    OUT_OF_RANGE = "out_of_range"


class OddTimestamps(_Lean):
    """Runs of one kind as the last comparison counted them: all, those in WATS or dead letters, and examples."""

    kind: OddKind
    runs: int
    settled: int = 0
    examples: tuple[str, ...] = ()

    @property
    def open(self) -> int:
        """Runs of the kind that are neither in WATS nor a dead letter."""
        return max(self.runs - self.settled, 0)


class Proof(_Lean):
    """What all comparisons so far have proven."""

    days: dict[date, DayProof] = {}
    differences: dict[date, dict[Cause, int]] = Field({}, description="By the day of the comparison that found them.")
    odd: tuple[OddTimestamps, ...] = ()
    gone: tuple[str, ...] = Field((), description="Examples of runs that VTE no longer has.")
    compared_at: Instant | None = Field(None, description="When the last comparison ended well.")
    cycle_day: date | None = Field(None, description="The day the rotating part of the history goes on from.")

    def proven_through(self, since: date) -> date | None:
        """Return the last day up to which, from ``since`` on, each day was compared and nothing is open."""
        day, last = since, None
        while (found := self.days.get(day)) is not None and not found.open:
            last, day = day, day + timedelta(days=1)
        return last
