"""What the tasks of a DAG run leave for each other, besides what they return: one model, one push, one pull.

It is small and plain JSON in XCom: counts, times and ids, never runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vte_wats.backfill.dry_run_report import Preview
from vte_wats.backfill.request import Part
from vte_wats.config.settings import Settings
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.history import PlanSnapshot

KEY = "handover"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class BackfillCourse(_Model):
    """Every part of a backfill, and the number of the part that this DAG run processes, from 1."""

    parts: tuple[Part, ...]
    number: int


class PlannedGap(_Model):
    """The part of the oldest gap that a sync fills, the same with its guard band, and how many slices that takes."""

    part: Interval
    window: Interval
    slices: int


class Planned(_Model):
    """What a plan leaves for the settle task.

    ``state`` is the verified state without its coverage and totals, which are read again. ``attempt`` is the try of the
    plan. ``window`` is the time that is done once all slices are; ``None`` when the DAG run covers none. ``gap`` is
    the older time that the last slices are for.
    """

    state: State
    settings_hash: str
    attempt: int
    window: Interval | None = None
    snapshot: PlanSnapshot | None = None
    gap: PlannedGap | None = None

    @classmethod
    def by(
        cls,
        context: Any,
        state: State,
        settings: Settings,
        window: Interval | None = None,
        *,
        snapshot: PlanSnapshot | None = None,
        gap: PlannedGap | None = None,
    ) -> Self:
        """Return what the plan of this DAG run leaves."""
        return cls(
            state=state.model_copy(update={"coverage": (), "totals": {}, "settled": (), "failed_gaps": ()}),
            settings_hash=settings.fingerprint,
            attempt=context["ti"].try_number,
            window=window,
            snapshot=snapshot,
            gap=gap,
        )


class Handover(_Model):
    """What one task leaves for the tasks after it, and for later DAG runs."""

    planned: Planned | None = Field(None, description="Left by plan.")
    coverage: State | None = Field(None, description="Left by reconcile's plan: the coverage as it was then.")
    sample: tuple[UUID, ...] = Field((), description="Left by reconcile's plan: the runs to compare value by value.")
    course: BackfillCourse | None = Field(None, description="Left by backfill's plan.")
    late: dict[int, int] = Field({}, description="Left by plan_missing: runs that came too late, by least age in s.")
    preview: Preview | None = Field(None, description="Left by the uploads of a dry run.")
    receipt: Mapping[str, Any] | None = Field(None, description="Left by settle: what State.receipt gave.")

    def push(self, context: Any) -> None:
        """Leave it under the task that is running; a later try of the task replaces it."""
        plain = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        context["ti"].xcom_push(key=KEY, value=plain)

    @classmethod
    def pull(cls, context: Any, task_id: str) -> Self | None:
        """Return what a task of this DAG run left, ``None`` when it left nothing."""
        return cls.of(context["ti"].xcom_pull(task_ids=task_id, key=KEY))

    @classmethod
    def pull_mapped(cls, context: Any, task_id: str, instances: int) -> Sequence[Self]:
        """Return what the mapped instances of a task left, as far as they left something."""
        left = context["ti"].xcom_pull(task_ids=task_id, key=KEY, map_indexes=list(range(instances)))
        found = (cls.of(plain) for plain in left or ())
        return [handover for handover in found if handover is not None]

    @classmethod
    def of(cls, plain: Any) -> Self | None:
        """Parse what XCom gave; a value of another shape is as good as none."""
        try:
            return None if plain is None else cls.model_validate(plain)
        except ValidationError:
            return None
