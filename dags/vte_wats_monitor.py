"""### Every two minutes: does everything work, and who has to know?

**watch** asks VTE and WATS one small question each, and looks at lastSync, the failed intervals of the last hour, the
dead letters, both clocks and the free space. What changed goes out as one mail when a condition opens, a reminder while
it stays open, and one mail when it closes. What it found stands in the Variable `vte_wats_alerts`.

| you see | it means | do |
|---|---|---|
| watch is red: *setting(s) are wrong* | the group `alerts` of the Variable `vte_wats` has mistakes, so nobody can be told | correct each named field |
| watch warns: *nobody is told* | no recipients are set | set `alerts.recipients`, and the connection `smtp_default` |
| watch logs: *not told, tried again* | the mail server or the target refused | mend `smtp_default`; the next check sends what is due |
| a mail came | the subject says what; the mail says what to do | do it; the mail that it is solved comes by itself |

It is safe to clear, to pause and to trigger at any time.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG, CronDataIntervalTimetable

from vte_wats.config.sites import Site
from vte_wats.orchestration.dag_options import read_dag_settings
from vte_wats.orchestration.monitor_tasks import watch

deployment = read_dag_settings()


def monitor(site: Site) -> None:
    """Declare the site's DAG."""
    with DAG(
        site.dag_id("monitor"),
        doc_md=__doc__,
        schedule=CronDataIntervalTimetable(deployment.monitor_schedule, timezone="UTC"),
        start_date=deployment.start_date,
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(minutes=10),
        tags=["vte", "wats", *filter(None, [site.name])],
    ):
        watch(site.name, deployment.schedule)


for one in deployment.sites:
    monitor(one)
