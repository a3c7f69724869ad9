"""Who is notified of a site, what its mails say beside their subject, and where their links lead in the Airflow UI."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from urllib.parse import quote
from zoneinfo import ZoneInfo, available_timezones

from airflow.sdk.configuration import conf

from vte_wats.alerting.incidents import TaskFailure
from vte_wats.alerting.mails import AlertContext
from vte_wats.alerting.monitor_state import MonitorState
from vte_wats.config.alert_settings import AlertSettings
from vte_wats.config.settings import parse_alerts
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, VteWatsError
from vte_wats.messages import VW549
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


log = logging.getLogger(__name__)


def alerts_of(site: Site, monitor_state: MonitorState) -> tuple[AlertSettings, ZoneInfo, VteWatsError | None]:
    """Return the settings for alerts, the zone of their clock times, and what is wrong with them now.

    Those that could be read last count while what is there cannot be read; the monitor keeps them in its state.
    """
    try:
        return *parse_alerts(Variables(site).settings_text(), site.settings_variable), None
    except VteWatsError as exc:
        mistake = exc
    except Exception as exc:  # noqa: BLE001 -- whatever keeps Airflow from answering
        mistake = FatalError(VW549, f"the settings cannot be read: {type(exc).__name__}: {exc}")
    known = monitor_state.alerts is not None
    log.error("%s. %s", mistake, "Those that could be read last count" if known else "Nobody can be notified of it")
    zone = monitor_state.zone if monitor_state.zone in available_timezones() else "UTC"
    return monitor_state.alerts or AlertSettings(), ZoneInfo(zone), mistake
