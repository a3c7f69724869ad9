"""Whether WATS shows what it confirmed: asked once per upload, as soon as its delay is over.

What it does not show is transferred again by the next sync, a bounded number of times.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from upath import UPath

from vte_wats.config.settings import Settings
from vte_wats.domain.ports import Wats
from vte_wats.messages import VW546
from vte_wats.storage.in_flight_keys import ConfirmedUpload, confirmed_uploads
from vte_wats.storage.unseen_reports import NO_TRIES, UnseenReports
from vte_wats.sync.plan import plan_named
from vte_wats.sync.slices import AGAIN, Slice

log = logging.getLogger(__name__)

_MOST_REPORTS = 1_000  # asked for by one upload: a handful of requests, for the current interval waits meanwhile


def plan_unseen(storage: UPath, settings: Settings, now_at: datetime) -> tuple[Slice, ...]:
    """Return the slice of runs whose report WATS confirmed and does not show, as many as fit.

    Without such runs it is an empty slice when there is something to ask WATS for, and none otherwise.
    """
    uploads = confirmed_uploads(storage)
    asked_later = {report.report_id for upload in uploads for report in upload.confirmed}
    unseen = sorted(UnseenReports(storage).tries().keys() - asked_later)[: settings.batch_size]
    if unseen:
        return tuple(replace(slice_, name=f"{AGAIN}{slice_.name}") for slice_ in plan_named(unseen, settings))
    return (Slice(AGAIN, 0),) if any(upload.is_due(now_at) for upload in uploads) else ()


def check_confirmed(wats: Wats, storage: UPath, now_at: datetime) -> None:
    """Ask WATS for the reports that it confirmed and has to show by now; note those that it does not show.

    Of a run whose report was replaced meanwhile, the last confirmation counts alone.
    """
    unseen, asked = UnseenReports(storage), 0
    uploads = confirmed_uploads(storage)
    last = {report.report_id: upload.path for upload in uploads for report in upload.confirmed}
    for found in uploads:
        confirmed = tuple(report for report in found.confirmed if last[report.report_id] == found.path)
        upload = replace(found, confirmed=confirmed)
        if not upload.is_due(now_at) or asked >= _MOST_REPORTS:
            continue
        asked += len(upload.confirmed)
        missing = _not_shown(wats, upload) if upload.confirmed else {}
        if missing:
            count = len(missing)
            log.warning("%s WATS confirmed %d reports and does not show them; they are posted again", VW546, count)
            before = unseen.tries()
            tries = {guid: before.get(guid, NO_TRIES).again(source_hash) for guid, source_hash in missing.items()}
            unseen.add(upload.path.name, tries)
        unseen.forget({report.report_id for report in upload.confirmed} - missing.keys())
        upload.remove()


def _not_shown(wats: Wats, upload: ConfirmedUpload) -> dict[UUID, str]:
    """Return the runs without a report, or with another one than was confirmed, and what was confirmed, as its hash."""
    found = wats.find_reports([report.report_id for report in upload.confirmed], upload.started)
    return {
        report.report_id: report.source_hash or ""
        for report in upload.confirmed
        if report.report_id not in found or found[report.report_id].source_hash not in (report.source_hash, None)
    }
