"""What the syncs saw of the runs of the near past when they transferred them, per minute of wall-clock time.

The Variable ``vte_wats_seen`` holds it; only settle writes it. A minute whose fingerprint is another one today holds a
run that changed since. Without the Variable, each minute is read once more.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta

from pydantic import BaseModel, ConfigDict, Field

from vte_wats.intervals.interval import Instant

_FORMAT = "%Y-%m-%dT%H:%M"
_MOST_FAILED = 100


def minute_key(minute_local: datetime) -> str:
    """Return how a minute is named; names sort as the minutes do."""
    return minute_local.strftime(_FORMAT)


class NearCheckStats(BaseModel):
    """How one near check went: what it cost and how far it came."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ended_at: Instant
    took_s: float = Field(description="Seconds that the statement took.")
    base_s: float = Field(description="Seconds that a statement takes which asks for as little as any.")
    asked_min: int = Field(description="Minutes that it was asked for.")
    resume_at: Instant | None = Field(None, description="Where the next check goes on, backwards; None: at the end.")


class NearPlan(BaseModel):
    """What the plan of one sync found out about the near past, for its settle task.

    ``look`` is ``None`` when no statement was sent. ``live`` are the minutes wholly inside the live window, ``gap``
    others that the slices of a gap read, ``slices`` those that each near slice reads again, ``gone`` those whose runs
    were all deleted, ``as_before`` those that failed and need no reading any more. ``waits``: not all was found out, or
    there is more than this sync reads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    look: NearCheckStats | None = None
    live: dict[str, str] = Field(default_factory=dict)
    gap: dict[str, str] = Field(default_factory=dict)
    slices: tuple[dict[str, str], ...] = ()
    gone: tuple[str, ...] = ()
    as_before: tuple[str, ...] = ()
    waits: bool = False


class SeenContent(BaseModel):
    """The fingerprints by minute, and how the near check keeps up.

    ``looked_at`` is when the last check ended. ``behind_since`` is since when a changed minute waits, fails, or the
    check is skipped; ``None`` when every change was transferred at the last check.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    minutes: dict[str, str] = Field(default_factory=dict)
    failed: tuple[str, ...] = Field((), description="Minutes whose slice failed: read last, each on its own.")
    looked_at: Instant | None = None
    behind_since: Instant | None = None
    took_s: float = 0
    base_s: float = 0
    asked_min: int = 0
    resume_at: Instant | None = None

    def after(
        self,
        near: NearPlan,
        *,
        is_live_settled: bool,
        is_gap_settled: bool,
        settled: Collection[int],
        kept_h: int,
        now_at: datetime,
    ) -> SeenContent:
        """Return this after a sync whose near slices ``settled``, by their positions in ``near.slices``.

        Minutes older than ``kept_h`` before the newest are dropped.
        """
        done = (near.live if is_live_settled else {}) | (near.gap if is_gap_settled else {})
        failed = set(self.failed) - {*near.gone, *near.as_before, *done}
        for position, minutes in enumerate(near.slices):
            if position in settled:
                done |= minutes
                failed -= minutes.keys()
            else:
                failed |= minutes.keys()
        minutes = {key: value for key, value in (self.minutes | done).items() if key not in near.gone}
        oldest = _oldest(minutes, kept_h)
        failed = {key for key in failed if key >= oldest}
        is_behind = near.waits or bool(failed)
        return self.model_copy(
            update={
                "minutes": {key: value for key, value in sorted(minutes.items()) if key >= oldest},
                "failed": tuple(sorted(failed)[-_MOST_FAILED:]),
                "behind_since": (self.behind_since or now_at) if is_behind else None,
            }
            | (_of_look(near.look) if near.look is not None else {})
        )


def _of_look(look: NearCheckStats) -> dict[str, object]:
    return {
        "looked_at": look.ended_at,
        "took_s": look.took_s,
        "base_s": look.base_s,
        "asked_min": look.asked_min,
        "resume_at": look.resume_at,
    }


def _oldest(minutes: Collection[str], kept_h: int) -> str:
    """Return the first minute to be kept; a station's clock changes twice a year, so two hours more."""
    if not minutes:
        return ""
    newest = datetime.strptime(max(minutes), _FORMAT)  # noqa: DTZ007 -- wall-clock time is naive by nature
    return minute_key(newest - timedelta(hours=kept_h + 2))
