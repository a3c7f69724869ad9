"""Which receipt of an earlier sync a plan compares the state with, and what two settle tasks make of one state."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import combinations
from types import SimpleNamespace

import pytest
from upath import UPath

from vte_wats.config.sites import Site
from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Interval
from vte_wats.orchestration import variables as variables_module
from vte_wats.orchestration.handover import Planned
from vte_wats.orchestration.resources import read_state
from vte_wats.orchestration.verified_state import last_receipt, write_settled
from vte_wats.state.coverage import Receipt, SettledSync, State
from vte_wats.storage.settled_syncs import SettledSyncs
from vte_wats.sync.settle import Settled


class FakeTask:
    """A task instance whose database puts the receipt of ``first`` before that of every other DAG run."""

    def __init__(self, first: str, previous: str | None, receipts: dict[str, dict]) -> None:
        self._first, self._previous, self._receipts = first, previous, receipts

    def xcom_pull(self, *, task_ids, key, map_indexes, run_id=None, include_prior_dates=False):
        assert (task_ids, key, map_indexes) == ("settle", "handover", -1)
        receipt = self._receipts.get(self._first if include_prior_dates else run_id)
        return receipt and {"receipt": receipt}

    def get_previous_dagrun(self, state):
        assert state == "success"
        return self._previous and SimpleNamespace(run_id=self._previous)


def a_receipt(syncs: int, started: str = "2026-03-02T00:00:00Z") -> dict:
    return {"started": started, "syncs": syncs}


@pytest.mark.parametrize(
    ("first", "previous", "expected"),
    [
        ("manual", "scheduled", a_receipt(90)),
        ("scheduled", "scheduled", a_receipt(90)),
        ("manual", None, a_receipt(7)),
        ("accepted", "scheduled", a_receipt(2, "2026-03-03T00:00:00+00:00")),
        ("manual", "dry run", a_receipt(7)),
        ("none", None, None),
    ],
)
def test_the_receipt_of_the_last_manual_run_does_not_hide_a_greater_one(first, previous, expected):
    receipts = {
        "manual": a_receipt(7),
        "scheduled": a_receipt(90),
        "accepted": a_receipt(2, "2026-03-03T00:00:00+00:00"),
    }
    found = last_receipt({"ti": FakeTask(first, previous, receipts)})
    assert found == (expected and Receipt.model_validate(expected))


# Two settle tasks at the same time, in every order of what they ask of Airflow

BEGIN_AT = datetime(2026, 6, 1, 10, tzinfo=UTC)
_STEPS = 4  # read, compare, write, read again; who has to do it again goes on afterwards


class TakingTurns:
    """Airflow's Variables, at which each writer does its next step when it is its turn."""

    def __init__(self, order: Sequence[str]) -> None:
        self.texts: dict[str, str] = {}
        self._order, self._at_work = list(order), {"a", "b"}
        self._changed = threading.Condition()

    def get(self, key, default=None):
        with self._turn():
            return self.texts.get(key, default)

    def keys(self, prefix=None):
        return [key for key in self.texts if key.startswith(prefix)]

    def set(self, key, value, description=None):
        with self._turn():
            self.texts[key] = value

    def _next(self) -> str:
        return next((name for name in self._order if name in self._at_work), min(self._at_work, default="c"))

    def _turn(self):
        return self._taken(threading.current_thread().name)

    @contextmanager
    def _taken(self, name: str) -> Iterator[None]:
        with self._changed:
            if name in self._at_work:
                assert self._changed.wait_for(lambda: self._next() == name, timeout=30)
            yield
            if name in self._order:
                self._order.remove(name)
            self._changed.notify_all()

    def writer(self, name: str, write: Callable[[str], None]) -> threading.Thread:
        def run() -> None:
            try:
                write(name)
            finally:
                with self._changed:
                    self._at_work.discard(name)
                    self._changed.notify_all()

        return threading.Thread(target=run, name=name)


def a_sync(name: str) -> SettledSync:
    from_at = BEGIN_AT + "abc".index(name) * timedelta(minutes=5)
    return SettledSync(name, Interval(from_at, from_at + timedelta(minutes=5)), {Outcome.UPLOADED: 1}, "1234")


@pytest.mark.parametrize("turns_of_a", [*combinations(range(2 * _STEPS), _STEPS)])
def test_of_two_writers_in_any_order_nothing_stays_lost_and_it_is_said(turns_of_a, tmp_path, monkeypatch, caplog):
    variables = TakingTurns(["a" if turn in turns_of_a else "b" for turn in range(2 * _STEPS)])
    monkeypatch.setattr(variables_module, "Variable", variables)
    state = State(since_at=BEGIN_AT, started_at=BEGIN_AT)
    variables.texts["vte_wats_state"] = state.model_dump_json(by_alias=True)

    def write(name: str) -> None:
        sync = a_sync(name)
        planned = Planned(window=sync.window, settings_hash="1234", state=state, attempt=1)
        noted = SettledSyncs(UPath(tmp_path))
        write_settled(Site(), BEGIN_AT, planned, noted, lambda before: Settled(before.extended(sync), [], [sync]))

    writers = [variables.writer(name, write) for name in "ab"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    after_both = State.model_validate_json(variables.texts["vte_wats_state"])
    write("c")
    after = read_state(Site(), BEGIN_AT)
    assert after.last_sync == BEGIN_AT + timedelta(minutes=15)
    assert (after.totals[Outcome.UPLOADED], sorted(after.settled)) == (3, ["a", "b", "c"])
    assert sorted(after_both.settled) == ["a", "b"] or "VW524" in caplog.text
