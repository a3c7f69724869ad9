"""What WATS adds or writes in its own way is no difference; everything else is."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vte_wats.sync.report_content import differences


def test_what_wats_writes_differently_or_adds_is_no_difference():
    expected = {
        "id": "AB",
        "start": "2026-06-15T14:30:00+02:00",
        "startUTC": "2026-06-15T12:30:00.000000Z",
        "miscInfos": [{"description": "b"}, {"description": "a"}],
    }
    stored = {
        "id": "ab",
        "start": "2026-06-15T12:30:00Z",
        "startUTC": "2026-06-15T12:30:00Z",
        "miscInfos": [{"description": "a"}, {"description": "b", "typedef": ""}],
        "receiveCount": 1,
    }
    assert list(differences(expected, stored)) == []


def a_step(status, **fields):
    return {"name": "Gain", "status": status, "reportText": "Value: 1.5"} | fields


VALUES = {"numericMeas": [{"status": "S", "value": 1.5}], "chart": {"label": "x"}, "attachment": {"name": "a.bin"}}


@pytest.mark.parametrize("left", [{}, {"numericMeas": []}, {"numericMeas": None, "chart": None, "attachment": None}])
def test_what_wats_drops_from_a_skipped_step_is_no_difference(left):
    assert list(differences({"steps": [a_step("S", **VALUES)]}, {"steps": [a_step("S", **left)]})) == []


@pytest.mark.parametrize(
    ("expected", "stored"),
    [
        pytest.param(a_step("S", **VALUES), a_step("S", numericMeas=[{"status": "S", "value": 2}]), id="another value"),
        pytest.param(a_step("S", **VALUES), a_step("S", reportText=""), id="without its text"),
        pytest.param(a_step("P", **VALUES), a_step("P"), id="not skipped"),
        pytest.param(a_step("P", **VALUES), a_step("S"), id="skipped since"),
    ],
)
def test_anything_else_about_a_skipped_step_is_one(expected, stored):
    assert list(differences(expected, stored)) != []


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@pytest.mark.slow
@given(JSON)
def test_anything_equals_itself(document):
    assert list(differences(document, json.loads(json.dumps(document)))) == []
