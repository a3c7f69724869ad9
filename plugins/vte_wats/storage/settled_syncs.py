"""What the last syncs added to the state, one file each: what a task wrote over that knew nothing of it is added again.

Airflow's Variables cannot be compared and set in one step. Each sync is in ``settled/`` before the state is written;
the state names the last ones that it holds. One that has a file and is not named was lost.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict
from upath import UPath

from vte_wats.intervals.interval import Instant
from vte_wats.messages import VW524, VW621
from vte_wats.state.coverage import SettledSync, State
from vte_wats.storage.object_storage import (
    create_folder,
    file_name,
    read_file,
    remove_file,
    storage_errors,
    write_atomically,
)

log = logging.getLogger(__name__)

FOLDER = "settled"
_LARGEST_BYTES = 1_000_000


class _SettledFile(BaseModel):
    """A sync, and the state that it was added to: when that was started, and how many syncs it counted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    started_at: Instant | None
    after_syncs: int
    sync: SettledSync


class SettledSyncs:
    """The syncs that were added to the state of a site, as long as it names them."""

    def __init__(self, storage: UPath) -> None:
        self._folder = storage / FOLDER

    def note(self, syncs: Iterable[SettledSync], state: State) -> None:
        """Note what is about to be added to a state, but for what it holds already."""
        for sync in syncs:
            if sync.key not in state.settled:
                create_folder(self._folder)
                content = _SettledFile(started_at=state.started_at, after_syncs=state.syncs, sync=sync)
                write_atomically(self._folder / _name_of(sync.key), content.model_dump_json().encode())

    def with_lost(self, state: State) -> State:
        """Return the state with every sync that another task wrote over; files that say nothing of it any more go."""
        named = set(map(_name_of, state.settled))
        for path in self._paths():
            if path.name in named or (content := _read(path)) is None:
                continue
            if content.started_at != state.started_at or state.may_have_forgotten(content.after_syncs):
                remove_file(path)
                continue
            log.warning("%s another task had written over what a sync settled; it is added again", VW524)
            self.note([content.sync], state)
            state = state.extended(content.sync)
        return state

    def _paths(self) -> list[UPath]:
        try:
            with storage_errors(self._folder):
                return sorted(self._folder.glob("*.json"), key=lambda path: path.name)
        except (FileNotFoundError, NotADirectoryError):  # a bucket has the folder as long as it has a file
            return []


def _name_of(key: str) -> str:
    return f"{file_name(key)}.json"


def _read(path: UPath) -> _SettledFile | None:
    try:
        return _SettledFile.model_validate_json(read_file(path, _LARGEST_BYTES))
    except FileNotFoundError:  # another task has removed it meanwhile
        return None
    except ValueError as exc:
        log.warning("%s %s is damaged and left out; remove it: %s", VW621, path, str(exc).partition("\n")[0])
        return None
