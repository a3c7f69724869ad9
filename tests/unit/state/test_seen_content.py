from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import TypeAdapter

from vte_wats.state.seen_content import NearCheckStats, NearPlan, SeenContent, minute_key

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
LOOK = NearCheckStats(ended_at=NOON, took_s=0.2, base_s=0.1, asked_min=1_440)


def key(minute: int) -> str:
    return minute_key(datetime(2026, 6, 15, 12) - timedelta(minutes=minute))


def after(
    seen: SeenContent,
    near: NearPlan,
    *,
    live: bool = True,
    gap: bool = False,
    settled: Any = (),
    now_at: datetime = NOON,
) -> SeenContent:
    return seen.after(near, is_live_settled=live, is_gap_settled=gap, settled=settled, kept_h=24, now_at=now_at)


def test_the_minutes_of_what_is_settled_are_kept():
    near = NearPlan(look=LOOK, live={key(1): "a"}, slices=({key(60): "b"}, {key(50): "c"}))
    kept = after(SeenContent(minutes={key(70): "z", key(50): "old"}), near, settled=(0,))
    assert kept.minutes == {key(70): "z", key(60): "b", key(50): "old", key(1): "a"}
    assert kept.failed == (key(50),)
    assert (kept.looked_at, kept.took_s, kept.base_s, kept.asked_min) == (NOON, 0.2, 0.1, 1_440)


def test_the_minutes_of_a_live_window_that_stays_open_are_not_kept():
    assert after(SeenContent(), NearPlan(look=LOOK, live={key(1): "a"}), live=False).minutes == {}


@pytest.mark.parametrize("is_settled", [True, False])
def test_the_minutes_of_a_gap_are_kept_when_it_is_filled(is_settled):
    kept = after(SeenContent(), NearPlan(look=LOOK, gap={key(60): "a"}), live=False, gap=is_settled)
    assert kept.minutes == ({key(60): "a"} if is_settled else {})


def test_a_minute_that_failed_and_was_read_since_is_no_longer_behind():
    kept = after(SeenContent(failed=(key(60),)), NearPlan(look=LOOK, gap={key(60): "a"}), gap=True)
    assert (kept.failed, kept.behind_since) == ((), None)


def test_it_is_behind_from_the_first_check_that_leaves_something_until_one_leaves_nothing():
    waiting = after(SeenContent(), NearPlan(waits=True))
    assert (waiting.behind_since, waiting.looked_at) == (NOON, None)
    later = after(waiting, NearPlan(look=LOOK, slices=({key(60): "b"},)), now_at=NOON + timedelta(minutes=5))
    assert later.behind_since == NOON
    done = after(later, NearPlan(look=LOOK, slices=({key(60): "b"},)), settled=(0,))
    assert (done.behind_since, done.failed) == (None, ())


def test_a_minute_that_failed_is_forgotten_when_it_needs_no_reading_or_is_gone():
    failed = SeenContent(minutes={key(60): "a", key(50): "b"}, failed=(key(60), key(50)))
    kept = after(failed, NearPlan(look=LOOK, gone=(key(60),), as_before=(key(50),)))
    assert (kept.minutes, kept.failed, kept.behind_since) == ({key(50): "b"}, (), None)


def test_minutes_of_older_time_are_dropped():
    old = SeenContent(minutes={key(27 * 60): "a", key(20 * 60): "b"}, failed=(key(27 * 60),))
    kept = after(old, NearPlan(look=LOOK, live={key(1): "c"}))
    assert list(kept.minutes) == [key(20 * 60), key(1)]
    assert kept.failed == ()


def test_a_day_with_runs_in_each_minute_stays_small():
    full = SeenContent(minutes={key(n): "100.2000.-7fffffff" for n in range(1_440)})
    assert len(TypeAdapter(SeenContent).dump_json(full, exclude_defaults=True)) < 70_000
