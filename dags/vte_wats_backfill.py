"""### History, named runs and dead letters, on request

Trigger it with **from** and **to**, or with **guids**, or with **dead_letters**: one of the three. **plan** refuses a
wrong form with the reason, counts the runs, and cuts them into slices; the rest is as in `vte_wats_sync`, which goes
first in every queue. When it is more than one DAG run processes, **next_part** starts the next at the end.

How far it is and how long it will take is in the log of **upload** and **trigger_next_part**, and in the Variable
`vte_wats_backfill`. With **dry_run** nothing is posted: the log of **trigger_next_part** and its XCom `summary` say what
would be shortened, rejected or held, with examples.

| you see | it means | do |
|---|---|---|
| plan failed: *field(s) of the form are wrong* | nothing was started | trigger it again with what the message asks for |
| plan or extract failed | VTE cannot be read | as in `vte_wats_sync` |
| upload failed | WATS is away, or rejects many runs for one reason | fix it, then clear the failed tasks: it continues where it was |
| the DAG run stays *queued* | another backfill is running, or the DAG is paused | wait, or unpause it |
| check_part failed | fewer runs were found than planned; the others are transferred, and the next part starts | check the GUIDs that the log of extract names; if the runs were deleted on purpose, mark it success |

It is always safe to transfer anything again: a report's id is the run's `Index_GUID`. Time that is done is added to the
coverage, so a backfill closes the gap that a failed interval left.
"""

from __future__ import annotations

from airflow.sdk import DAG

from vte_wats.orchestration.backfill_tasks import (
    BACKFILL_FORM,
    TriggerNextPart,
    check_part,
    plan,
    trigger_next_part,
)
from vte_wats.orchestration.dag_defaults import Priority, dag_arguments, read_dag_options, task_arguments
from vte_wats.orchestration.transfer import SettleOptions, transfer_and_settle

options = read_dag_options()
_AT_A_TIME = 4  # tasks that run side by side: reading ahead of WATS costs VTE and disk, and gains nothing

for site in options.sites:
    with DAG(
        site.dag_id("backfill"),
        **dag_arguments(site, options, __doc__),
        schedule=None,
        max_active_runs=1,
        max_active_tasks=_AT_A_TIME,
        default_args=task_arguments(site, options, Priority.BACKFILL),
        params=BACKFILL_FORM,
    ) as dag:
        slices = plan.override(pool=site.vte_pool)(site.name, options.backfill_slices)
        settled = transfer_and_settle(site, slices, SettleOptions(retries_held=False), shows_progress=True)
        following = trigger_next_part(site.name, settled, slices)
        TriggerNextPart.partial(
            task_id="next_part", trigger_dag_id=dag.dag_id, logical_date=None, skip_when_already_exists=True
        ).expand_kwargs(following)
        check_part(site.name, settled, slices)
