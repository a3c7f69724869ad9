"""### Every test run from VTE to WATS, every five minutes

**plan** asks VTE how many runs each second of the interval holds and cuts it into slices of about `batch_size` runs.
For every slice **extract** reads the runs, **map_runs** makes WATS reports of them, **upload** posts what WATS does not
have yet. After a change of the settings, held runs are tried again. **settle** balances the accounts; only then does
`lastSync` (Variable `vte_wats_state`) move. Time that an earlier sync did not transfer is a gap: a sync that is alone fills
a part of the oldest one behind its own interval (slices `gap…`), so that what failed needs no person once its cause is gone.

| you see | it means | do |
|---|---|---|
| plan or extract failed | VTE cannot be read: network, login, a missing table or column | read the last line of its log: it names the setting or connection; clear the task |
| upload failed | WATS is away, refuses the token, or rejects many runs for one reason | fix it: later syncs transfer what was missed, clearing the failed tasks does so at once |
| plan failed: another database or WATS, a lost state | `vte_wats_state` does not belong to what was found | follow the choice in its message that fits; one of them is a trigger with **accept_identity** |
| settle failed, all else green | runs and outcomes do not balance | keep the staging folder, report it |
| a run is missing in WATS | it is a dead letter, or waits for a setting | look into the `dead_letters` folder: each file says why |

It is always safe to clear or re-run an interval: a report's id is the run's `Index_GUID`, so nothing is doubled.
To see what would happen, use the form of `vte_wats_backfill` with **dry_run**. Trigger with **force** to post unchanged reports again. A trigger without a
logical date syncs from `lastSync` to now.
"""

from __future__ import annotations

from airflow.sdk import DAG

from vte_wats.orchestration.dag_defaults import (
    Priority,
    dag_arguments,
    read_dag_options,
    task_arguments,
)
from vte_wats.orchestration.sync_deadline import sync_deadline
from vte_wats.orchestration.sync_tasks import SYNC_FORM, plan
from vte_wats.orchestration.timetable import SyncTimetable
from vte_wats.orchestration.transfer import SettleOptions, transfer_and_settle

options = read_dag_options()

for site in options.sites:
    with DAG(
        site.dag_id("sync"),
        **dag_arguments(site, options, __doc__),
        schedule=SyncTimetable(options.schedule, timezone="UTC"),
        catchup=True,
        max_active_runs=options.max_active_runs,
        default_args=task_arguments(site, options, Priority.LIVE),
        deadline=sync_deadline(site, options),
        params=SYNC_FORM,
    ):
        transfer_and_settle(site, plan.override(pool=site.vte_pool)(site.name), SettleOptions(is_current=True))
