"""Which interval a sync is for, and which receipt of an earlier sync its plan compares the state with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from vte_wats.config.sites import Site
from vte_wats.orchestration.tasks import interval_to_sync, last_receipt


class FakeTask:
    """A task instance whose database puts the receipt of ``first`` before that of every other DAG run."""

    def __init__(self, first: str, previous: str | None, receipts: dict[str, dict]) -> None:
        self._first, self._previous, self._receipts = first, previous, receipts

    def xcom_pull(self, *, task_ids, key, map_indexes, run_id=None, include_prior_dates=False):
        assert (task_ids, key, map_indexes) == ("settle", "settled", -1)
        return self._receipts.get(self._first if include_prior_dates else run_id)

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


TICK = datetime(2026, 3, 2, 13, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("interval_at", "started_at", "begins_at"),
    [
        (TICK, TICK - timedelta(minutes=57), TICK - timedelta(minutes=57)),  # Airflow's first interval: the next tick
        (TICK, TICK - timedelta(seconds=1), TICK - timedelta(seconds=1)),
        (TICK, TICK, TICK),
        (TICK + HOUR, TICK - timedelta(minutes=57), TICK + HOUR),
        (TICK, TICK - HOUR, TICK),  # the first interval was the one before
        (TICK - 5 * HOUR, TICK, TICK - 5 * HOUR),  # a backfill of what lies before the start date
    ],
)
def test_the_first_interval_reaches_back_to_a_start_date_between_two_ticks(interval_at, started_at, begins_at):
    dag = SimpleNamespace(start_date=started_at)
    context = {"data_interval_start": interval_at, "data_interval_end": interval_at + HOUR, "dag": dag}
    assert interval_to_sync(context, Site()) == (begins_at, interval_at + HOUR)
