"""What the monitor keeps between two checks: the Variable ``vte_wats_alerts``, which the status page reads, too.

Each condition is a pure state machine: it opens and closes only after several checks in a row agree. Whether something
is wrong and whether people were notified are kept apart: after a mail that could not be sent, people still count as not
notified, and the mail is due again at the next check.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    field_validator,
)

from vte_wats.config.alert_settings import AlertSettings
from vte_wats.intervals.interval import Instant

_MARK_KEPT = timedelta(minutes=30)
_NOTICEABLE_S = 600  # within that time; what is left rises and falls by an interval all the time


class Kind(StrEnum):
    """What can be wrong. A held group's condition is ``held:`` and its signature."""

    SETUP = "setup"
    CHECK = "check"
    VTE = "vte"
    WATS = "wats"
    NO_DAG_RUNS = "no_dag_runs"
    POOLS = "pools"
    NO_PROGRESS = "no_progress"
    LAG = "lag"
    FAILED_SYNCS = "failed_syncs"
    DEAD_LETTERS = "dead_letters"
    DEAD_LETTER_AGE = "dead_letter_age"
    CLOCK_SKEW = "clock_skew"
    COMPARISON = "comparison"
    ALTERED = "altered"
    ODD_TIMESTAMPS = "odd_timestamps"
    DISK = "disk"
    HELD = "held"


class CheckResult(StrEnum):
    """The result of one check. ``UNKNOWN``: it could not be measured, or lies between the two limits."""

    BAD = "bad"
    GOOD = "good"
    UNKNOWN = "unknown"


class NoticeKind(StrEnum):
    """Why a mail is sent."""

    OPENED = "opened"
    REMINDER = "reminder"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Observation:
    """One check of one condition.

    ``summary`` is one short line of numbers and names of ours; ``reason`` is the error's text or what runs have in
    common, which not everybody may see; ``advice`` is what to do.
    """

    key: str
    verdict: CheckResult
    summary: str = ""
    advice: str = ""
    reason: str = ""

    @property
    def kind(self) -> Kind:
        """The condition without the group."""
        return Kind(self.key.partition(":")[0])


class Condition(BaseModel):
    """What is kept of one condition between two checks.

    An episode lasts from ``opened_at`` until people were notified of its end. ``turned_at`` is the first of the
    ``streak`` checks in a row that contradict the present state.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    streak: int = Field(0, description="Checks in a row that contradict the present state.")
    turned_at: Instant | None = Field(None, description="The first of them.")
    opened_at: Instant | None = Field(None, description="When the episode started; null: it is closed.")
    closed_at: Instant | None = Field(None, description="When it ended, until people were notified of that.")
    notified_at: Instant | None = Field(
        None,
        validation_alias=AliasChoices("notified_at", "told_at"),  # its name in 0.1.0
        description="When people were last notified.",
    )
    summary: str = Field("", description="What is wrong, in one line.")
    advice: str = Field("", description="What to do about it.")
    reason: str = Field("", description="The reason, where one is known.")

    @property
    def is_open(self) -> bool:
        """Whether it is wrong now, as far as enough checks agree."""
        return self.opened_at is not None and self.closed_at is None

    @property
    def line(self) -> str:
        """What is wrong, with the reason where one is known."""
        return f"{self.summary}: {self.reason}" if self.reason else self.summary

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to keep."""
        return self.opened_at is None and not self.streak

    def observed(self, observation: Observation, now_at: datetime, confirm_checks: int) -> Self:
        """Return the condition after one more check.

        What opens again before people were notified of its end is the same episode: nothing is sent twice.
        """
        if observation.verdict is CheckResult.UNKNOWN:
            return self
        is_bad = observation.verdict is CheckResult.BAD
        texts = {name: getattr(observation, name) for name in ("summary", "advice", "reason")} if is_bad else {}
        if is_bad is self.is_open:
            return self.model_copy(update={"streak": 0, "turned_at": None} | texts)
        streak, turned_at = self.streak + 1, self.turned_at or now_at
        if streak < confirm_checks:
            return self.model_copy(update={"streak": streak, "turned_at": turned_at})
        edges = {"opened_at": self.opened_at or turned_at, "closed_at": None} if is_bad else {"closed_at": turned_at}
        return self.model_copy(update={"streak": 0, "turned_at": None} | edges | texts)

    def due(self, now_at: datetime, reminder_s: float) -> NoticeKind | None:
        """Return which mail is due now."""
        if self.opened_at is None:
            return None
        if self.notified_at is None:
            return NoticeKind.OPENED
        if self.closed_at is not None:
            return NoticeKind.CLOSED
        return NoticeKind.REMINDER if now_at - self.notified_at >= timedelta(seconds=reminder_s) else None

    def notified(self, kind: NoticeKind, now_at: datetime) -> Self:
        """Return the condition after people were notified; an episode that ended is then forgotten."""
        if kind is NoticeKind.CLOSED:
            return type(self)(streak=self.streak, turned_at=self.turned_at)
        return self.model_copy(update={"notified_at": now_at})


