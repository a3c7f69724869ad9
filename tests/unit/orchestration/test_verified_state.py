"""Which receipt of an earlier sync a plan compares the state with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vte_wats.orchestration.verified_state import last_receipt


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
    assert last_receipt({"ti": FakeTask(first, previous, receipts)}) == expected
