"""### History, named runs and dead letters, when somebody asks for it

Trigger it with **from** and **to**, or with **guids**, or with **dead_letters**: one of the three. **plan** refuses a wrong
form with the reason, counts the runs, and cuts them into slices; the rest is as in `vte_wats_sync`, behind it in every
queue. What is more than one DAG run carries goes on in the next, which this one triggers at its end.

How far it is and how long it will take stands in the log of **upload** and **go_on**, and in the Variable
`vte_wats_backfill`. With **dry_run** nothing is posted: the log of **go_on** and its XCom `summary` say what would be
shortened, rejected or held, with examples.

| you see | it means | do |
|---|---|---|
| plan failed: *field(s) of the form are wrong* | nothing was started | trigger it again with what the message asks for |
| plan or extract failed | VTE cannot be read | as in `vte_wats_sync` |
| upload failed | WATS is away, or rejects many runs for one reason | mend it, then clear the failed tasks: it goes on where it was |
| the run stays *queued* | another backfill is under way, or the DAG is paused | wait, or unpause it |
| fewer runs than planned | named runs are not in VTE | look at the GUIDs |

Carrying anything again is always safe: a report's id is the run's `Index_GUID`. A stretch of time that is done is added to
the coverage, so a backfill closes the hole that a failed interval left.
"""

from __future__ import annotations

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, Param, get_current_context, task

from vte_wats.config.sites import Site
from vte_wats.orchestration.dag_options import read_dag_settings
from vte_wats.orchestration.tasks import Priority, priority_arguments, task_arguments, transfer_and_settle

deployment = read_dag_settings()
_AT_A_TIME = 4  # tasks that run side by side: reading ahead of WATS costs VTE and disk, and gains nothing


@task
def plan(site_name: str, slices_per_part: int) -> list[dict[str, Any]]:
    """Cut what the form asks for into slices."""
    from vte_wats.orchestration.backfill_tasks import plan_part

    return [part.to_xcom() for part in plan_part(get_current_context(), Site(site_name), slices_per_part)]


@task
def trigger_next_part(site_name: str, settled: dict[str, Any], slices: Any) -> list[dict[str, Any]]:
    """Tell what was carried; return what the next DAG run has to know, if there is more to do."""
    from vte_wats.orchestration.backfill_tasks import end_part

    return end_part(get_current_context(), Site(site_name), settled, list(slices))


for one in deployment.sites:
    with DAG(
        one.dag_id("backfill"),
        doc_md=__doc__,
        schedule=None,
        start_date=deployment.start_date,
        max_active_runs=1,
        max_active_tasks=_AT_A_TIME,
        default_args=task_arguments(one, deployment) | priority_arguments(Priority.BACKFILL),
        params={
            "from": Param(
                None,
                type=["null", "string"],
                format="date-time",
                title="From",
                section="A stretch of time",
                description="The first instant whose runs are carried.",
            ),
            "to": Param(
                None,
                type=["null", "string"],
                format="date-time",
                title="To",
                section="A stretch of time",
                description="The instant before which they end.",
            ),
            "guids": Param(
                [],
                type="array",
                items={"type": "string"},
                title="Runs",
                section="Or named runs",
                description="Index_GUIDs, one a line. VTE is read anew.",
            ),
            "dead_letters": Param(
                None,
                type=["null", "string"],
                title="Dead letters",
                section="Or dead letters",
                description="all, or the signature of one group. VTE is read anew, so corrected data goes through.",
            ),
            "batch_size": Param(
                None,
                type=["null", "integer"],
                minimum=1,
                maximum=1_000,
                title="Batch size",
                section="How",
                description="Runs a slice aims at; empty: the setting batch_size.",
            ),
            "dry_run": Param(
                False,
                type="boolean",
                title="Dry run",
                section="How",
                description="Read, map and compare, but post nothing.",
            ),
            "force": Param(
                False,
                type="boolean",
                title="Force",
                section="How",
                description="Post reports that are unchanged, too.",
            ),
        },
        tags=["vte", "wats", *filter(None, [one.name])],
    ) as dag:
        slices = plan(one.name, deployment.backfill_slices)
        settled = transfer_and_settle(one, slices)
        following = trigger_next_part(one.name, settled, slices)
        TriggerDagRunOperator.partial(
            task_id="next_part", trigger_dag_id=dag.dag_id, logical_date=None, skip_when_already_exists=True
        ).expand_kwargs(following)
