"""How far a backfill is and how long it will take, for people and for the status page."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, computed_field

from vte_wats.backfill.dry_run_report import Preview, merge_previews
from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Instant
from vte_wats.wording import duration


class Progress(BaseModel):
    """What the Variable ``vte_wats_backfill`` holds: the backfill that is running, or the last one.

    ``dag_run_id`` is the DAG run it started with; it may take several. Runs are those that were there when it was
    planned.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    dag_run_id: str = Field(validation_alias=AliasChoices("dag_run_id", "run_id"))  # its name in 0.1.0
    reference: str = Field("", description="The plan that all DAG runs of this backfill refer to.")
    asked: str = Field(description="What is transferred, in words.")
    dry_run: bool
    force: bool
    runs: int
    parts: int
    part: int = Field(1, description="The part that is running, of 1 to parts; each is a DAG run.")
    settled: dict[int, dict[Outcome, int]] = Field(default_factory=dict, description="Outcomes of each part done.")
    slices: dict[str, int] = Field(default_factory=dict, description="Runs of each finished slice of this part.")
    preview: Preview = Field(default_factory=dict)
    estimate_s: int = Field(description="Seconds the budget of WATS makes it take, as planned.")
    started_at: Instant
    updated_at: Instant
    ended_at: Instant | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def outcomes(self) -> dict[Outcome, int]:
        """What became of the runs of the parts that are done."""
        return {outcome: sum(part.get(outcome, 0) for part in self.settled.values()) for outcome in Outcome}

    @computed_field  # type: ignore[prop-decorator]
    @property
    def transferred(self) -> int:
        """Runs that have an outcome by now."""
        return min(self.runs, sum(self.outcomes.values()) + sum(self.slices.values()))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def remaining_s(self) -> int:
        """Seconds still to go: by the speed so far, as planned while nothing is transferred, none when it has ended."""
        if self.ended_at is not None:
            return 0
        if not self.transferred:
            return self.estimate_s
        so_far_s = (self.updated_at - self.started_at).total_seconds()
        return round(so_far_s / self.transferred * (self.runs - self.transferred))

    def with_part(self, part: int, now_at: datetime) -> Self:
        """Return the progress when a part starts, or starts again."""
        return self.model_copy(update={"part": part, "slices": {}, "updated_at": now_at})

    def with_slice(self, name: str, read: int, now_at: datetime) -> Self:
        """Return the progress after a slice; one that is transferred again counts once."""
        return self.model_copy(update={"slices": self.slices | {name: read}, "updated_at": now_at})

    def with_settled(self, outcomes: Mapping[Outcome, int], found: Preview, now_at: datetime) -> Self:
        """Return the progress after its part is settled; one that is settled again counts once."""
        again = self.part in self.settled
        return self.model_copy(
            update={
                "settled": self.settled | {self.part: dict(outcomes)},
                "slices": {},
                "preview": self.preview if again else merge_previews([self.preview, found]),
                "updated_at": now_at,
                "ended_at": now_at if self.part == self.parts else None,
            }
        )

    def __str__(self) -> str:
        return (
            f"{self.transferred:,} of {self.runs:,} runs ({self.transferred / max(1, self.runs):.0%}), "
            f"part {self.part} of {self.parts}, {duration(timedelta(seconds=self.remaining_s))} to go"
        )
