"""What the tasks of a DAG run leave for each other, besides what they return: one model, one push, one pull.

It is small and plain JSON in XCom: counts, times and ids, never runs. What a task shows to people goes through
here, too.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import date
from typing import Any, Self
from uuid import UUID

from airflow.sdk.bases.xcom import BaseXCom
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vte_wats.backfill.dry_run_report import Preview
from vte_wats.config.settings import Settings
from vte_wats.domain.errors import FatalError
from vte_wats.domain.report import UploadResult
from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Interval
from vte_wats.messages import VW626, VW628
from vte_wats.state.coverage import Receipt, State
from vte_wats.state.history import PlanSnapshot
from vte_wats.state.seen_content import NearPlan
from vte_wats.sync.slices import Slice

log = logging.getLogger(__name__)

KEY = "handover"
_ADDRESS = re.compile(r"https?://[^\s\x00-\x1f\x7f-\x9f\"'<>]+")


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class PlannedGap(_Model):
    """The part of the oldest gap that a sync fills, the same with its guard band, and how many slices that takes."""

    interval: Interval
    window: Interval
    slices: int


class Planned(_Model):
    """What a plan leaves for the settle task.

    ``state`` is the verified state without its coverage and totals, which are read again. ``attempt`` is the try of the
    plan. ``window`` is the time that is done once all slices are; ``None`` when the DAG run covers none. ``gap`` is
    older time that slices behind it are for. ``near`` says which minutes the slices behind those read again; ``None``
    when the sync does not look for changed runs. ``again`` is how many slices at the end are for runs that WATS does
    not show.
    """

    state: State
    settings_hash: str
    attempt: int
    window: Interval | None = None
    snapshot: PlanSnapshot | None = None
    gap: PlannedGap | None = None
    near: NearPlan | None = None
    again: int = 0

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
        near: NearPlan | None = None,
        again: int = 0,
    ) -> Self:
        """Return what the plan of this DAG run leaves."""
        return cls(
            state=state.model_copy(update={"coverage": (), "totals": {}, "settled": (), "failed_gaps": ()}),
            settings_hash=settings.fingerprint,
            attempt=context["ti"].try_number,
            window=window,
            snapshot=snapshot,
            gap=gap,
            near=near,
            again=again,
        )


class Handover(_Model):
    """What one task leaves for the tasks after it, and for later DAG runs."""

    planned: Planned | None = Field(None, description="Pushed by plan.")
    coverage: State | None = Field(None, description="Pushed by reconcile's plan: the coverage as it was then.")
    sample: tuple[UUID, ...] = Field((), description="Pushed by reconcile's plan: the runs to compare value by value.")
    suspects: dict[UUID, str] = Field(
        {},
        description="Pushed by plan_missing: more runs to compare value by value, each with a digest of its row.",
    )
    cycle_day: date | None = Field(None, description="Pushed by reconcile's plan: where the next comparison goes on.")
    days: tuple[tuple[date, date], ...] = Field(
        (), description="Pushed by reconcile's plan: the whole days it compares; of each pair the second is left out."
    )
    grown: dict[date, int] = Field(
        {},
        description="Pushed by reconcile's plan: days with new runs in time never synced, and how many they had.",
    )
    late: dict[int, int] = Field({}, description="Pushed by plan_missing: runs that came too late, by least age in s.")
    preview: Preview | None = Field(None, description="Pushed by the uploads of a dry run.")
    receipt: Receipt | None = Field(None, description="Pushed by settle.")

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
        found = (cls.of(plain) for plain in _pull_each(context, task_id, KEY, range(instances)))
        return [handover for handover in found if handover is not None]

    @classmethod
    def pull_earlier(cls, context: Any, task_id: str, dag_run_id: str | None) -> Sequence[Self]:
        """Return what a task left in the DAG run before, as Airflow orders them, and in a named one."""
        pull, wanted = context["ti"].xcom_pull, {"task_ids": task_id, "key": KEY, "map_indexes": -1}
        pulled = [pull(**wanted, include_prior_dates=True)]
        if dag_run_id is not None:
            pulled.append(pull(**wanted, run_id=dag_run_id))
        return [handover for handover in map(cls.of, pulled) if handover is not None]

    @classmethod
    def of(cls, plain: Any) -> Self | None:
        """Parse what XCom gave; a value of another shape is as good as none, and reported."""
        try:
            return None if plain is None else cls.model_validate(plain)
        except ValidationError as exc:
            report_shape(f"a handover: {'.'.join(map(str, exc.errors()[0]['loc'])) or type(plain).__name__}")
            return None


def push_shown(context: Any, key: str, value: Any) -> None:
    """Leave a value that Airflow shows to people; no task reads it."""
    context["ti"].xcom_push(key=key, value=value)


def pull_returned(context: Any, task_id: str, map_indexes: Sequence[int]) -> list[Any]:
    """Return what each of these mapped instances returned, ``None`` for nothing, in their order."""
    return _pull_each(context, task_id, BaseXCom.XCOM_RETURN_KEY, map_indexes)


def _pull_each(context: Any, task_id: str, key: str, map_indexes: Sequence[int]) -> list[Any]:
    """Return what each of these mapped instances left, ``None`` for nothing, in their order."""
    pulled = context["ti"].xcom_pull(task_ids=task_id, key=key, map_indexes=list(map_indexes)) if map_indexes else []
    if not isinstance(pulled, list) or len(pulled) != len(map_indexes):
        report_shape(f"what the instances of {task_id} pushed: {type(pulled).__name__}")
        return [None] * len(map_indexes)
    return pulled


def pull_address(ti_key: Any, key: str) -> str:
    """Return the address of a page that a task instance left, nothing for a value of another shape."""
    from airflow.sdk.execution_time.xcom import XCom

    pushed = XCom.get_value(ti_key=ti_key, key=key)
    if pushed is None or (isinstance(pushed, str) and _ADDRESS.fullmatch(pushed)):
        return pushed or ""
    report_shape(f"the page of a report: {type(pushed).__name__}")
    return ""


def planned_slices(plain: Any) -> list[Slice]:
    """Return the slices of a plan. Raises FatalError for a value of another shape: nobody knows what was planned."""
    if not isinstance(plain, list):
        raise _lost(plain, "plan")
    return [planned_slice(plain_slice) for plain_slice in plain]


def planned_slice(plain: Any) -> Slice:
    """Return one slice of a plan. Raises FatalError for a value of another shape."""
    try:
        return Slice.from_xcom(plain)
    except (TypeError, KeyError, ValueError) as exc:
        raise _lost(plain, "plan") from exc


class StagedSlice(BaseModel):
    """What ``extract`` and ``map_runs`` hand on of a slice, at the least."""

    model_config = ConfigDict(frozen=True, extra="ignore", strict=True)

    name: str = Field(alias="slice")
    label: str
    read: int

    @classmethod
    def from_xcom(cls, task_id: str, plain: Any) -> Self:
        """Return what a task left. Raises FatalError for a value of another shape."""
        try:
            return cls.model_validate(plain)
        except ValidationError as exc:
            raise _lost(plain, task_id) from exc


def upload_result(plain: Any) -> UploadResult | None:
    """Return what an upload returned; ``None`` for a value of another shape."""
    try:
        return UploadResult.model_validate(plain)
    except ValidationError:
        return None


def settled_outcomes(plain: Any) -> dict[Outcome, int]:
    """Return the outcomes that settle returned. Raises FatalError for a value of another shape."""
    try:
        return {outcome: int(plain[outcome.value]) for outcome in Outcome}
    except (TypeError, KeyError, ValueError) as exc:
        raise _lost(plain, "settle") from exc


def batch_names(plain: Any) -> list[str]:
    """Return the batches that a comparison listed. Raises FatalError for a value of another shape."""
    if not isinstance(plain, list) or not all(isinstance(name, str) for name in plain):
        raise _lost(plain, "plan")
    return plain


def read_batch(plain: Any) -> str:
    """Return the batch that ``read_expected`` names. Raises FatalError for a value of another shape."""
    if not isinstance(plain, dict) or not isinstance(plain.get("batch"), str):
        raise _lost(plain, "read_expected")
    return str(plain["batch"])


def _lost(plain: Any, task_id: str) -> FatalError:
    what = "nothing" if plain is None else f"a value of another shape ({type(plain).__name__})"
    return FatalError(
        VW628, f"{task_id} left {what} in XCom, so its result is lost. Clear {task_id} with the tasks after it"
    )


def report_shape(what: str) -> None:
    """Say that a value in XCom is not what the tasks of this version leave there."""
    log.warning("%s a value in XCom has another shape and counts as none: %s", VW626, what)
