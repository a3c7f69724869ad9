"""The stories that are played: the whole one, and the small one of make test."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tests.converge.events import ALL, only
from tests.converge.simulated_site import DAY, HOUR, Event, Story


def _earlier(by: timedelta, *names: str) -> tuple[Event, ...]:
    return tuple(replace(event, after=event.after - by) for event in only(*names))


TEN_DAYS = Story(days=11, events=ALL, settings={"verify_cycle_days": 2, "repair_altered": True})
THREE_DAYS = Story(
    days=3,
    every=4 * HOUR,
    runs=3,
    events=(
        *_earlier(-2 * HOUR, "an hour without VTE"),
        *_earlier(2 * DAY, "a clock reset"),
        *only("late rows"),
        *only("late steps")[:1],
    ),
)
