from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from vte_wats.intervals.interval import Interval, in_utc, merge_intervals, whole_second

START_AT = datetime(2026, 6, 1, 10, tzinfo=UTC)
IN_JSON = '{"from":"2026-06-01T10:00:00Z","to":"2026-06-01T10:05:00Z"}'


def minute(number: int) -> datetime:
    return START_AT + timedelta(minutes=number)


def minutes(from_minute: int, to_minute: int) -> Interval:
    return Interval(minute(from_minute), minute(to_minute))


def minutes_in(*intervals: Interval) -> list[int]:
    return [n for interval in intervals for n in range(-50, 150) if minute(n) in interval]


intervals = st.tuples(st.integers(-20, 60), st.integers(0, 30)).map(lambda drawn: minutes(drawn[0], sum(drawn)))


@pytest.mark.parametrize(
    ("from_at", "to_at"),
    [
        pytest.param(datetime(2026, 1, 1), datetime(2026, 1, 2), id="naive"),
        pytest.param(datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC), id="backwards"),
        pytest.param(
            datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Oslo")), datetime(2026, 1, 2, tzinfo=UTC), id="another-zone"
        ),
    ],
)
def test_an_interval_refuses_edges_it_cannot_stand_for(from_at, to_at):
    with pytest.raises(ValueError, match="given"):
        Interval(from_at, to_at)


@given(st.lists(intervals, max_size=8))
def test_merged_intervals_are_the_same_time_ascending_and_apart(drawn):
    merged = merge_intervals(drawn)
    assert minutes_in(*merged) == sorted(set(minutes_in(*drawn)))
    assert all(left.to_at < right.from_at for left, right in pairwise(merged))
    assert not any(interval.is_empty for interval in merged)


@given(intervals, st.lists(intervals, max_size=8))
def test_what_other_intervals_leave_of_one_are_its_gaps(interval, others):
    gaps = interval.minus(others)
    assert minutes_in(*gaps) == sorted(set(minutes_in(interval)) - set(minutes_in(*others)))
    assert merge_intervals(gaps) == gaps


@given(intervals, intervals)
def test_an_intersection_is_what_both_hold_and_covering_is_holding_all(interval, other):
    common = interval.intersection(other)
    both = sorted(set(minutes_in(interval)) & set(minutes_in(other)))
    assert minutes_in(*([] if common is None else [common])) == both
    if not other.is_empty:
        assert interval.covers(other) == (both == minutes_in(other))


def test_an_interval_is_shifted_by_both_edges():
    assert minutes(0, 5).shifted(timedelta(minutes=-2)) == minutes(-2, 3)


class Holder(BaseModel):
    interval: Interval


def test_an_interval_in_json_has_a_from_and_a_to():
    holder = Holder(interval=minutes(0, 5))
    assert holder.model_dump_json() == f'{{"interval":{IN_JSON}}}'
    assert Holder.model_validate_json(holder.model_dump_json()) == holder
    assert Holder.model_validate(holder.model_dump(mode="json")) == holder


def test_the_json_schema_of_an_interval_says_so():
    for mode in ("validation", "serialization"):
        schema = TypeAdapter(Interval).json_schema(mode=mode)
        assert schema["required"] == ["from", "to"]
        assert schema["properties"]["from"]["format"] == "date-time"


def test_instants_with_another_offset_are_read_as_utc():
    text = '{"from": "2026-06-01T12:00:00+02:00", "to": "2026-06-01T12:05:00+02:00"}'
    interval = TypeAdapter(Interval).validate_json(text)
    assert interval == minutes(0, 5)
    assert interval.from_at.tzinfo is UTC


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"from": "2026-06-01T10:00:00Z"}', id="no-end"),
        pytest.param('{"from": "2026-06-01T10:00:00", "to": "2026-06-01T11:00:00Z"}', id="naive"),
        pytest.param('{"from": "2026-06-01T11:00:00Z", "to": "2026-06-01T10:00:00Z"}', id="backwards"),
        pytest.param('{"from": "2026-06-01T10:00:00Z", "to": "2026-06-01T11:00:00Z", "by": 1}', id="unknown-name"),
        pytest.param("[]", id="no-object"),
    ],
)
def test_json_that_is_no_interval_is_refused(text):
    with pytest.raises(ValidationError):
        TypeAdapter(Interval).validate_json(text)


@pytest.mark.parametrize("zone_name", ["UTC", "Europe/Oslo"])
def test_the_datetimes_that_airflow_hands_out_become_the_standard_librarys(zone_name):
    at = pendulum.datetime(2026, 6, 1, 12, 0, 1, 250, tz=zone_name)
    assert type(in_utc(at)) is datetime
    assert in_utc(at).tzinfo is UTC
    assert in_utc(at) == at
    assert whole_second(at) == at.replace(microsecond=0)


def test_a_naive_time_is_no_instant():
    with pytest.raises(ValueError, match="aware"):
        in_utc(datetime(2026, 1, 1))
