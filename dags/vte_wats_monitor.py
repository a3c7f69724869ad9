"""### Every two minutes: does everything work, and who has to know?

**watch** asks VTE and WATS one small question each, and looks at lastSync, the failed intervals of the last hour, the
dead letters, both clocks and the free space. It sends one mail when a condition opens, a reminder while it stays open,
and one mail when it closes. What it found is in the Variable `vte_wats_alerts`.

| you see | it means | do |
|---|---|---|
| watch is red: *setting(s) are wrong* | the settings or their group `alerts` cannot be read; those that could be read last count | correct what the message names |
| watch is red: *VW549* | a part of the check failed; the others were done | do what the message says |
| watch warns: *nobody is notified* | no recipients are set | set `alerts.recipients`, and the connection `smtp_default` |
| watch logs: *not sent, tried again* | the mail server or the target refused | fix `smtp_default`; the next check sends what is due |
| a mail came | the subject says what; the mail says what to do | do it; a mail follows by itself when it is solved |

It is safe to clear, to pause and to trigger at any time.
"""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import DAG

from vte_wats.orchestration.dag_defaults import dag_arguments, read_dag_options
from vte_wats.orchestration.monitor_tasks import watch
from vte_wats.orchestration.timetable import SyncTimetable

options = read_dag_options()

for site in options.sites:
    with DAG(
        site.dag_id("monitor"),
        **dag_arguments(site, options, __doc__),
        schedule=SyncTimetable(options.monitor_schedule, timezone="UTC"),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=timedelta(minutes=10),
    ):
        watch(site.name, options.schedule)
