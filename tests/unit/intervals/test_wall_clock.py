from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from vte_wats.intervals.wall_clock import FIRST, LocalRange, everything_until, merge_ranges


def hours(from_hour: int, to_hour: int) -> LocalRange:
    return LocalRange(datetime(2026, 6, 1, from_hour), datetime(2026, 6, 1, to_hour))


def test_everything_until_now_has_no_beginning():
    ranges = everything_until(datetime(2026, 6, 1, 10, tzinfo=UTC), ZoneInfo("Europe/Oslo"))
    assert ranges == (LocalRange(FIRST, datetime(2026, 6, 1, 12)),)


@pytest.mark.parametrize(
    ("ranges", "merged"),
    [
        pytest.param([], (), id="none"),
        pytest.param([hours(3, 4), hours(1, 2)], (hours(1, 2), hours(3, 4)), id="ascending"),
        pytest.param([hours(1, 3), hours(2, 4)], (hours(1, 4),), id="overlapping"),
        pytest.param([hours(1, 2), hours(2, 3)], (hours(1, 3),), id="touching"),
        pytest.param([hours(1, 9), hours(2, 3)], (hours(1, 9),), id="one-inside-another"),
        pytest.param([hours(1, 1)], (), id="empty"),
    ],
)
def test_merged_ranges_are_the_same_time_ascending_and_disjoint(ranges, merged):
    assert merge_ranges(ranges) == merged
