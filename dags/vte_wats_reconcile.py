"""### Once a day: is every run of VTE in WATS, as VTE has it now?

The five-minute sync reads by time, and sees changes of the last day. A station that was offline for a day, or whose
clock showed 1970, commits rows that no such window sees, and a run may be corrected weeks later. **plan** lists the run
keys of the last `days` days, of everything that no sync reads (no Timestamp, before 2002, where clocks fall back to, more
than a day ahead, new on days before the sync started), and of the next part of the history, so that all of it is compared in `verify_cycle_days`. **read_expected** reads these runs and makes their reports
again, **compare** asks WATS whether it has them with the same content, a few seconds at a time. **plan_missing** makes
slices of what is missing or differs, and keeps the numbers of each day (Variable `vte_wats_proof`): runs in VTE, proven
in WATS, dead letters, held, open. The rest is as in `vte_wats_sync`. Held runs are tried again too, so that they go through as
soon as the setting they waited for is there. Last, **read_sample** reads `sample` runs at random, and up to 100 whose report WATS
lists with another serial, part number, process, start or result; **verify** compares their reports in WATS with VTE,
value by value. **find_gone** counts the reports in WATS whose runs VTE no longer has, and
deletes none. **remove_old_files** removes what failures left in staging, and dead letters where `dead_letter_retention_days`
says so.

| you see | it means | do |
|---|---|---|
| plan_missing found nothing | every run is in WATS with equal content, or a dead letter | nothing |
| runs were replaced | they changed in VTE, or their mapping did, after their upload: the log of plan_missing counts the causes | nothing: the next comparison proves them |
| runs were uploaded | they came later than the guard band, or an interval failed; the log of plan_missing says which, and the state counts the late ones (`late_arrivals`) | if it happens daily, raise `guard_band_s` as the log says |
| read_expected, read_sample, compare or upload failed | as in `vte_wats_sync` | as there |
| verify failed | a report in WATS differs from its run | its message names run, field and both values; find out who changed it, then trigger `vte_wats_backfill` with the run and **force** |
| verify counts *outdated* | the run changed in VTE while it was compared | nothing: the next comparison replaces its report |

Trigger it with **days** = 0 to compare the whole database, for instance after a restore. To transfer named runs or dead
letters again, trigger `vte_wats_backfill`.
"""

from __future__ import annotations

from airflow.sdk import DAG

from vte_wats.orchestration.dag_defaults import (
    Priority,
    dag_arguments,
    read_dag_options,
    task_arguments,
)
from vte_wats.orchestration.reconcile_tasks import (
    LATE_FROM,
    RECONCILE_FORM,
    compare,
    find_gone,
    list_reports,
    plan,
    plan_missing,
    read_expected,
    read_sample,
    remove_old_files,
    verify,
)
from vte_wats.orchestration.timetable import SyncTimetable
from vte_wats.orchestration.transfer import SettleOptions, transfer_and_settle

options = read_dag_options()

for site in options.sites:
    with DAG(
        site.dag_id("reconcile"),
        **dag_arguments(site, options, __doc__),
        schedule=SyncTimetable(options.reconcile_schedule, timezone="UTC"),
        catchup=False,
        max_active_runs=1,
        default_args=task_arguments(site, options, Priority.RECONCILE),
        params=RECONCILE_FORM,
    ):
        batches = plan.override(pool=site.vte_pool)(site.name)
        slices = plan_missing(site.name, batches)
        read = read_expected.override(pool=site.vte_pool).partial(site_name=site.name).expand(batch=batches)
        compare.override(pool=site.wats_pool).partial(site_name=site.name).expand(read=read) >> slices
        listed = list_reports.override(pool=site.wats_pool)(site.name)
        slices >> listed >> find_gone.override(pool=site.vte_pool)(site.name)
        settled = transfer_and_settle(site, slices, SettleOptions(late_from=LATE_FROM))
        sample = read_sample.override(pool=site.vte_pool)(site.name)
        settled >> sample >> verify.override(pool=site.wats_pool)(site.name)
        remove_old_files(site.name)
