"""### Before go-live, and whenever something looks odd: do VTE, WATS and the settings fit together?

Trigger it. Nothing is written anywhere. The log of **vte** is for the person who installs and the database administrator:
server, columns that are missing or of another type, indexes that are missing with the statement that makes them, how
gently VTE is read, the rights of the login, runs without Timestamp. The log of **wats** says whether WATS knows the
processes of `process_map`.

| you see | it means | do |
|---|---|---|
| WRONG | syncing would fail, or read the wrong thing | do what the line says; the task fails so that nobody overlooks it |
| ADVICE | it works, and could be faster, gentler or safer | give the line to whom it concerns |
| GOOD | as it should be | nothing |
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, task

from vte_wats.config.sites import Site
from vte_wats.orchestration.dag_options import read_dag_settings
from vte_wats.orchestration.tasks import Priority, priority_arguments, task_arguments

deployment = read_dag_settings()
log = logging.getLogger(__name__)


@task
def vte(site_name: str) -> dict[str, Any]:
    """Look at the source database, and fail when something is wrong with it."""
    from vte_wats.orchestration.resources import open_source, read_settings
    from vte_wats.preflight import examine, report

    site = Site(site_name)
    settings = read_settings(site)
    with open_source(site, settings) as source:
        identity, server_now_at = source.identity()
        skew_s = (server_now_at - datetime.now(UTC)).total_seconds()
        return report(examine(identity, source.facts(), skew_s, settings), log)


@task
def wats(site_name: str) -> dict[str, Any]:
    """Look at WATS, and fail when it does not know a process that the settings name."""
    from vte_wats.orchestration.resources import open_wats, read_settings
    from vte_wats.preflight import examine_processes, report

    site = Site(site_name)
    settings = read_settings(site)
    with open_wats(site, settings) as session:
        return report(examine_processes(session.process_codes(), settings), log)


for one in deployment.sites:
    with DAG(
        one.dag_id("preflight"),
        doc_md=__doc__,
        schedule=None,
        start_date=deployment.start_date,
        max_active_runs=1,
        default_args=task_arguments(one, deployment) | priority_arguments(Priority.LIVE),
        tags=["vte", "wats", *filter(None, [one.name])],
    ):
        vte(one.name)
        wats.override(pool=one.wats_pool)(one.name)
