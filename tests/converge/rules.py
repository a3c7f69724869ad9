"""The rules that the plant needs: each can be switched off for one story, which must then end with something wrong.

A switch changes the product in this process, from outside; the product has none of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

import vte_wats.orchestration.sync_tasks
import vte_wats.orchestration.verified_state
import vte_wats.reconcile.compare
import vte_wats.reconcile.gone_runs
import vte_wats.reconcile.keys
import vte_wats.reconcile.missing_runs
import vte_wats.sync.confirmed_check
import vte_wats.sync.upload
from tests.converge.events import only
from tests.converge.simulated_site import DAY, HOUR, Event, Story
from vte_wats.state.coverage import State
from vte_wats.state.proof import Proof
from vte_wats.state.seen_content import NearPlan
from vte_wats.state.state_guard import restarted_if_older

Patch = pytest.MonkeyPatch


@dataclass(frozen=True)
class Rule:
    """What heals, how it is switched off, which story needs it, and words of what is then wrong."""

    name: str
    switch: Callable[[Patch], None]
    story: str
    wrong: str


def _no_gap_is_filled(patch: Patch) -> None:
    patch.setattr(State, "gap_to_fill", lambda *_: None)


def _no_near_check(patch: Patch) -> None:
    patch.setattr(vte_wats.orchestration.sync_tasks, "_planned_near", lambda *_, **__: (NearPlan(waits=True), ()))


def _judged_otherwise(patch: Patch, *, instead_of: str) -> None:
    """Let the comparison call proven what it would transfer."""
    judged = vte_wats.reconcile.missing_runs._judged

    def lenient(*known: Any, lists_hashes: bool) -> str:
        found = judged(*known, lists_hashes=lists_hashes)
        return "proven" if found == instead_of else found

    patch.setattr(vte_wats.reconcile.missing_runs, "_judged", lenient)


def _no_missing_run_is_found(patch: Patch) -> None:
    _judged_otherwise(patch, instead_of="missing")


def _no_content_is_compared(patch: Patch) -> None:
    _judged_otherwise(patch, instead_of="other_content")


def _no_rotation(patch: Patch) -> None:
    patch.setattr(Proof, "rotating_part", lambda *_: None)


def _no_changed_dead_letter(patch: Patch) -> None:
    patch.setattr(vte_wats.reconcile.compare, "_is_changed", lambda *_: False)


def _nothing_outside_the_windows(patch: Patch) -> None:
    patch.setattr(vte_wats.reconcile.keys.OutsideWindows, "ranges", ())


def _no_history_is_counted(patch: Patch) -> None:
    patch.setattr(vte_wats.reconcile.keys, "count_history", lambda *_: {})


def _nothing_is_given_up(patch: Patch) -> None:
    patch.setattr(vte_wats.sync.upload, "_shown_or_worth_a_try", lambda reports, *_: iter(reports))


def _nothing_confirmed_is_asked_for(patch: Patch) -> None:
    patch.setattr(vte_wats.sync.confirmed_check, "check_confirmed", lambda *_: None)


def _no_gone_run_is_found(patch: Patch) -> None:
    patch.setattr(vte_wats.reconcile.gone_runs, "find_gone", lambda *_: {})


def _no_post_is_counted(patch: Patch) -> None:
    patch.setattr(vte_wats.reconcile.missing_runs, "note_missing", lambda *_: None)


def _nothing_altered_is_repaired(patch: Patch) -> None:
    patch.setattr(vte_wats.reconcile.compare, "repair", lambda _, __, found: found)


def _no_open_day_is_compared(patch: Patch) -> None:
    patch.setattr(Proof, "open_days", lambda *_: [])


def _an_older_state_stops(patch: Patch) -> None:
    def refuse(site: Any, state: State, settled: Any) -> State:
        assert restarted_if_older(site, state, settled) is state, "the state is older"
        return state

    patch.setattr(vte_wats.orchestration.verified_state, "restarted_if_older", refuse)


def _nothing_listed_is_compared(patch: Patch) -> None:
    patch.setattr(vte_wats.reconcile.missing_runs, "_listed_otherwise", lambda *_: ({}, False))


def _story(*events: Event, days: int, every: timedelta = 6 * HOUR, compared_days: int = 7, **settings: Any) -> Story:
    """Return a story of few syncs and few runs; no comparison draws a sample."""
    return Story(
        days=days, events=events, every=every, runs=2, compared_days=compared_days, sample=0, settings=settings
    )


def _earlier(by: timedelta, *names: str) -> Iterator[Event]:
    """Yield the events of these names, so much earlier than in the long story, without a second one of the same play."""
    plays = set()
    for event in only(*names):
        if event.play not in plays:
            plays.add(event.play)
            yield replace(event, after=event.after - by)


STORIES = {
    "two days": _story(
        *_earlier(timedelta(0), "late rows", "late steps", "a changed result"),
        *_earlier(2 * DAY, "a clock reset", "a run dated before the start"),
        *_earlier(3 * DAY, "quarantine for ever"),
        *_earlier(8 * DAY, "an altered report"),
        days=2,
        every=4 * HOUR,
        repair_altered=True,
    ),
    "an outage": _story(*_earlier(DAY, "a day without WATS"), days=3),
    "an older state": _story(*_earlier(6 * DAY, "an older state"), days=3),
    "days later": _story(
        *_earlier(DAY, "a run without a serial", "late rows, two days", "changes two days later", "deleted rows"),
        days=4,
    ),
    "history": _story(
        *_earlier(6 * DAY, "a changed run of the first day", "late rows, nine days"),
        days=5,
        compared_days=1,
        verify_cycle_days=1,
    ),
    "an open day": _story(
        # Of the second day, so that the part of the history that is next goes past it.
        *_earlier(5 * DAY, "a changed run of the first day"),
        days=5,
        compared_days=1,
        verify_cycle_days=30,
    ),
    "a drop a day": _story(*_earlier(timedelta(0), "a report that WATS drops"), days=6),
}

RULES = (
    Rule("a gap is filled", _no_gap_is_filled, "an outage", "coverage has gaps"),
    Rule("the near check reads again what changed", _no_near_check, "two days", "not in time: late steps"),
    Rule(
        "the comparison transfers what is missing",
        _no_missing_run_is_found,
        "days later",
        "not in time: a run committed two days late",
    ),
    Rule("the comparison compares content", _no_content_is_compared, "days later", "not in time: steps two days late"),
    Rule("the whole history is compared in turn", _no_rotation, "history", "not in time: Result of an old run changed"),
    Rule(
        "what comes into the history late is found in turn",
        _no_rotation,
        "history",
        "not in time: a run committed days after the last comparison of its day",
    ),
    Rule(
        "a dead letter whose run changed is tried again",
        _no_changed_dead_letter,
        "days later",
        "not in time: a dead letter whose run was corrected",
    ),
    Rule(
        "runs outside every window are compared",
        _nothing_outside_the_windows,
        "two days",
        "not in time: a run of the year 2000",
    ),
    Rule(
        "new runs in time that was never synced are compared",
        _no_history_is_counted,
        "two days",
        "not in time: a run dated before the start",
    ),
    Rule(
        "a report that never shows becomes a dead letter",
        _nothing_is_given_up,
        "two days",
        "not in time: a report in quarantine for ever",
    ),
    Rule(
        "what WATS confirmed and does not show is posted again",
        _nothing_confirmed_is_asked_for,
        "two days",
        "not in time: a report in quarantine for ever",
    ),
    Rule("runs that VTE no longer has are named", _no_gone_run_is_found, "days later", "gone from VTE on"),
    Rule(
        "a report that WATS drops becomes a dead letter",
        _no_post_is_counted,
        "a drop a day",
        "refused by WATS, and no dead letter",
    ),
    Rule(
        "a report that is listed otherwise is compared",
        _nothing_listed_is_compared,
        "two days",
        "not in time: a report that was altered in WATS",
    ),
    Rule(
        "an altered report is posted again",
        _nothing_altered_is_repaired,
        "two days",
        "not in time: a report that was altered in WATS",
    ),
    Rule("a day that is open is compared again", _no_open_day_is_compared, "an open day", "the calendar says of"),
    Rule("an older state goes on", _an_older_state_stops, "an older state", "lost"),
)
