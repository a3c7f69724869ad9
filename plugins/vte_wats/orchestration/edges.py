"""The outside world as the tasks open it: settings, storage, state, VTE and WATS, all from Airflow."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from airflow.sdk import ObjectStoragePath, Variable
from pydantic import ValidationError
from upath import UPath

from vte_wats.coverage import State
from vte_wats.errors import FatalError
from vte_wats.settings import VARIABLE, Settings, parse_settings

if TYPE_CHECKING:  # the drivers load inside a task, never when a DAG file is parsed
    from vte_wats.ports import Wats
    from vte_wats.source.vte import VteSource

STATE_VARIABLE = "vte_wats_state"


def read_settings() -> Settings:
    """Read the Variable ``vte_wats``; every mistake in it is one line of the error."""
    return parse_settings(Variable.get(VARIABLE, default=None))


def open_source(settings: Settings) -> VteSource:
    """Return VTE, to be entered with ``with``; nothing is dialled before."""
    from vte_wats.source.vte import VteSource

    return VteSource(settings)


def open_wats(settings: Settings) -> AbstractContextManager[Wats]:
    """Return WATS, to be entered with ``with``; nothing is dialled before."""
    from vte_wats.wats.hook import WatsHook

    return WatsHook().session(existence_check=settings.existence_check)


def storage_of(settings: Settings) -> UPath:
    """Return the folder or bucket that holds staging and dead letters."""
    airflow_home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    return cast("UPath", ObjectStoragePath(settings.storage_path or f"file://{airflow_home}/vte_wats"))


def wats_host() -> str:
    """Return the host that the connection wats_default names; nothing is dialled."""
    from vte_wats.wats.hook import WatsHook

    return str(urlsplit(WatsHook().read_connection().url).hostname)


def read_state(since_at: datetime) -> State | None:
    """Read what the syncs since ``since_at`` have done; ``None`` when there is no state.

    Raises FatalError when the Variable holds something else: a damaged state is for a person to judge.
    """
    text = Variable.get(STATE_VARIABLE, default=None)
    if text is None:
        return None
    try:
        state = State.model_validate_json(text)
    except ValidationError as exc:
        raise FatalError(
            f"the Variable {STATE_VARIABLE} is damaged: {exc.errors()[0]['msg']}. Restore it from a backup, "
            "or delete it and trigger vte_wats_sync without a logical date and with accept_identity: it begins anew "
            "at the DAG's start date, and runs that are in WATS already are skipped"
        ) from exc
    return state.model_copy(update={"since_at": since_at.astimezone(UTC)})


def write_state(state: State) -> None:
    """Write the state. Only a task in the pool ``vte_wats_state``, which has one slot, may do so."""
    Variable.set(STATE_VARIABLE, state.model_dump_json(by_alias=True, indent=1))
    logging.getLogger(__name__).info("lastSync %s, totals %s", state.last_sync, state.totals)
