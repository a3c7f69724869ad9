"""### Once a day: is every run of VTE in WATS?

The five-minute sync reads by time, ten minutes back. A station that was offline for a day, or whose clock stood in
1970, commits rows that no such window sees. **plan** lists the run keys of the last `days` days and of all that is dated
before 2002, where clocks fall back to, **compare** asks WATS for them a few seconds at a time, **cut** makes slices of
what is missing; the rest is as in `vte_wats_sync`. Held runs are tried again too, so that they go through once the
setting they waited for is there. Last, **verify** takes `sample` runs at random and compares their reports in WATS with
VTE value by value.

| you see | it means | do |
|---|---|---|
| cut found nothing | every run is in WATS or a dead letter | nothing |
| runs were uploaded | they came later than the guard band, or an interval failed; the log of cut tells the former apart, and the state counts them (`lateness`) | raise `guard_band_s` as it says if it happens daily |
| compare or upload failed | as in `vte_wats_sync` | as there |
| verify failed | a report in WATS says something else than its run | its message names run, field and both values; find out who changed it, then `vte_wats_backfill` with the run and **force** |
| verify counts *outdated* | the run changed in VTE after its upload | `vte_wats_backfill` for the run or its day replaces the report |

Trigger it with **days** = 0 to compare the whole database, for instance after a restore. Named runs and dead letters are
carried again by `vte_wats_backfill`.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from airflow.sdk import DAG, CronDataIntervalTimetable, Param, TriggerRule, get_current_context, task

from vte_wats.config.sites import Site
from vte_wats.orchestration.dag_options import read_dag_settings
from vte_wats.orchestration.tasks import (
    Priority,
    coverage_as_planned,
    leave_coverage,
    priority_arguments,
    publish_found_later,
    staging,
    task_arguments,
    transfer_and_settle,
    verified_state,
)

deployment = read_dag_settings()
SAMPLE_KEY = "sample"


@task
def plan(site_name: str) -> list[str]:
    """List the keys of the runs in VTE, in portions."""
    from vte_wats.intervals.dst import local_ranges
    from vte_wats.intervals.wall_clock import everything_until, with_reset_clocks
    from vte_wats.orchestration.resources import open_source, read_settings
    from vte_wats.reconcile.compare import sample_of
    from vte_wats.reconcile.missing_runs import stage_keys, staged_guids
    from vte_wats.sync.plan import window_of

    context = get_current_context()
    days = context["params"]["days"]
    site = Site(site_name)
    settings = read_settings(site)
    now_at = datetime.now(UTC)
    window = window_of(now_at - timedelta(days=days), now_at, 0, settings.settle_delay_s)
    recent = with_reset_clocks(local_ranges(window, settings.zone))
    ranges = recent if days else everything_until(window.to_at, settings.zone)
    with open_source(site, settings) as source:
        leave_coverage(context, verified_state(context, site, source.identity(), settings))
        portions = stage_keys(source, lambda name: staging(site, settings, name), ranges)
    guids = (guid for name in portions for guid in staged_guids(staging(site, settings, name)))
    sample = sample_of(guids, context["params"]["sample"], context["dag_run"].run_id)
    context["ti"].xcom_push(key=SAMPLE_KEY, value=[str(guid) for guid in sample])
    return portions


@task(map_index_template="{{ portion_label }}")
def compare(site_name: str, portion: str) -> dict[str, int]:
    """Ask WATS which runs of one portion it does not have."""
    from vte_wats.orchestration.resources import open_wats, read_settings
    from vte_wats.reconcile.missing_runs import compare as compare_portion

    get_current_context()["portion_label"] = portion  # type: ignore[typeddict-unknown-key]
    site = Site(site_name)
    settings = read_settings(site)
    with open_wats(site, settings) as wats:
        return compare_portion(wats, staging(site, settings, portion))


@task(trigger_rule=TriggerRule.NONE_FAILED)
def cut(site_name: str, portions: Any) -> list[dict[str, Any]]:
    """Cut what is missing into slices."""
    from vte_wats.orchestration.resources import read_settings, storage_of
    from vte_wats.reconcile.missing_runs import runs_to_transfer
    from vte_wats.state.late_arrivals import found_later
    from vte_wats.storage.dead_letters import DeadLetters
    from vte_wats.sync.plan import plan_named

    site = Site(site_name)
    settings = read_settings(site)
    compared = (staging(site, settings, name) for name in portions)
    swept = runs_to_transfer(compared, DeadLetters(storage_of(site, settings)))
    publish_found_later(found_later(swept.times_local, coverage_as_planned(get_current_context()), settings))
    return [part.to_xcom() for part in plan_named(swept.runs, settings)]


@task
def verify(site_name: str) -> dict[str, int]:
    """Compare the sampled runs with their reports in WATS, value by value."""
    from vte_wats.orchestration.resources import open_source, open_wats, read_settings, storage_of
    from vte_wats.reconcile.compare import refuse_altered
    from vte_wats.reconcile.compare import verify as verify_sample
    from vte_wats.storage.staging import discard
    from vte_wats.sync.extract import extract
    from vte_wats.sync.map_runs import map_runs
    from vte_wats.sync.slices import Slice

    context = get_current_context()
    site = Site(site_name)
    settings = read_settings(site)
    sample = tuple(UUID(guid) for guid in context["ti"].xcom_pull(task_ids="plan", key=SAMPLE_KEY))
    if not sample:
        return {"equal": 0, "outdated": 0, "altered": 0, "absent": 0}
    staged = staging(site, settings, "sample")
    with open_source(site, settings) as source:
        extract(source, staged, Slice("sample", len(sample), guids=sample), settings)
    map_runs(staged, settings)
    with open_wats(site, settings) as wats:
        found = verify_sample(staged, wats)
    discard(storage_of(site, settings), context["dag"].dag_id, context["dag_run"].run_id)
    refuse_altered(found, site.dag_id("backfill"))
    return {"equal": found.equal, "outdated": len(found.outdated), "altered": 0, "absent": found.absent}


for one in deployment.sites:
    with DAG(
        one.dag_id("reconcile"),
        doc_md=__doc__,
        schedule=CronDataIntervalTimetable(deployment.reconcile_schedule, timezone="UTC"),
        start_date=deployment.start_date,
        catchup=False,
        max_active_runs=1,
        default_args=task_arguments(one, deployment) | priority_arguments(Priority.RECONCILE),
        params={
            "days": Param(7, type="integer", minimum=0, title="Days", description="How far back to compare; 0 is all."),
            "sample": Param(
                100,
                type="integer",
                minimum=0,
                maximum=1000,
                title="Sample",
                description="Reports to compare value by value; 0 is none.",
            ),
            "dry_run": Param(False, type="boolean", title="Dry run", description="Compare and map, but post nothing."),
            "force": Param(False, type="boolean", title="Force", description="Post reports that are unchanged, too."),
        },
        tags=["vte", "wats", *filter(None, [one.name])],
    ):
        portions = plan(one.name)
        slices = cut(one.name, portions)
        compare.override(pool=one.wats_pool).partial(site_name=one.name).expand(portion=portions) >> slices
        transfer_and_settle(one, slices) >> verify.override(pool=one.wats_pool)(one.name)
