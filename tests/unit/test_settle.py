from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from vte_wats.coverage import Outcome, State
from vte_wats.errors import FatalError
from vte_wats.sync.settle import settle
from vte_wats.windows import Window

BEGIN_AT = datetime(2026, 6, 1, 10, tzinfo=UTC)
WINDOW = Window(BEGIN_AT, BEGIN_AT + timedelta(minutes=5))
STATE = State(since_at=BEGIN_AT)


def counts(read: int, **outcomes: int) -> dict[str, int]:
    return {"read": read, **{outcome.value: outcomes.get(outcome.value, 0) for outcome in Outcome}}


def test_balanced_slices_extend_coverage_and_totals(caplog):
    caplog.set_level(logging.INFO)
    results = [counts(5, uploaded=3, unchanged=2), counts(4, replaced=1, dead=2, held=1)]
    after = settle(STATE, WINDOW, 2, results, "1234")
    assert after.last_sync == WINDOW.to_at
    assert after.totals == {"uploaded": 3, "unchanged": 2, "replaced": 1, "dead": 2, "held": 1}
    assert after.settings_hash == "1234"
    assert "read 9: uploaded 3, unchanged 2, replaced 1, dead 2, held 1" in caplog.text


def test_an_empty_window_is_done():
    assert settle(STATE, WINDOW, 0, [], "1234").last_sync == WINDOW.to_at


def test_named_runs_count_without_moving_the_watermark():
    after = settle(STATE, None, 1, [counts(2, uploaded=2)], "1234")
    assert after.last_sync == BEGIN_AT
    assert after.coverage == ()
    assert after.totals[Outcome.UPLOADED] == 2


@pytest.mark.parametrize("results", [[], [counts(5, uploaded=5)]], ids=["all-failed", "one-failed"])
def test_a_failed_slice_leaves_the_window_open_and_says_so(results):
    with pytest.raises(
        FatalError, match=rf"{2 - len(results)} of 2 slices failed; the window stays open.*Clear"
    ) as caught:
        settle(STATE, WINDOW, 2, results, "1234")
    assert "skipped" in str(caught.value)


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_is_part_of_the_balance(outcome):
    assert settle(STATE, WINDOW, 1, [counts(1, **{outcome: 1})], "1234").totals[outcome] == 1
    with pytest.raises(FatalError, match="accounts do not balance: 2 runs read, but"):
        settle(STATE, WINDOW, 1, [counts(2, **{outcome: 1})], "1234")
    with pytest.raises(FatalError, match="balance"):
        settle(STATE, WINDOW, 1, [counts(0, **{outcome: 1})], "1234")


def test_more_results_than_planned_slices_do_not_pass():
    with pytest.raises(FatalError):
        settle(STATE, WINDOW, 1, [counts(1, uploaded=1), counts(1, uploaded=1)], "1234")


def test_a_result_without_an_outcome_is_an_error_and_not_a_zero():
    with pytest.raises(KeyError):
        settle(STATE, WINDOW, 1, [{"read": 0}], "1234")
