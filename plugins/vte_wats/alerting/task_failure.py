"""The reason of the task that failed last, so that a mail can say why."""

from __future__ import annotations

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from vte_wats.domain.redaction import redact
from vte_wats.intervals.interval import Instant

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
