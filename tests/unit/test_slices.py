from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import guid_of
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.sync.slices import Slice

seconds = st.datetimes(datetime(1753, 1, 1), datetime(9999, 12, 31)).map(lambda at: at.replace(microsecond=0))
slices = st.builds(
    Slice,
    name=st.text(min_size=1),
    runs=st.integers(0, 10**6),
    ranges=st.lists(st.builds(LocalRange, seconds, seconds), max_size=4).map(tuple),
    guids=st.lists(st.uuids(), max_size=4).map(tuple),
)


@given(slices)
def test_a_slice_comes_back_equal_from_the_json_of_an_xcom(part):
    plain = json.loads(json.dumps(part.to_xcom()))
    assert Slice.from_xcom(plain) == part


def test_a_slice_in_xcom_reads_in_iso_time():
    part = Slice("s0001", 7, ranges=(LocalRange(datetime(2026, 6, 1, 12), datetime(2026, 6, 1, 12, 5)),))
    assert part.to_xcom() == {
        "slice": "s0001",
        "runs": 7,
        "ranges": [["2026-06-01T12:00:00", "2026-06-01T12:05:00"]],
        "guids": [],
    }


NOON = datetime(2026, 6, 1, 12)
FIVE_MINUTES = LocalRange(NOON, NOON + timedelta(minutes=5))
AN_HOUR_LATER = LocalRange(NOON + timedelta(hours=1), NOON + timedelta(minutes=65, seconds=7))


@pytest.mark.parametrize(
    ("part", "label"),
    [
        pytest.param(
            Slice("s0001", 97, ranges=(FIVE_MINUTES,)),
            "s0001 · 2026-06-01 12:00:00 to 12:05:00 · 97 runs",
            id="one-range",
        ),
        pytest.param(
            Slice("s0002", 3, ranges=(FIVE_MINUTES, AN_HOUR_LATER)),
            "s0002 · 2026-06-01 12:00:00 to 13:05:07 · 3 runs",
            id="over-a-clock-change",
        ),
        pytest.param(Slice("g0001", 2, guids=(guid_of(1), guid_of(2))), "g0001 · 2 named runs", id="named-runs"),
    ],
)
def test_airflow_shows_what_a_slice_is_about(part, label):
    assert part.label == label
