"""When a summary is due."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from vte_wats.orchestration.monitor_tasks import day_to_sum_up


@pytest.mark.parametrize(
    ("local", "summary_at", "notified", "due"),
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
def test_every_day_is_summed_up_once_however_seldom_the_monitor_looks(local, summary_at, notified, due):
    assert day_to_sum_up(datetime.fromisoformat(local), summary_at, notified) == due
