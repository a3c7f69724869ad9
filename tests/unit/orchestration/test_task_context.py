"""Which interval a sync is for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pendulum
import pytest

from vte_wats.config.sites import Site
from vte_wats.intervals.interval import Interval
from vte_wats.orchestration.task_context import interval_to_sync

TICK = datetime(2026, 3, 2, 13, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("interval_at", "started_at", "starts_at"),
    [
        (TICK, TICK - timedelta(minutes=57), TICK - timedelta(minutes=57)),  # Airflow's first interval: the next tick
        (TICK, TICK - timedelta(seconds=1), TICK - timedelta(seconds=1)),
        (TICK, TICK, TICK),
        (TICK + HOUR, TICK - timedelta(minutes=57), TICK + HOUR),
        (TICK, TICK - HOUR, TICK),  # the first interval was the one before
        (TICK - 5 * HOUR, TICK, TICK - 5 * HOUR),  # a backfill of what lies before the start date
    ],
)
def test_the_first_interval_reaches_back_to_a_start_date_between_two_ticks(interval_at, started_at, starts_at):
    dag = SimpleNamespace(start_date=started_at)
    context = {"data_interval_start": interval_at, "data_interval_end": interval_at + HOUR, "dag": dag}
    assert interval_to_sync(context, Site()) == Interval(starts_at, interval_at + HOUR)


@pytest.mark.parametrize("zone_name", ["UTC", "Europe/Oslo"])
def test_an_interval_to_sync_takes_the_datetimes_airflow_hands_out(zone_name):
    starts_at = pendulum.datetime(2026, 3, 2, 14, tz=zone_name)
    dag = SimpleNamespace(start_date=starts_at)
    context = {"data_interval_start": starts_at, "data_interval_end": starts_at.add(hours=1), "dag": dag}
    interval = interval_to_sync(context, Site())
    assert (interval.from_at.tzinfo, interval.from_at, interval.to_at - interval.from_at) == (UTC, starts_at, HOUR)
