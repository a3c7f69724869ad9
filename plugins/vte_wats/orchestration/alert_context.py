"""What the mails of a site can say beside their subject, and where their links lead in the Airflow UI."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo

from airflow.sdk.configuration import conf

from vte_wats.alerting.mails import AlertContext
from vte_wats.alerting.monitor_state import MonitorState
from vte_wats.alerting.task_failure import TaskFailure
from vte_wats.config.sites import Site
from vte_wats.orchestration.variables import LAST_FAILURE, Variables
from vte_wats.state.coverage import State


def alert_context(site: Site, zone: ZoneInfo, monitor_state: MonitorState, state: State | None) -> AlertContext:
    """Return what is known of the site now."""
    failure = Variables(site).load(LAST_FAILURE)
    return AlertContext(site, datetime.now(UTC), zone, monitor_state, state, failure, links_for(site, failure))


def links_for(site: Site, failure: TaskFailure | None = None, dag_run_id: str | None = None) -> list[tuple[str, str]]:
    """Return (label, address) of the sync DAG, or one DAG run of it, and of the task that failed.

    There are none when the deployment does not say where its UI is.
    """
    base = conf.get("api", "base_url", fallback="").rstrip("/")
    if not base:
        return []
    page = ("Status page", f"{base}/plugin/vte_wats")
    dag = f"{base}/dags/{site.dag_id('sync')}"
    links = [
        page,
        ("Airflow: the sync", dag)
        if dag_run_id is None
        else ("Airflow: this DAG run", f"{dag}/runs/{quote(dag_run_id, safe='')}"),
    ]
    if failure is not None:
        dag_run = f"{base}/dags/{failure.dag_id}/runs/{quote(failure.dag_run_id, safe='')}"
        mapped = f"/mapped/{failure.map_index}" if failure.map_index >= 0 else ""
        log = f"{dag_run}/tasks/{failure.task_id}{mapped}?try_number={failure.try_number}"
        links.append(("Log of the failed task", log))
    return links
