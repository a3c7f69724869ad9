"""The dead letters of a site, as the API server reads them from the storage that it shares with the workers."""

from __future__ import annotations

import time
from dataclasses import dataclass

from airflow.models.variable import Variable
from fastapi import HTTPException, status
from upath import UPath

from vte_wats.config.settings import parse_settings
from vte_wats.config.sites import Site
from vte_wats.orchestration.resources import storage_of
from vte_wats.storage.dead_letter_index import DeadLetterGroups, DeadLetterIndex

_FRESH_S = 5.0  # however many people look, the folder is listed no more often


@dataclass(slots=True)
class _Kept:
    index: DeadLetterIndex
    letters: DeadLetterGroups | None = None
    read_at_s: float = 0.0


_kept: dict[str, _Kept] = {}


def letters_of(site: Site) -> DeadLetterGroups:
    """Return the groups. Answers 503 with the reason when settings or storage cannot be read."""
    try:
        settings = parse_settings(Variable.get(site.settings_variable, default_var=None), site.settings_variable)
        return _letters_in(storage_of(site, settings))
    except Exception as exc:  # every bucket's client raises errors of its own
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, f"Dead letters cannot be read: {exc}") from exc


def _letters_in(storage: UPath) -> DeadLetterGroups:
    kept = _kept.setdefault(str(storage), _Kept(DeadLetterIndex(storage)))
    now_s = time.monotonic()
    if kept.letters is None or kept.letters.read < kept.letters.listed or now_s - kept.read_at_s > _FRESH_S:
        kept.letters = kept.index.groups()
        kept.read_at_s = now_s
    return kept.letters
