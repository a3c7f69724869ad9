"""What the scheduler does with a DAG run that somebody started for a moment of the schedule."""

from __future__ import annotations

import pendulum
import pytest
from airflow.models.dagrun import DagRun
from airflow.timetables.base import DataInterval, TimeRestriction
from airflow.timetables.interval import CronDataIntervalTimetable

from vte_wats.orchestration.timetable import SyncTimetable

AT = pendulum.datetime(2026, 3, 2, 12, tz="UTC")
EVER = TimeRestriction(earliest=None, latest=None, catchup=True)


def next_after(timetable: CronDataIntervalTimetable, dag_run: DagRun) -> pendulum.DateTime:
    """Return the logical date that the scheduler creates next, when this DAG run is where it wants to create one."""
    info = timetable.run_info_from_dag_run(dag_run=dag_run)
    found = timetable.next_dagrun_info(last_automated_data_interval=info.data_interval, restriction=EVER)
    assert found is not None
    return found.logical_date


def a_dag_run(run_type: str, interval: DataInterval, logical_date: pendulum.DateTime) -> DagRun:
    return DagRun(
        dag_id="d", run_id="r", run_type=run_type, logical_date=logical_date, data_interval=interval, run_after=AT
    )


@pytest.mark.parametrize(
    ("timetable", "following"),
    [(SyncTimetable, AT.add(minutes=5)), (CronDataIntervalTimetable, AT)],
    ids=["ours", "Airflow's, which stops"],
)
def test_a_manual_run_on_the_grid_of_the_schedule_does_not_stop_it(timetable, following):
    schedule = timetable("*/5 * * * *", timezone="UTC")
    manual = a_dag_run("manual", schedule.infer_manual_data_interval(run_after=AT), AT)
    assert next_after(schedule, manual) == following


def test_after_a_scheduled_run_comes_the_next_interval_as_ever():
    schedule = SyncTimetable("*/5 * * * *", timezone="UTC")
    scheduled = a_dag_run("scheduled", DataInterval(AT, AT.add(minutes=5)), AT)
    assert next_after(schedule, scheduled) == AT.add(minutes=5)
