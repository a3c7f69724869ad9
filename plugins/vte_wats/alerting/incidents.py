"""What tasks write down for the monitor's mails: the task that failed last, and the deadline that was missed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from vte_wats.domain.redaction import redact
from vte_wats.intervals.interval import Instant, Interval
from vte_wats.state.coverage import State

_LENGTH = 500


class TaskFailure(BaseModel):
    """One failed try of a task. ``reason`` is one line, cut to a length that fits a mail."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    dag_id: str
    dag_run_id: str = Field(validation_alias=AliasChoices("dag_run_id", "run_id"))  # its name in 0.1.0
    task_id: str
    map_index: int
    try_number: int
    at: Instant
    reason: str


def one_line(reason: str) -> str:
    """Return the first lines of an error's text as one, redacted, then cut."""
    flat = " ".join(redact(reason).split())
    return flat if len(flat) <= _LENGTH else flat[: _LENGTH - 1] + "…"


def replaces(new: TaskFailure, before: TaskFailure | None) -> bool:
    """Return whether a failure says more than the last one: settle only fails after another task of its DAG run."""
    return before is None or before.dag_run_id != new.dag_run_id or new.task_id != "settle"


class MissedDeadline(BaseModel):
    """The first interval of an outage that missed its deadline, and how far the outage reached since."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    dag_run_id: str = Field(validation_alias=AliasChoices("dag_run_id", "run_id"))  # its name in 0.1.0
    interval: Interval = Field(description="The data interval.")
    due_at: Instant
    run_state: str = Field(description="The state of the DAG run when its deadline had passed.")
    until_at: Instant = Field(description="The end of the last interval that missed its deadline in this outage.")
    notified_at: Instant | None = Field(
        None,
        validation_alias=AliasChoices("notified_at", "told_at"),  # its name in 0.1.0
        description="When people were notified; null: at the next check.",
    )

    @model_validator(mode="before")
    @classmethod
    def _read_earlier_edges(cls, given: Any) -> Any:
        """Read the two edges that 0.1.0 wrote in place of the interval."""
        if isinstance(given, dict) and "from_at" in given and "interval" not in given:
            return given | {"interval": {"from": given["from_at"], "to": given.get("to_at")}}
        return given


def is_transferred(missed: MissedDeadline, state: State | None, settle_delay_s: int) -> bool:
    """Return whether all of an interval has been covered, by its own sync or by the guard band of a later one."""
    needed = missed.interval.shifted(-timedelta(seconds=settle_delay_s))
    return state is not None and any(covered.covers(needed) for covered in state.coverage)


def is_over(outage: MissedDeadline, state: State | None, settle_delay_s: int) -> bool:
    """Return whether a sync has settled that reached as far as the last interval of an outage."""
    if state is None or not state.coverage:
        return False
    return bool(state.coverage[-1].to_at >= outage.until_at - timedelta(seconds=settle_delay_s))


def outage_of(
    missed: MissedDeadline, before: MissedDeadline | None, state: State | None, settle_delay_s: int
) -> MissedDeadline:
    """Return the outage that a missed deadline belongs to: the last one, when nothing was settled since."""
    if before is None or is_over(before, state, settle_delay_s):
        return missed
    return before.model_copy(update={"until_at": max(before.until_at, missed.until_at)})
