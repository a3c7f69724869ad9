"""The tasks of ``vte_wats_preflight``: they examine VTE, WATS, the state, and the pools of these and of the survey."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import get_current_context, task

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW567, VW630

log = logging.getLogger(__name__)

_PATIENCE_S = 60.0


@task(task_id="pools", retries=0)
def examine_pools(site_name: str) -> None:
    """Fail when the pool of another task has no open slot. Its own pool is Airflow's default, which always exists."""
    from vte_wats.orchestration.pools import pools_that_give_no_slot

    if pools := pools_that_give_no_slot(Site(site_name), _PATIENCE_S):
        raise FatalError(VW630, f"{', '.join(pools)}: tasks wait, and none in it is at work. {VW630.advice}")


@task(task_id="survey_pool", retries=0)
def take_survey_slot() -> None:
    """Do nothing, in the pool of the survey: only a task that waits for its slot shows that a pool does not exist."""


@task(task_id="state", multiple_outputs=False)
def examine_state(site_name: str) -> dict[str, Any]:
    """Read the state of the site, and fail when it is damaged."""
    from vte_wats.orchestration.resources import read_state

    state = read_state(Site(site_name), get_current_context()["dag"].start_date)  # type: ignore[arg-type]
    log.info("lastSync %s", state.last_sync if state else "never")
    return {"last_sync": state.last_sync.isoformat() if state else None}


@task(task_id="vte", multiple_outputs=False)
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


@task(task_id="wats", multiple_outputs=False)
def examine_wats(site_name: str) -> dict[str, Any]:
    """Examine WATS, and fail when it does not know a process that the settings name."""
    from vte_wats.orchestration.resources import open_wats, profile_problem, read_settings
    from vte_wats.preflight import advice, examine_processes, report

    site = Site(site_name)
    settings = read_settings(site)
    with open_wats(site, settings) as wats:
        findings = examine_processes(wats.process_codes(), settings)
        return report([*findings, *advice(VW567, profile_problem(site))], log)