class ServerCheck(BaseModel):
    """Whether one of the two servers answered, how quickly, and what it says it is."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    ok: bool = Field(description="Whether it answered.")
    version: str | None = Field(None, description="What the server says about itself.")
    round_trip_ms: float | None = Field(None, description="One small question and its answer, connecting left out.")
    code: str | None = Field(None, description="The code of the message that says why there was no answer.")
    problem: str | None = Field(None, description="Why there was no answer, in one line.")


class Waiting(BaseModel):
    """What VTE holds that no sync is done with, from ``lastSync`` on."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    runs: int = Field(description="How many.")
    newest_local: str | None = Field(None, description="Wall-clock time of the newest of them, ISO 8601.")
    lag_s: float = Field(description="Seconds between lastSync and the check, the settle delay left out.")
    left_s: float = Field(0, description="Seconds of that time which no sync has covered.")


class CatchUp(BaseModel):
    """Whether the time that is left shrinks, compared with a mark that lies a while back."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    left_s: float = Field(description="What was left at the mark.")
    at: Instant = Field(description="When that was.")
    is_shrinking: bool = Field(description="Whether that had shrunk since the mark before.")

    @classmethod
    def after(cls, before: CatchUp | None, left_s: float, at: datetime) -> CatchUp:
        """Return the comparison after one more check. What nobody looked at before may well be shrinking."""
        if before is None or left_s <= before.left_s - _NOTICEABLE_S:
            return cls(left_s=left_s, at=at, is_shrinking=True)
        return before if at - before.at < _MARK_KEPT else cls(left_s=left_s, at=at, is_shrinking=False)


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
    catch_up: CatchUp | None = Field(None, description="Whether what is left shrinks; null: it was not measured.")
    progress_at: Instant | None = Field(None, description="When the end of coverage was last seen to move.")
    comparison_limit_h: int = Field(36, description="The setting of that name at the last check.")
    looks_for_changes: bool = Field(
        default=True, description="Whether near_check_h was not 0 when the settings were read last."
    )
    channels: tuple[str, ...] = Field((), description="Who is notified, without addresses; empty: only the log.")
    alerts: AlertSettings | None = Field(
        None, description="The settings for alerts when they could be read last; they count while they cannot be read."
    )
    zone: str = Field("UTC", description="The source_timezone that their clock times are of.")
    conditions: dict[str, Condition] = Field(default_factory=dict, description="What is open or on its way there.")
    summary_day: date | None = Field(None, description="The day that the last summary was about.")
    summary_totals: dict[str, int] = Field(default_factory=dict, description="The totals at the last summary.")

    @field_validator("alerts", mode="wrap")
    @classmethod
    def _of_this_version(cls, given: Any, parse: ValidatorFunctionWrapHandler) -> Any:
        """Take the settings of a version with other rules for none: the rest of the state counts."""
        try:
            return parse(given)
        except ValidationError:
            return None

    def with_conditions(self, conditions: dict[str, Condition]) -> MonitorState:
        """Return the state with these conditions, without blank ones and without kinds that no longer exist."""
        kept = {key: condition for key, condition in conditions.items() if not condition.is_blank and _is_known(key)}
        return self.model_copy(update={"conditions": kept})

    def open_conditions(self) -> list[tuple[str, Condition]]:
        """Return what is wrong now by its key, the oldest first."""
        found = [
            (condition.opened_at, key, condition)
            for key, condition in self.conditions.items()
            if condition.opened_at is not None and condition.is_open
        ]
        return [(key, condition) for _, key, condition in sorted(found, key=lambda entry: entry[0])]


def _is_known(key: str) -> bool:
    return key.partition(":")[0] in set(Kind)
