"""The Variable that says how far a backfill is, as its tasks change it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import ValidationError

from vte_wats.backfill.dry_run_report import preview
from vte_wats.backfill.progress import Progress
from vte_wats.backfill.request import PartReference
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW623
from vte_wats.orchestration.handover import Handover
from vte_wats.orchestration.resources import read_settings
from vte_wats.orchestration.variables import BACKFILL, Variables
from vte_wats.storage.staging import Staging

log = logging.getLogger(__name__)

CONTINUED = "continued"


def first_part(context: Any) -> PartReference:
    """Return the reference to the first part of the backfill that this DAG run would plan."""
    dag_run = context["dag_run"]
    return PartReference.first(context["dag"].dag_id, dag_run.run_id, dag_run.run_after)


def part_reference(context: Any) -> PartReference:
    """Return which part of which plan this DAG run processes. Raises FatalError for one that nobody handed on."""
    continued = (context["dag_run"].conf or {}).get(CONTINUED)
    if continued is None:
        return first_part(context)
    try:
        return PartReference.model_validate(continued)
    except ValidationError as exc:
        raise FatalError(
            VW623,
            f"{CONTINUED}: only the DAG run before may give it, as a reference to a plan and a part. Trigger the "
            "backfill with its form alone",
        ) from exc


def read_progress(context: Any, site: Site) -> Progress | None:
    """Return how far this backfill is; ``None`` when the Variable is about another one, or about none."""
    progress = Variables(site).load(BACKFILL)
    return progress if progress is not None and progress.reference == part_reference(context).plan else None


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
