"""One condition: from what is observed to which mail is due. A pure state machine, one per condition.

A condition opens and closes only after several checks in a row agree. What has happened and what was told are kept
apart: a mail that could not be sent leaves the condition untold, so that it is due at the next check, once.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from vte_wats.intervals.interval import Instant


class Kind(StrEnum):
    """What can be wrong. A held group's condition is ``held:`` and its signature."""

    SETUP = "setup"
    VTE = "vte"
    WATS = "wats"
    NO_PROGRESS = "no_progress"
    LAG = "lag"
    FAILED_SYNCS = "failed_syncs"
    DEAD_LETTERS = "dead_letters"
    DEAD_LETTER_AGE = "letter_age"
    CLOCK_SKEW = "clock_skew"
    DISK = "disk"
    HELD = "held"


class Verdict(StrEnum):
    """What one check says. ``UNKNOWN`` is no answer: it could not be measured, or lies between the two limits."""

    BAD = "bad"
    GOOD = "good"
    UNKNOWN = "unknown"


class NoticeKind(StrEnum):
    """What a mail tells."""

    OPENED = "opened"
    REMINDER = "reminder"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Observation:
    """One check of one condition. ``summary`` is one short line, ``reason`` what was told, ``advice`` what to do."""

    key: str
    verdict: Verdict
    summary: str = ""
    advice: str = ""
    reason: str = ""

    @property
    def kind(self) -> Kind:
        """The condition without the group."""
        return Kind(self.key.partition(":")[0])


class Condition(BaseModel):
    """What is remembered of one condition between two checks.

    An episode lasts from ``opened_at`` until its end was told. ``turned_at`` is the first of the ``streak`` checks in a
    row that contradict what is held for true.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    streak: int = Field(0, description="Checks in a row that contradict what is held for true.")
    turned_at: Instant | None = Field(None, description="The first of them.")
    opened_at: Instant | None = Field(None, description="When the episode began; null: it is closed.")
    closed_at: Instant | None = Field(None, description="When it ended, until that was told.")
    notified_at: Instant | None = Field(None, description="When people heard of it last.")
    summary: str = Field("", description="What is wrong, in one line.")
    advice: str = Field("", description="What to do about it.")
    reason: str = Field("", description="The reason, where one was told.")

    @property
    def is_open(self) -> bool:
        """Whether it is wrong now, as far as enough checks agree."""
        return self.opened_at is not None and self.closed_at is None

    @property
    def is_blank(self) -> bool:
        """Whether there is nothing to remember."""
        return self.opened_at is None and not self.streak

    def observed(self, observation: Observation, now_at: datetime, confirm_checks: int) -> Self:
        """Return the condition after one more check.

        What opens again before its end was told is the same episode, so that nothing is told twice.
        """
        if observation.verdict is Verdict.UNKNOWN:
            return self
        is_bad = observation.verdict is Verdict.BAD
        words = {name: getattr(observation, name) for name in ("summary", "advice", "reason")} if is_bad else {}
        if is_bad is self.is_open:
            return self.model_copy(update={"streak": 0, "turned_at": None} | words)
        streak, turned_at = self.streak + 1, self.turned_at or now_at
        if streak < confirm_checks:
            return self.model_copy(update={"streak": streak, "turned_at": turned_at})
        edges = {"opened_at": self.opened_at or turned_at, "closed_at": None} if is_bad else {"closed_at": turned_at}
        return self.model_copy(update={"streak": 0, "turned_at": None} | edges | words)

    def due(self, now_at: datetime, reminder_s: float) -> NoticeKind | None:
        """Return what has to be told now."""
        if self.opened_at is None:
            return None
        if self.notified_at is None:
            return NoticeKind.OPENED
        if self.closed_at is not None:
            return NoticeKind.CLOSED
        return NoticeKind.REMINDER if now_at - self.notified_at >= timedelta(seconds=reminder_s) else None

    def notified(self, kind: NoticeKind, now_at: datetime) -> Self:
        """Return the condition after that was told; the end of an episode is forgotten then."""
        if kind is NoticeKind.CLOSED:
            return type(self)(streak=self.streak, turned_at=self.turned_at)
        return self.model_copy(update={"notified_at": now_at})
