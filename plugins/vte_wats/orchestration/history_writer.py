"""What settle writes for people to look at: the history and the metrics. Nothing that is transferred depends on it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from vte_wats.config.settings import Settings
from vte_wats.config.sites import Site
from vte_wats.health import Stored, health
from vte_wats.orchestration import metrics
from vte_wats.orchestration.resources import storage_of
from vte_wats.orchestration.variables import HISTORY, Variables
from vte_wats.state.coverage import State
from vte_wats.state.history import History, Tally
from vte_wats.storage.dead_letters import DeadLetters

log = logging.getLogger(__name__)


def settled_history(
    context: Any,
    settings: Settings,
    history: History,
    after: State,
    results: Sequence[Mapping[str, Any]],
    *,
    is_live: bool,
) -> History:
    """Return the history with what the uploads of this DAG run transferred, counted once.

    ``is_live`` says that it is a sync: a comparison or a backfill is no sign that the sync is alive.
    """
    dag_run, now_at = context["dag_run"], datetime.now(UTC)
    budget = max((result.get("budget_per_minute", 0) for result in results), default=0)
    history = history.settled(
        f"{context['dag'].dag_id}/{dag_run.run_id}", now_at, Tally.of(results), budget_per_minute=budget or None
    ).seen(None, after.coverage)
    if not is_live:
        return history
    from_at, to_at = dag_run.data_interval_start, dag_run.data_interval_end
    interval_s = int((to_at - from_at).total_seconds()) if dag_run.run_type == "scheduled" and from_at else None
    return history.synced(now_at, interval_s, settings.settle_delay_s)


def write_history(context: Any, site: Site, settings: Settings, state: State, history: History) -> None:
    """Write the history and send the metrics; a dry run leaves both alone. Only settle may do so."""
    if context["params"]["dry_run"]:
        return
    dead_letters = len(DeadLetters(storage_of(site, settings)).guids())
    history = history.model_copy(update={"dead_letters": dead_letters})
    Variables(site).save(HISTORY, history)
    now_at = datetime.now(UTC)
    metrics.settled(site, state, history, now_at)
    # What a sync knows of the site: whether the monitor checks anything is not its to say.
    log.info("%s", health([Stored(state, history, checked_at=now_at)], now_at))
