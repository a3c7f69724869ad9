"""The tasks of ``vte_wats_preflight``: one examines VTE, one WATS."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import task

from vte_wats.config.sites import Site

log = logging.getLogger(__name__)


@task(task_id="vte")
def examine_vte(site_name: str) -> dict[str, Any]:
    """Examine the source database, and fail when something is wrong with it."""
    from vte_wats.orchestration.resources import open_vte, read_settings
    from vte_wats.preflight import examine, report

    site = Site(site_name)
    settings = read_settings(site)
    with open_vte(site, settings) as vte:
        identity, server_now_at = vte.identity()
        skew_s = (server_now_at - datetime.now(UTC)).total_seconds()
        return report(examine(identity, vte.facts(), skew_s, settings), log)


@task(task_id="wats")
def examine_wats(site_name: str) -> dict[str, Any]:
    """Examine WATS, and fail when it does not know a process that the settings name."""
    from vte_wats.orchestration.resources import open_wats, read_settings
    from vte_wats.preflight import examine_processes, report

    site = Site(site_name)
    settings = read_settings(site)
    with open_wats(site, settings) as wats:
        return report(examine_processes(wats.process_codes(), settings), log)
