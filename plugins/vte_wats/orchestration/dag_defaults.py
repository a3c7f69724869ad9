"""What the declarations of all DAGs share: the options of the deployment, default arguments, priorities, tags."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Any

from airflow.sdk import Param
from airflow.sdk.configuration import conf

from vte_wats.config.dag_options import SECTION, DagOptions, parse_dag_options, parse_health_details, parse_sites
from vte_wats.config.sites import Site
from vte_wats.orchestration.retry import SyncRetryPolicy

_LONGEST_RETRY_DELAY = timedelta(minutes=10)


class Priority(IntEnum):
    """Whose task goes first when several wait for a slot, of WATS above all: the highest number."""

    LIVE = 300
    RECONCILE = 200
    BACKFILL = 100


def read_dag_options() -> DagOptions:
    """Return the options of this deployment, see :func:`vte_wats.config.dag_options.parse_dag_options`."""
    return parse_dag_options(_text_of)


def read_sites() -> tuple[Site, ...]:
    """Return the sites of this deployment."""
    return parse_sites(_text_of)


def read_health_details() -> bool:
    """Return whether the open health address says more than one word."""
    return parse_health_details(_text_of)


def dag_arguments(site: Site, options: DagOptions, docstring: str | None) -> dict[str, Any]:
    """Return what every DAG of a site is declared with: its help, from when on, and its tags."""
    return {
        "doc_md": docstring,
        "start_date": options.start_date,
        "tags": ["vte", "wats", *filter(None, [site.name])],
    }


def task_arguments(site: Site, options: DagOptions, priority: Priority) -> dict[str, Any]:
    """Return the ``default_args`` of a DAG: its priority, its further tries, and the callback that saves a failure."""
    failed = _save_failure(site)
    return {
        "retries": options.retries,
        "retry_delay": options.retry_delay,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": _LONGEST_RETRY_DELAY,
        "retry_policy": SyncRetryPolicy(),
        "on_failure_callback": failed,
        "on_retry_callback": failed,
        "priority_weight": priority.value,
        "weight_rule": "absolute",
    }


def transfer_params(dry_run: str, *, section: str | None = None) -> dict[str, Param]:
    """Return the two fields that the form of every transferring DAG has; ``dry_run`` describes the first."""
    return {
        "dry_run": Param(False, type="boolean", title="Dry run", section=section, description=dry_run),
        "force": Param(
            False,
            type="boolean",
            title="Force",
            section=section,
            description="Post reports that are unchanged, too.",
        ),
    }


def _save_failure(site: Site) -> Callable[[Any], None]:
    """Return the callback of every failed try: it saves the reason of the site's last failure, where the mails find it.

    It imports when it runs, not at parsing.
    """

    def failed(context: Any) -> None:
        from vte_wats.alerting.incidents import TaskFailure, one_line, replaces
        from vte_wats.orchestration.variables import LAST_FAILURE, Variables

        ti = context["ti"]
        failure = TaskFailure(
            dag_id=ti.dag_id,
            dag_run_id=ti.run_id,
            task_id=ti.task_id,
            map_index=ti.map_index if ti.map_index is not None else -1,
            try_number=ti.try_number,
            at=datetime.now(UTC),
            reason=one_line(str(context.get("exception") or "the task's process ended without a message")),
        )
        variables = Variables(site)
        if replaces(failure, variables.load(LAST_FAILURE)):
            variables.save(LAST_FAILURE, failure)

    return failed


def _text_of(option: str, default: str) -> str:
    return str(conf.get(SECTION, option, fallback=default))
