from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.unit.builders import a_settings
from vte_wats.domain.source import MinuteContent
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.state.seen_content import SeenContent
from vte_wats.sync.near_check import NearCheckQuery, is_due, plan_near, question, question_of_own_window
from vte_wats.sync.slices import Slice

NOON = datetime(2026, 6, 15, 12, tzinfo=UTC)
WINDOW = Interval(NOON - timedelta(minutes=15), NOON)
ALWAYS = Interval(NOON - timedelta(days=9), NOON - timedelta(minutes=5))
SETTINGS = a_settings(source_timezone="UTC")


def local(minute: int, second: int = 0) -> datetime:
    """Return a minute before noon."""
    return datetime(2026, 6, 15, 12) - timedelta(minutes=minute, seconds=-second)


def key(minute: int) -> str:
    return local(minute).isoformat(timespec="minutes")


def a_minute(minute: int, fingerprint: str = "new", runs: int = 1) -> MinuteContent:
    return MinuteContent(local(minute), runs, fingerprint)


def seen(**fields: Any) -> SeenContent:
    return SeenContent(**{"asked_min": 1_440, "took_s": 0.1, **fields})


def asked(
    state: SeenContent, window: Interval = WINDOW, coverage: tuple[Interval, ...] = (ALWAYS,), **answers: Any
) -> NearCheckQuery:
    return question(state, window, coverage, a_settings(**{"source_timezone": "UTC"} | answers))


def spans(found: NearCheckQuery) -> list[tuple[float, float]]:
    """Return the ranges as hours before noon."""
    hour = timedelta(hours=1)
    return [
        ((local(0) - local_range.from_local) / hour, (local(0) - local_range.to_local) / hour)
        for local_range in found.ranges
    ]


@pytest.mark.parametrize("hours", [1, 24, 48])
def test_all_of_the_near_past_is_asked_for_in_one_range(hours):
    found = asked(seen(), near_check_h=hours)
    assert spans(found) == [(hours, 0)]
    assert (found.minutes, found.resume_at) == (hours * 60, None)


def test_only_what_is_covered_or_in_the_live_window_is_asked_for():
    coverage = (Interval(NOON - timedelta(hours=9), NOON - timedelta(hours=8)), Interval(WINDOW.from_at, NOON))
    assert spans(asked(seen(), coverage=coverage)) == [(9, 8), (0.25, 0)]


def test_the_first_check_and_one_after_a_slow_one_ask_for_little():
    first, slow = asked(SeenContent()), asked(seen(took_s=70))
    assert first.minutes == slow.minutes == 85
    assert spans(first) == [(85 / 60, 0)]


@pytest.mark.parametrize(("took_s", "minutes"), [(0.5, 400), (1.0, 200), (0.25, 800), (0.0, 800)])
def test_a_statement_asks_for_as_much_as_it_can_answer_in_time(took_s, minutes):
    assert asked(seen(asked_min=400, took_s=took_s)).minutes == minutes


def test_what_each_statement_takes_however_little_it_asks_for_does_not_count():
    least = asked(SeenContent())
    slow = SeenContent(**least.look(SeenContent(), NOON, 5.0).model_dump(exclude={"ended_at"}))
    assert slow.base_s == 5.0
    more = asked(slow)
    assert more.minutes == 170
    assert more.look(slow, NOON, 6.0).base_s == 5.0
    assert more.look(slow, NOON, 4.0).base_s == 4.0
    assert asked(slow.model_copy(update={"asked_min": 850, "took_s": 6.0})).minutes == 425


def test_parts_of_older_time_take_turns_until_each_minute_was_asked_for():
    state, minutes, checks = seen(asked_min=300, took_s=0.5), set(), 0
    while True:
        found = asked(state)
        checks += 1
        assert found.minutes <= 300
        assert found.ranges[-1].to_local == local(0)
        minutes |= {n for n in range(1, 1_441) if found.holds(local(n))}
        state = seen(asked_min=300, took_s=0.5, resume_at=found.resume_at)
        if found.resume_at is None:
            break
    assert minutes == set(range(1, 1_441))
    assert checks == 7  # 1,365 minutes, 225 at a time


def test_all_of_a_gap_that_is_filled_is_asked_for_however_little_there_is_room_for():
    gap = Interval(NOON - timedelta(hours=30), NOON - timedelta(hours=5))
    found = question(seen(asked_min=100, took_s=0.5), WINDOW, (), SETTINGS, gap)
    assert spans(found) == [(24, 5), (0.25, 0)]
    assert found.minutes == 19 * 60 + 100
    assert found.is_least is False


@pytest.mark.parametrize(("asked_min", "hours"), [(0, 1), (300, 5), (1_440, 9)])
def test_a_sync_that_looks_for_nothing_asks_for_the_end_of_its_own_window_alone(asked_min, hours):
    long = Interval(NOON - timedelta(hours=9), NOON)
    assert spans(question_of_own_window(seen(asked_min=asked_min, took_s=0.5), long, SETTINGS)) == [(hours, 0)]
    assert spans(question_of_own_window(seen(asked_min=asked_min), WINDOW, SETTINGS)) == [(0.25, 0)]


