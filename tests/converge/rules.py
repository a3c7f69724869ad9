"""The rules that the plant needs: each can be switched off for one story, which must then end with something wrong.

A switch changes the product in this process, from outside; the product has none of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

import vte_wats.orchestration.sync_tasks
import vte_wats.orchestration.verified_state
import vte_wats.reconcile.compare
import vte_wats.reconcile.expected
import vte_wats.reconcile.keys
import vte_wats.reconcile.missing_runs
import vte_wats.sync.upload
from tests.converge.events import only
from tests.converge.simulated_site import DAY, HOUR, Event, Story
from vte_wats.state.coverage import State
from vte_wats.state.proof import Proof
from vte_wats.state.seen_content import NearPlan

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Rule:
    """What heals, how it is switched off, the smallest story that needs it, and words of what is then wrong."""

    name: str
    switch: Callable[[Patch], None]
    story: Story
    wrong: str


def _no_gap_is_filled(patch: Patch) -> None:
    patch.setattr(State, "gap_to_fill", lambda *_: None)


def _no_near_check(patch: Patch) -> None:
    patch.setattr(vte_wats.orchestration.sync_tasks, "_planned_near", lambda *_, **__: (NearPlan(waits=True), ()))


def _judged_otherwise(patch: Patch, *, instead_of: str) -> None:
    """Let the comparison call proven what it would transfer."""
    judged = vte_wats.reconcile.missing_runs._judged

    def lenient(*known: Any) -> str:
        found = judged(*known)
        return "proven" if found == instead_of else found

    patch.setattr(vte_wats.reconcile.missing_runs, "_judged", lenient)


def _no_missing_run_is_found(patch: Patch) -> None:
    _judged_otherwise(patch, instead_of="missing")


def _no_content_is_compared(patch: Patch) -> None:
    _judged_otherwise(patch, instead_of="other_content")


def _no_rotation(patch: Patch) -> None:
    patch.setattr(Proof, "rotating_part", lambda *_: None)


def _no_changed_dead_letter(patch: Patch) -> None:
    patch.setattr(vte_wats.reconcile.expected, "_is_changed", lambda *_: False)


def _nothing_outside_the_windows(patch: Patch) -> None:
    patch.setattr(vte_wats.reconcile.keys.OutsideWindows, "ranges", ())


def _nothing_is_given_up(patch: Patch) -> None:
    patch.setattr(vte_wats.sync.upload, "_shown_or_worth_a_try", lambda reports, *_: iter(reports))


def _no_post_is_counted(patch: Patch) -> None:
    patch.setattr(vte_wats.reconcile.missing_runs, "note_missing", lambda *_: None)


def _nothing_altered_is_repaired(patch: Patch) -> None:
    patch.setattr(vte_wats.reconcile.compare, "repair", lambda _, __, found: found)


def _no_open_day_is_compared(patch: Patch) -> None:
    patch.setattr(Proof, "open_days", lambda *_: [])


def _an_older_state_stops(patch: Patch) -> None:
    restart = vte_wats.orchestration.verified_state.restarted_if_older

    def refuse(site: Any, state: State, settled: Any) -> State:
        assert restart(site, state, settled) is state, "the state is older"
        return state

    patch.setattr(vte_wats.orchestration.verified_state, "restarted_if_older", refuse)


def _story(days: int, *names: str, earlier: timedelta = timedelta(0), compared_days: int = 7, **more: Any) -> Story:
    """Return a story of few syncs with the events of these names, so much earlier than in the long one."""
    events = tuple(replace(event, after=event.after - earlier) for event in only(*names))
    return Story(days=days, events=events, every=4 * HOUR, runs=2, compared_days=compared_days, **more)


def _first(story: Story) -> Story:
    """Return a story without a second event of the same play."""
    events: list[Event] = []
    for event in story.events:
        if not any(known.play is event.play for known in events):
            events.append(event)
    return replace(story, events=tuple(events))


RULES = (
    Rule("a gap is filled", _no_gap_is_filled, _story(3, "a day without WATS", earlier=DAY), "coverage has gaps"),
    Rule(
        "the near check reads again what changed",
        _no_near_check,
        _first(_story(2, "late rows", "late steps", "a changed result")),
        "not in time: late steps",
    ),
    Rule(
        "the comparison transfers what is missing",
        _no_missing_run_is_found,
        _story(4, "late rows, two days", earlier=DAY),
        "not in time: a run committed two days late",
    ),
    Rule(
        "the comparison compares content",
        _no_content_is_compared,
        _story(4, "changes two days later", earlier=DAY),
        "not in time: steps two days late",
    ),
    Rule(
        "the whole history is compared in turn",
        _no_rotation,
        _story(
            3, "a changed run of the first day", earlier=6 * DAY, compared_days=1, settings={"verify_cycle_days": 1}
        ),
        "not in time: Result of an old run changed",
    ),
    Rule(
        "a dead letter whose run changed is tried again",
        _no_changed_dead_letter,
        _story(4, "a run without a serial", earlier=DAY),
        "not in time: a dead letter whose run was corrected",
    ),
    Rule(
        "runs outside every window are compared",
        _nothing_outside_the_windows,
        _story(2, "a clock reset", earlier=2 * DAY),
        "not in time: a run of the year 2000",
    ),
    Rule(
        "a report that never shows becomes a dead letter",
        _nothing_is_given_up,
        _story(2, "quarantine for ever", earlier=3 * DAY),
        "not in time: a report in quarantine for ever",
    ),
    Rule(
        "a report that WATS drops becomes a dead letter",
        _no_post_is_counted,
        _story(6, "a report that WATS drops"),
        "refused by WATS, and no dead letter",
    ),
    Rule(
        "an altered report is posted again",
        _nothing_altered_is_repaired,
        _story(2, "an altered report", earlier=7 * DAY, sample=1_000, settings={"repair_altered": True}),
        "not in time: a report that was altered in WATS",
    ),
    Rule(
        "a day that is open is compared again",
        _no_open_day_is_compared,
        _story(
            4, "a changed run of the first day", earlier=5.5 * DAY, compared_days=1, settings={"verify_cycle_days": 2}
        ),
        "the calendar says of",
    ),
    Rule("an older state goes on", _an_older_state_stops, _story(3, "an older state", earlier=6 * DAY), "lost"),
)
