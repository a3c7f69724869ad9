"""What settle keeps for people to look at: the history and the metrics. Nothing that is carried depends on it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vte_wats.config.settings import Settings
from vte_wats.config.sites import Site
from vte_wats.health import Stored, health
from vte_wats.orchestration import metrics
from vte_wats.orchestration.resources import read_history, storage_of, write_history
from vte_wats.orchestration.tasks import SNAPSHOT_KEY
from vte_wats.state.coverage import State
from vte_wats.state.history import History, PlanSnapshot, Tally
from vte_wats.storage.dead_letters import DeadLetters

log = logging.getLogger(__name__)


def history_so_far(context: Any, site: Site, state: State) -> History:
    """Return the history with what the plan of this DAG run saw in VTE."""
    seen = context["ti"].xcom_pull(task_ids="plan", key=SNAPSHOT_KEY)
    return read_history(site).seen(seen and PlanSnapshot.model_validate(seen), state.coverage)


def history_settled(
    context: Any, site: Site, history: History, after: State, results: Sequence[Mapping[str, Any]]
) -> History:
    """Return the history with what the uploads of this DAG run carried, counted once."""
    dag_id, dag_run, now_at = context["dag"].dag_id, context["dag_run"], datetime.now(UTC)
    budget = max((result.get("budget_per_minute", 0) for result in results), default=0)
    history = history.settled(
        f"{dag_id}/{dag_run.run_id}", now_at, Tally.of(results), budget_per_minute=budget or None
    ).seen(None, after.coverage)
    if dag_id != site.dag_id("sync"):  # a comparison or a backfill is no sign that the sync lives
        return history
    from_at, to_at = dag_run.data_interval_start, dag_run.data_interval_end
    interval_s = int((to_at - from_at).total_seconds()) if dag_run.run_type == "scheduled" and from_at else None
    return history.synced(now_at, interval_s)


def publish_history(context: Any, site: Site, settings: Settings, state: State, history: History) -> None:
    """Write the history and send the metrics; a dry run leaves both alone. Only settle may do so."""
    if context["params"]["dry_run"]:
        return
    letters = len(DeadLetters(storage_of(site, settings)).guids())
    history = history.model_copy(update={"dead_letters": letters})
    write_history(site, history)
    now_at = datetime.now(UTC)
    metrics.settled(site, state, history, now_at)
    log.info("%s", health([Stored(state, history)], now_at))