def test_a_minute_is_asked_for_only_as_a_whole():
    window = WINDOW.shifted(timedelta(seconds=30))
    found = asked(seen(), window, (ALWAYS.shifted(timedelta(seconds=30)),))
    assert found.ranges == (LocalRange(local(1_439), local(0)),)


def test_the_hour_that_autumn_repeats_is_asked_for_once():
    at = datetime(2026, 10, 25, 4, tzinfo=UTC)
    window = Interval(at - timedelta(minutes=15), at)
    (found,) = question(
        seen(), window, (Interval(at - timedelta(days=2), at),), a_settings(source_timezone="Europe/Oslo")
    ).ranges
    assert found == LocalRange(datetime(2026, 10, 24, 6), datetime(2026, 10, 25, 5))


@pytest.mark.parametrize(("took_s", "due"), [(0.5, True), (3.1, False)])
def test_after_a_slow_statement_there_is_a_pause(took_s, due):
    state = seen(took_s=took_s, looked_at=NOON - timedelta(minutes=5))
    assert is_due(state, NOON) is due
    assert is_due(SeenContent(), NOON)


def plan(
    state: SeenContent,
    *contents: MinuteContent,
    gap: Interval | None = None,
    most_runs: int = 1_000,
    batch_size: int = 200,
) -> tuple[Any, list[Slice]]:
    settings = a_settings(source_timezone="UTC", batch_size=batch_size)
    near, slices = plan_near(state, asked(state), contents, WINDOW, settings, gap=gap, most_runs=most_runs)
    assert [sorted(minutes) for minutes in near.slices] == [
        sorted(
            key(n)
            for n in range(1_500)
            if any(local(n) in local_range for local_range in part.ranges)
            and any(local(n) == c.minute_local for c in contents)
        )
        for part in slices
    ]
    return near, list(slices)


def test_minutes_that_look_as_before_need_no_slice():
    near, slices = plan(seen(minutes={key(60): "new"}), a_minute(60))
    assert (slices, near.waits, near.gone) == ([], False, ())


def test_minutes_that_differ_or_are_unknown_are_read_again_in_slices_of_whole_minutes():
    near, slices = plan(
        seen(minutes={key(60): "old", key(61): "new"}), a_minute(62), a_minute(61), a_minute(60), batch_size=1
    )
    assert near.slices == ({key(62): "new"}, {key(60): "new"})
    assert [(part.name, part.runs) for part in slices] == [("near0001", 1), ("near0002", 1)]
    assert slices[0].ranges == (LocalRange(local(62), local(61)),)


def test_minutes_in_the_live_window_are_kept_and_not_read_twice():
    near, slices = plan(seen(), a_minute(15), a_minute(1))
    assert (near.live, slices) == ({key(15): "new", key(1): "new"}, [])


def test_minutes_that_the_slices_of_a_gap_read_are_not_read_twice():
    gap = Interval(NOON - timedelta(minutes=60), NOON - timedelta(minutes=14))
    near, slices = plan(seen(), a_minute(61), a_minute(60), a_minute(15), gap=gap)
    assert (near.live, near.gap) == ({key(15): "new"}, {key(60): "new"})
    assert [part.ranges for part in slices] == [(LocalRange(local(61), local(60)),)]


def test_changed_minutes_come_before_unknown_ones_oldest_first_and_the_rest_waits():
    contents = [a_minute(n, runs=40) for n in (90, 80, 70, 60)]
    near, slices = plan(seen(minutes={key(70): "old", key(60): "old"}), *contents, most_runs=120)
    assert near.slices == ({key(90): "new", key(70): "new", key(60): "new"},)
    assert (near.waits, slices[0].runs) == (True, 120)


def test_a_minute_with_too_many_runs_is_read_alone():
    near, _ = plan(seen(), a_minute(80, runs=500), a_minute(70), most_runs=10)
    assert (near.slices, near.waits) == (({key(80): "new"},), True)


def test_minutes_that_failed_come_last_each_in_a_slice_of_its_own():
    near, _ = plan(seen(failed=(key(90), key(89))), *(a_minute(n) for n in (90, 89, 80, 70)))
    assert near.slices == ({key(80): "new", key(70): "new"}, {key(90): "new"}, {key(89): "new"})


def test_a_minute_without_runs_is_gone_and_one_that_is_restored_needs_no_reading():
    state = seen(minutes={key(90): "a", key(80): "b"}, failed=(key(90), key(80)))
    near, slices = plan(state, a_minute(80, "b"))
    assert (near.gone, near.as_before, slices) == ((key(90),), (key(80),), [])


def test_a_minute_that_was_not_asked_for_is_not_gone():
    state = seen(asked_min=100, took_s=0.5, minutes={key(1_000): "a"}, failed=(key(1_000),))
    near, _ = plan(state)
    assert (near.gone, near.as_before) == ((), ())
