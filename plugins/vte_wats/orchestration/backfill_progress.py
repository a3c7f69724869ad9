"""The Variable that says how far a backfill is, as its tasks change it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from vte_wats.backfill.dry_run_report import preview
from vte_wats.backfill.progress import Progress
from vte_wats.config.sites import Site
from vte_wats.orchestration.handover import Handover
from vte_wats.orchestration.resources import read_settings
from vte_wats.orchestration.variables import BACKFILL, Variables
from vte_wats.storage.staging import Staging

log = logging.getLogger(__name__)

PART = "__part_"


def first_dag_run_id(context: Any) -> str:
    """Return the id of the DAG run that the backfill started with."""
    dag_run_id: str = context["dag_run"].run_id
    return dag_run_id.partition(PART)[0]


def read_progress(context: Any, site: Site) -> Progress | None:
    """Return how far this backfill is; ``None`` when the Variable is about another one, or about none."""
    progress = Variables(site).load(BACKFILL)
    return progress if progress is not None and progress.dag_run_id == first_dag_run_id(context) else None


def change_progress(context: Any, site: Site, change: Callable[[Progress], Progress]) -> Progress | None:
    """Write the changed progress and return it; ``None``, and no change, for a cleared task of an older backfill."""
    progress = read_progress(context, site)
    if progress is None:
        return None
    changed = change(progress)
    Variables(site).save(BACKFILL, changed)
    return changed


def save_slice(context: Any, site: Site, staging: Staging, name: str, read: int) -> None:
    """Add a finished slice to the progress, and in a dry run leave what its mapping would do.

    Uploads that run side by side (``concurrent_tasks``) may overwrite each other's progress: what is shown lags behind
    until the part is settled, and nothing else depends on it.
    """
    if context["params"]["dry_run"]:
        Handover(preview=preview(staging, read_settings(site))).push(context)
    log.info("%s", change_progress(context, site, lambda known: known.with_slice(name, read, datetime.now(UTC))))
