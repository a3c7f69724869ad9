"""The task that removes files which are older than they may be; the daily comparison has it."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

from airflow.sdk import task

from vte_wats.config.sites import Site


@task(multiple_outputs=False)
def remove_old_files(site_name: str) -> dict[str, int]:
    """Remove dead letters and what failures left in staging, as the settings say; return how many."""
    from vte_wats.orchestration import metrics
    from vte_wats.orchestration.resources import read_settings, storage_of
    from vte_wats.orchestration.variables import BACKFILL, Variables
    from vte_wats.storage.retention import Retention, remove_old

    site = Site(site_name)
    settings = read_settings(site)
    backfill = Variables(site).load(BACKFILL)
    days = settings.dead_letter_retention_days
    retention = Retention(
        dead_letters=None if days is None else timedelta(days=days),
        staging=timedelta(days=settings.staging_retention_days),
        plan=None if backfill is None or backfill.ended_at is not None else backfill.reference,
    )
    removed = remove_old(storage_of(site, settings), retention, datetime.now(UTC))
    metrics.removed(site, removed)
    return asdict(removed)
