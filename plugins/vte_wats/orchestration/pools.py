"""Whether the pools of a site give slots: a task whose pool does not exist waits for ever, and fails nowhere.

A task can ask Airflow about tasks, not about pools. Tasks that wait while nothing of the site is at work show it.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence

from vte_wats.config.sites import Site

_POLL_S = 2.0
_TRANSFERRING = ("sync", "reconcile", "backfill")
_WAITING = ["scheduled"]
_AT_WORK = ["queued", "running"]


def tasks_by_pool(site: Site) -> dict[str, dict[str, list[str]]]:
    """Return the tasks of each pool, by the kind of their DAG."""
    reading = {kind: ["plan", "transfer.extract"] for kind in _TRANSFERRING}
    reading["reconcile"] += ["find_gone", "read_expected", "read_sample"]
    uploading = {kind: ["transfer.upload"] for kind in _TRANSFERRING}
    return {
        site.vte_pool: reading | {"preflight": ["vte"]},
        site.survey_pool: {"survey": ["survey"], "preflight": ["survey_pool"]},
        site.wats_pool: uploading
        | {
            "reconcile": ["compare", "list_reports", "transfer.upload", "verify"],
            "preflight": ["wats"],
            "acceptance": ["accept"],
            "survey": ["processes"],
        },
        site.state_pool: {kind: ["settle"] for kind in _TRANSFERRING} | {"preflight": ["state"]},
    }


def pools_without_slots(site: Site) -> tuple[str, ...]:
    """Return the pools whose tasks wait although nothing of the site is at work. A paused DAG's tasks do not count.

    While something is at work, it may be what the others wait for, and nothing is known.
    """
    pools = tasks_by_pool(site)
    if any(_is_any(site, tasks, _AT_WORK) for tasks in pools.values()):
        return ()
    return tuple(pool for pool, tasks in pools.items() if _is_any(site, tasks, _WAITING))


def pools_that_give_no_slot(site: Site, patience_s: float) -> tuple[str, ...]:
    """Return the pools that have no open slot within ``patience_s``; when each gives one, at once.

    What is at work elsewhere says nothing of a pool: within that time each that exists gives a slot.
    """
    ends_at = time.monotonic() + patience_s
    pools = _waited_for(site)
    while pools and time.monotonic() < ends_at:
        time.sleep(_POLL_S)
        still = _waited_for(site)
        pools = tuple(pool for pool in pools if pool in still)
    return pools


def _waited_for(site: Site) -> tuple[str, ...]:
    """Return the pools whose tasks wait while none of that pool is at work."""
    return tuple(
        pool
        for pool, tasks in tasks_by_pool(site).items()
        if _is_any(site, tasks, _WAITING) and not _is_any(site, tasks, _AT_WORK)
    )


def _is_any(site: Site, tasks: Mapping[str, Sequence[str]], states: list[str]) -> bool:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return any(
        RuntimeTaskInstance.get_ti_count(site.dag_id(kind), task_ids=list(task_ids), states=states)
        and not (states == _WAITING and _is_paused(site.dag_id(kind)))
        for kind, task_ids in tasks.items()
    )


def _is_paused(dag_id: str) -> bool:
    from airflow.sdk.execution_time.comms import DagResult, GetDag
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    found = SUPERVISOR_COMMS.send(GetDag(dag_id=dag_id))
    return isinstance(found, DagResult) and found.is_paused
