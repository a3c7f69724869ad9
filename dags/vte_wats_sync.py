"""### Every test run from VTE to WATS, every five minutes

**plan** asks VTE how many runs each second of the interval holds and cuts it into slices of about `batch_size` runs.
For every slice **extract** reads the runs, **map_runs** makes WATS reports of them, **upload** posts what WATS does not
have yet. Once the settings have changed, held runs are tried again. **settle** balances the accounts; only then does `lastSync` (Variable `vte_wats_state`) move.

| you see | it means | do |
|---|---|---|
| plan or extract failed | VTE cannot be read: network, login, a missing table or column | read the last line of its log: it names the setting or connection; clear the task |
| upload failed | WATS is away, refuses the token, or rejects many runs for one reason | mend it, then clear the failed tasks: what is in WATS is skipped |
| plan failed: another database or WATS, a lost or older state | `vte_wats_state` does not belong to what was found | do what fits of the choices in its message; one of them is a trigger with **accept_identity** |
| settle failed, all else green | runs and outcomes do not balance | keep the staging folder, report it |
| a run is missing in WATS | it is a dead letter, or waits for a setting | look into the `dead_letters` folder: each file says why |

Clearing or re-running any interval is always safe: a report's id is the run's `Index_GUID`, so nothing is doubled.
Trigger with **dry_run** to see what would happen, with **force** to post unchanged reports again. A trigger without a
logical date syncs from `lastSync` to now.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

from vte_wats.config.sites import Site
from vte_wats.orchestration.dag_options import read_dag_settings
from vte_wats.orchestration.sync_deadline import sync_deadline
from vte_wats.orchestration.tasks import (
    Priority,
    interval_to_sync,
    priority_arguments,
    publish_window,
    task_arguments,
    transfer_and_settle,
    verified_state,
)

deployment = read_dag_settings()


@task
def plan(site_name: str) -> list[dict[str, Any]]:
    """Cut the data interval, or the time since lastSync, into slices."""
    from vte_wats.orchestration.resources import open_source, read_settings, storage_of
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.sync.plan import plan_held, plan_seen, ranges_to_read, window_of

    context = get_current_context()
    site = Site(site_name)
    settings = read_settings(site)
    from_at, to_at = interval_to_sync(context, site)
    window = window_of(from_at, to_at, settings.guard_band_s, settings.settle_delay_s)
    with open_source(site, settings) as source:
        identity, times = source.identity_and_run_counts(ranges_to_read(window, settings))
    state = verified_state(context, site, (identity, times.server_now_at), settings)
    planned = plan_seen(times, settings, window)
    publish_window(context, planned, from_at, state, settings)
    slices = planned.slices
    if state.settings_hash != settings.fingerprint:
        slices += plan_held(DeadLetters(storage_of(site, settings)), planned, settings)
    return [part.to_xcom() for part in slices]


for one in deployment.sites:
    with DAG(
        one.dag_id("sync"),
        doc_md=__doc__,
        schedule=CronDataIntervalTimetable(deployment.schedule, timezone="UTC"),
        start_date=deployment.start_date,
        catchup=True,
        max_active_runs=deployment.max_active_runs,
        default_args=task_arguments(one, deployment) | priority_arguments(Priority.LIVE),
        deadline=sync_deadline(one, deployment),
        params={
            "dry_run": Param(False, type="boolean", title="Dry run", description="Read and map, but post nothing."),
            "force": Param(False, type="boolean", title="Force", description="Post reports that are unchanged, too."),
            "accept_identity": Param(
                False,
                type="boolean",
                title="Accept identity",
                description="Take this database, this WATS and the state as it stands for right, after plan refused them.",
            ),
        },
        tags=["vte", "wats", *filter(None, [one.name])],
    ):
        transfer_and_settle(one, plan(one.name))
