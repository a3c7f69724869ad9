"""The timetable of the scheduled DAGs: Airflow's own of data intervals, which a manual DAG run cannot stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pendulum
from airflow.timetables.base import DagRunInfo, DataInterval
from airflow.timetables.interval import CronDataIntervalTimetable

if TYPE_CHECKING:
    from airflow.models.dagrun import DagRun


class SyncTimetable(CronDataIntervalTimetable):
    """Data intervals by a cron expression; the scheduler passes by a manual DAG run in its way.

    A manual or test run for a moment of the schedule has the logical date of the interval that starts there, but the
    interval before. Airflow's timetable then names the same next interval again and again, for a DAG run that exists,
    and no other is created until somebody deletes that one. Here the manual run takes the place of that interval; its
    time is a gap that the next sync fills.
    """

    def run_info_from_dag_run(self, *, dag_run: DagRun) -> DagRunInfo:
        """Return what the next interval follows."""
        info = super().run_info_from_dag_run(dag_run=dag_run)
        if info.data_interval is None or dag_run.logical_date is None or info.data_interval.end > dag_run.logical_date:
            return info
        from_at = self._align_to_prev(pendulum.instance(dag_run.logical_date))
        return DagRunInfo(
            run_after=info.run_after,
            data_interval=DataInterval(from_at, self._get_next(from_at)),
            partition_date=info.partition_date,
            partition_key=info.partition_key,
        )
