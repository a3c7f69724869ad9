"""### Once a day: is every run of VTE in WATS?

The five-minute sync reads by time, ten minutes back. A station that was offline for a day, or whose clock stood in
1970, commits rows that no such window sees. **plan** compares the run keys of the last `days` days with WATS and cuts
what is missing into slices; the rest is as in `vte_wats_sync`. Held runs are tried again too, so that they go through
once the setting they waited for is there.

| you see | it means | do |
|---|---|---|
| plan found nothing | every run is in WATS or a dead letter | nothing |
| runs were uploaded | they came later than the guard band, or an interval failed; plan's log tells the former apart, and the state counts them (`lateness`) | raise `guard_band_s` as plan says if it happens daily |
| upload failed | as in `vte_wats_sync` | as there |

Trigger it with **days** = 0 to compare the whole database, for instance after a restore. With **guids** or
**dead_letters** it compares nothing and carries just those runs, read from VTE anew: that is how corrected dead letters
are driven again, one by one, a group by its `signature`, or `all`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, get_current_context, task

from vte_wats.orchestration.dag_settings import read_dag_settings
from vte_wats.orchestration.tasks import (
    Lane,
    carry_and_settle,
    lane_arguments,
    publish_found_later,
    recognised_state,
    task_arguments,
)
from vte_wats.sites import Site

deployment = read_dag_settings()


@task
def plan(site_name: str) -> list[dict[str, Any]]:
    """Find the runs that are missing in WATS and cut them into slices."""
    from vte_wats.orchestration.edges import open_source, open_wats, read_settings, storage_of
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.sync.lateness import found_later
    from vte_wats.sync.plan import plan_named
    from vte_wats.sync.redrive import redrive
    from vte_wats.sync.sweep import sweep
    from vte_wats.windows import everything_until, local_ranges, window_of

    context = get_current_context()
    params = context["params"]
    site = Site(site_name)
    settings = read_settings(site)
    letters = DeadLetters(storage_of(site, settings))
    now_at = datetime.now(UTC)
    window = window_of(now_at - timedelta(days=params["days"]), now_at, 0, settings.settle_delay_s)
    ranges = local_ranges(window, settings.zone) if params["days"] else everything_until(window.to_at, settings.zone)
    with open_source(site, settings) as source, open_wats(site, settings) as wats:
        state = recognised_state(context, site, source, settings)
        if params["guids"] or params["dead_letters"]:
            runs = redrive(letters, params["guids"], params["dead_letters"])
        else:
            swept = sweep(source, wats, letters, ranges)
            runs = swept.runs
            publish_found_later(found_later(swept.times_local, state, settings))
    return [part.to_xcom() for part in plan_named(runs, settings)]


for one in deployment.sites:
    with DAG(
        one.dag_id("reconcile"),
        doc_md=__doc__,
        schedule=CronDataIntervalTimetable(deployment.reconcile_schedule, timezone="UTC"),
        start_date=deployment.start_date,
        catchup=False,
        max_active_runs=1,
        default_args=task_arguments(one, deployment) | lane_arguments(Lane.RECONCILE),
        params={
            "days": Param(7, type="integer", minimum=0, title="Days", description="How far back to compare; 0 is all."),
            "guids": Param(
                [], type="array", items={"type": "string"}, title="Runs", description="Index_GUIDs, one a line."
            ),
            "dead_letters": Param(
                None,
                type=["null", "string"],
                title="Dead letters",
                description="all, or the signature of one group of dead letters.",
            ),
            "dry_run": Param(False, type="boolean", title="Dry run", description="Compare and map, but post nothing."),
            "force": Param(False, type="boolean", title="Force", description="Post reports that are unchanged, too."),
        },
        tags=["vte", "wats", *filter(None, [one.name])],
    ):
        carry_and_settle(one, plan.override(pool=one.wats_pool)(one.name))
