"""Deadlines: which missed one is news, and which belongs to an outage that was told already."""

from __future__ import annotations

from datetime import timedelta

from pydantic import BaseModel, ConfigDict, Field

from vte_wats.alerts.condition import Instant
from vte_wats.coverage import State


class Missed(BaseModel):
    """The first interval of an outage that missed its deadline, and how far the outage reached since."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    run_id: str
    from_at: Instant
    to_at: Instant
    due_at: Instant
    run_state: str = Field(description="What Airflow said of the run when its deadline had passed.")
    until_at: Instant = Field(description="The end of the last interval that missed its deadline in this outage.")
    told_at: Instant | None = Field(None, description="When people were told; null: they are at the next check.")


def is_carried(until_at: Instant, state: State | None, settle_delay_s: int) -> bool:
    """Tell whether a sync that reached as far as this has settled."""
    if state is None or not state.coverage:
        return False
    return bool(state.coverage[-1].to_at >= until_at - timedelta(seconds=settle_delay_s))


def outage_of(missed: Missed, before: Missed | None, state: State | None, settle_delay_s: int) -> Missed:
    """Return the outage that a missed deadline belongs to: the one before, when nothing was settled since."""
    if before is None or is_carried(before.until_at, state, settle_delay_s):
        return missed
    return before.model_copy(update={"until_at": max(before.until_at, missed.until_at)})
