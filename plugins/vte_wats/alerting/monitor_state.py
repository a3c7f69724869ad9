"""What the monitor remembers between two checks: the Variable ``vte_wats_alerts``, which the status page reads, too."""

from __future__ import annotations

from datetime import date

from pydantic import BaseModel, ConfigDict, Field

from vte_wats.alerting.conditions import Condition, Kind
from vte_wats.intervals.interval import Instant


class ServerCheck(BaseModel):
    """Whether one of the two servers answered, how quickly, and what it says it is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ok: bool = Field(description="Whether it answered.")
    version: str | None = Field(None, description="What the server says about itself.")
    round_trip_ms: float | None = Field(None, description="One small question and its answer, connecting left out.")
    problem: str | None = Field(None, description="Why there was no answer, in one line.")


class Waiting(BaseModel):
    """What VTE holds that no sync is done with, from ``lastSync`` on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    runs: int = Field(description="How many.")
    newest_local: str | None = Field(None, description="Wall-clock time of the newest of them, ISO 8601.")
    lag_s: float = Field(description="Seconds between lastSync and the check.")


class MonitorState(BaseModel):
    """One JSON object; only the monitor writes it. Times are UTC."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    checked_at: Instant | None = Field(None, description="When the last check ended.")
    vte: ServerCheck | None = Field(None, description="VTE at the last check.")
    wats: ServerCheck | None = Field(None, description="WATS at the last check.")
    waiting: Waiting | None = Field(None, description="What waits in VTE; null when it could not be asked.")
    clock_skew_s: float | None = Field(None, description="SQL Server's clock less Airflow's.")
    free_mb: int | None = Field(None, description="Free megabytes where staging lies; null in a bucket.")
    failed_syncs: int | None = Field(None, description="Intervals of the last hour that failed.")
    covered_until: Instant | None = Field(None, description="The end of coverage, to notice progress.")
    progress_at: Instant | None = Field(None, description="When the end of coverage was seen to move last.")
    channels: tuple[str, ...] = Field((), description="Who is told, in words; empty: nobody, the log alone.")
    conditions: dict[str, Condition] = Field(default_factory=dict, description="What is open or on its way there.")
    summary_day: date | None = Field(None, description="The day that the last summary was about.")
    summary_totals: dict[str, int] = Field(default_factory=dict, description="The totals at the last summary.")

    def with_conditions(self, conditions: dict[str, Condition]) -> MonitorState:
        """Return the memory with these conditions, blank ones and kinds that no longer exist left out."""
        kept = {key: one for key, one in conditions.items() if not one.is_blank and _is_known(key)}
        return self.model_copy(update={"conditions": kept})


def _is_known(key: str) -> bool:
    return key.partition(":")[0] in set(Kind)
