"""When a sync begins and when a summary is due."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import pytest

from vte_wats.config.sites import Site
from vte_wats.orchestration.monitor_tasks import day_to_sum_up
from vte_wats.orchestration.task_context import interval_to_sync

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


@pytest.mark.parametrize(
    ("local", "summary_at", "told", "due"),
    [
        ("2026-06-02T07:00", "07:00", None, date(2026, 6, 1)),
        ("2026-06-02T06:59", "07:00", None, None),
        ("2026-06-02T06:59", "07:00", date(2026, 5, 31), None),
        ("2026-06-02T07:01", "07:00", date(2026, 5, 31), date(2026, 6, 1)),
        ("2026-06-02T07:03", "07:00", date(2026, 6, 1), None),
        ("2026-06-03T00:00", "23:59", date(2026, 5, 31), date(2026, 6, 1)),  # no check between 23:58 and midnight
        ("2026-06-03T00:02", "23:59", date(2026, 6, 1), None),
    ],
)
def test_every_day_is_summed_up_once_however_seldom_the_monitor_looks(local, summary_at, told, due):
    assert day_to_sum_up(datetime.fromisoformat(local), summary_at, told) == due
