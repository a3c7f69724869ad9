from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from upath import UPath

from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Interval
from vte_wats.messages import VW524, VW621
from vte_wats.state.coverage import SettledSync, State
from vte_wats.storage.settled_syncs import SettledSyncs

BEGIN_AT = datetime(2026, 6, 1, 10, tzinfo=UTC)
STATE = State(since_at=BEGIN_AT, started_at=BEGIN_AT)
SYNC = SettledSync("a-gap", Interval(BEGIN_AT, BEGIN_AT + timedelta(minutes=5)), {Outcome.UPLOADED: 7}, "1234", 2)


@pytest.fixture
def noted(tmp_path) -> SettledSyncs:
    return SettledSyncs(UPath(tmp_path))


def others(state: State, count: int) -> State:
    """Return the state after other syncs."""
    for number in range(count):
        state = state.extended(SettledSync(f"other-{number}", None, {Outcome.UNCHANGED: 1}, None))
    return state


def files(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "settled").iterdir())


def test_without_such_syncs_the_state_stays_and_there_is_no_file(noted, tmp_path):
    assert noted.with_lost(STATE) == STATE
    assert list(tmp_path.iterdir()) == []


def test_a_sync_that_was_written_over_is_added_again_once_and_this_is_said(noted, caplog):
    noted.note([SYNC], STATE)
    after = noted.with_lost(others(STATE, 1))
    assert after.totals[Outcome.UPLOADED] == 7
    assert (after.redriven, after.coverage) == (2, (SYNC.window,))
    assert caplog.text.count(VW524.code) == 1
    assert noted.with_lost(after) == after
    assert caplog.text.count(VW524.code) == 1


@pytest.mark.parametrize("count", [99, 100, 150, 500])
def test_a_sync_that_the_state_no_longer_names_is_not_added_twice(noted, tmp_path, count):
    noted.note([SYNC], STATE)
    after = others(STATE.extended(SYNC), count)
    assert noted.with_lost(after) == after
    assert files(tmp_path) == (["a-gap.json"] if count < 100 else [])


def test_what_was_added_again_later_is_not_added_twice_either(noted):
    noted.note([SYNC], others(STATE, 90))  # a state that somebody put an older one in the place of
    after = others(noted.with_lost(STATE), 120)
    assert noted.with_lost(after) == after


def test_what_the_state_holds_is_not_noted_with_a_later_number(noted):
    noted.note([SYNC], STATE)
    after = others(STATE.extended(SYNC), 90)
    noted.note([SYNC], after)  # its settle task was cleared
    after = others(after, 130)
    assert noted.with_lost(after) == after


def test_a_state_that_was_started_again_takes_nothing_of_an_earlier_one(noted, tmp_path):
    noted.note([SYNC], STATE)
    again = STATE.model_copy(update={"started_at": BEGIN_AT + timedelta(days=1)})
    assert noted.with_lost(again) == again
    assert files(tmp_path) == []


def test_a_damaged_file_hides_no_other(noted, tmp_path, caplog):
    noted.note([SYNC], STATE)
    (tmp_path / "settled" / "0.json").write_text("{")
    assert noted.with_lost(STATE).totals[Outcome.UPLOADED] == 7
    assert VW621.code in caplog.text
