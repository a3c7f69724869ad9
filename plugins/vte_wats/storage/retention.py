"""How long files stay: dead letters as long as the setting says, what failures left behind for some days."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from upath import UPath

from vte_wats.storage.dead_letters import FOLDER as DEAD_LETTERS
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.in_flight_keys import FOLDER as UPLOADING
from vte_wats.storage.object_storage import UNFINISHED, storage_errors
from vte_wats.storage.settled_syncs import FOLDER as SETTLED
from vte_wats.storage.staging import STAGING
from vte_wats.storage.unseen_reports import DROPPED, FAILING, UNSEEN

log = logging.getLogger(__name__)

PLANS = "backfills"
_ABANDONED = timedelta(days=1)  # no file is written for so long


@dataclass(frozen=True, slots=True)
class Retention:
    """When files are removed; ``None`` is never. ``plan`` is the plan of the backfill that is in progress."""

    dead_letters: timedelta | None
    staging: timedelta
    plan: str | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    """How many were removed: dead letters, folders of DAG runs, plans of backfills, files that nobody will finish."""

    dead_letters: int
    staging: int
    plans: int
    abandoned: int


def remove_old(storage: UPath, retention: Retention, now_at: datetime) -> Removed:
    """Remove what is older than it may be, and say what it was."""
    removed = Removed(
        dead_letters=_dead_letters(storage, retention.dead_letters, now_at),
        staging=_staging(storage, now_at - retention.staging),
        plans=_files(storage / PLANS, now_at - retention.staging, suffix=".json", keep=f"{retention.plan}.json"),
        abandoned=sum(
            _files(storage / folder, now_at - _ABANDONED, suffix=suffix)
            for folder, suffix in (
                (UPLOADING, ".json"),
                (UPLOADING, UNFINISHED),
                (DEAD_LETTERS, UNFINISHED),
                (PLANS, UNFINISHED),
                (UNSEEN, UNFINISHED),
                (DROPPED, UNFINISHED),
                (FAILING, UNFINISHED),
                (SETTLED, UNFINISHED),
            )
        ),
    )
    log.info(
        "removed: %d dead letters, staging of %d DAG runs, %d plans of backfills, %d abandoned files",
        removed.dead_letters, removed.staging, removed.plans, removed.abandoned,
    )  # fmt: skip
    return removed


def _dead_letters(storage: UPath, age: timedelta | None, now_at: datetime) -> int:
    if age is None:
        return 0
    dead_letters, removed = DeadLetters(storage), 0
    for header in dead_letters.headers():
        if header.first_at < now_at - age:
            dead_letters.remove(header.index_guid)
            removed += 1
            log.info("Run %s: its dead letter of %s is removed: %s", header.index_guid, header.first_at, header.reason)
    return removed


def _staging(storage: UPath, before_at: datetime) -> int:
    """Remove the folders of DAG runs in which nothing was written since."""
    fs, removed = storage.fs, 0
    for dag in _listed(storage / STAGING):
        for dag_run in _listed(storage / STAGING / _name(dag)):
            path = dag_run["name"]
            with suppress(FileNotFoundError), storage_errors(storage):  # its DAG run has just settled
                written = [fs.modified(file) for file in fs.find(path) or [path]]
                if max(written) < before_at:
                    fs.rm(path, recursive=True)
                    removed += 1
    return removed


def _files(folder: UPath, before_at: datetime, *, suffix: str, keep: str = "") -> int:
    fs, removed = folder.fs, 0
    for file in _listed(folder):
        name = _name(file)
        with suppress(FileNotFoundError), storage_errors(folder):  # whose it is has just removed it
            if name.endswith(suffix) and name != keep and fs.modified(file["name"]) < before_at:
                fs.rm_file(file["name"])
                removed += 1
    return removed


def _name(listed: dict[str, Any]) -> str:
    name: str = listed["name"]
    return name.rstrip("/").rpartition("/")[2]


def _listed(folder: UPath) -> list[dict[str, Any]]:
    folder.fs.invalidate_cache()
    try:
        with storage_errors(folder):
            return list(folder.fs.ls(folder.path, detail=True))
    except (FileNotFoundError, NotADirectoryError):  # in a bucket the folder goes with its last file
        return []
