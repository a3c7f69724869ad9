"""Loads what tasks need while a component starts: Airflow forks the tasks of LocalExecutor, which then have it already.

Only the components that Airflow calls jobs hear of it, of which the scheduler and the DAG processor fork.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import Any

from airflow.listeners import hookimpl
from airflow.sdk.io import get_fs

log = logging.getLogger(__name__)

NEEDED_BY_TASKS = (
    "vte_wats.orchestration.backfill_tasks",
    "vte_wats.orchestration.backfill_progress",
    "vte_wats.orchestration.dag_defaults",
    "vte_wats.orchestration.handover",
    "vte_wats.orchestration.metrics",
    "vte_wats.orchestration.metrics",
    "vte_wats.orchestration.sync_tasks",
    "vte_wats.orchestration.task_context",
    "vte_wats.orchestration.transfer",
    "vte_wats.orchestration.verified_state",
    "vte_wats.state.late_arrivals",
    "vte_wats.sync.confirmed_check",
    "vte_wats.sync.map_runs",
    "vte_wats.sync.slices",
    "vte_wats.sync.near_check",
    "vte_wats.sync.plan",
    "vte_wats.sync.settle",
    "vte_wats.vte.reader",
    "vte_wats.wats.client",
    "vte_wats.wats.hook",
)


@hookimpl
def on_starting(component: Any) -> None:
    """Load the modules and every kind of storage; what cannot be loaded is left to the task that needs it."""
    del component
    try:
        for name in NEEDED_BY_TASKS:
            import_module(name)
        get_fs("file")
    except Exception:
        log.info("tasks load their modules themselves", exc_info=True)
