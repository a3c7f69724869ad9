"""Runs that could not be uploaded, one JSON file each: nothing is dropped, and nothing is capped."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from typing import TypeVar
from uuid import UUID

from pydantic import AliasChoices, BaseModel, ConfigDict, Field
from pydantic_core import from_json
from upath import UPath

from vte_wats.domain.run import DeadLetterKind, VteTestRun
from vte_wats.intervals.interval import Instant
from vte_wats.messages import VW923
from vte_wats.storage.object_storage import (
    create_folder,
    read_beginning,
    read_file,
    remove_file,
    storage_errors,
    write_atomically,
)

log = logging.getLogger(__name__)

FOLDER = "dead_letters"
UNREADABLE = "is no dead letter and counts as none; look at it, then remove it"

_LARGEST_BYTES = 256_000_000  # a larger file is no dead letter, and would fill the memory of who reads it
_HEADER_BYTES = 4_096  # what stands before the steps; they are most of a dead letter
_LONGEST_HEADER_BYTES = 1_000_000  # with a long reason in it; what has a longer one is no dead letter
_FILE_NAME = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json")  # as str(UUID) writes it


class DeadLetterHeader(BaseModel):
    """What stands before the run in a dead letter: enough to count and to group, without reading the data.

    ``signature`` is equal for all runs with the same reason. ``dag_id`` and ``dag_run_id`` name the DAG run that wrote
    the dead letter last, when one did.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    index_guid: UUID
    kind: DeadLetterKind
    reason: str
    signature: str
    first_at: Instant
    last_at: Instant
    attempts: int
    dag_id: str | None = None
    dag_run_id: str | None = Field(None, validation_alias=AliasChoices("dag_run_id", "run_id"))  # its earlier name


class DeadLetter(DeadLetterHeader):
    """One run, complete and last in its dead letter, with why it is here."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")

    run: VteTestRun


Header = TypeVar("Header", bound=DeadLetterHeader)


def read_header(path: UPath, model: type[Header]) -> Header:
    """Read the beginning of a dead letter, and more of it only where a long reason fills the beginning.

    Raises FileNotFoundError, and ValueError for a file that is no dead letter.
    """
    for end in (_HEADER_BYTES, _LONGEST_HEADER_BYTES):
        with suppress(ValueError):
            beginning = from_json(read_beginning(path, end), allow_partial=True)
            if "run" in beginning:  # it stands last, so what stands before it is complete
                return model.model_validate(beginning)
    raise ValueError("no dead letter: its beginning does not reach to a run")


class DeadLetters:
    """The folder of dead letters, local or in a bucket. A dead letter is on disk when :meth:`put` returns."""

    def __init__(self, storage: UPath, *, dag_id: str | None = None, dag_run_id: str | None = None) -> None:
        """``dag_id`` and ``dag_run_id`` are those of whoever writes dead letters."""
        self.storage = storage
        self._folder = storage / FOLDER
        self._dag_id, self._dag_run_id = dag_id, dag_run_id

    def put(self, run: VteTestRun, kind: DeadLetterKind, reason: str, signature: str, now_at: datetime) -> DeadLetter:
        """Write a run's dead letter; one that is there already keeps its first time and counts one attempt more."""
        earlier = self.get(run.index_guid)
        dead_letter = DeadLetter(
            index_guid=run.index_guid,
            kind=kind,
            reason=reason,
            signature=signature,
            first_at=earlier.first_at if earlier else now_at,
            last_at=now_at,
            attempts=earlier.attempts + 1 if earlier else 1,
            dag_id=self._dag_id,
            dag_run_id=self._dag_run_id,
            run=run,
        )
        create_folder(self._folder)
        write_atomically(self._path(run.index_guid), dead_letter.model_dump_json(indent=1).encode())
        return dead_letter

    def get(self, guid: UUID) -> DeadLetter | None:
        """Return a run's dead letter, if it has one; an unreadable file counts as none."""
        try:
            return DeadLetter.model_validate_json(read_file(self._path(guid), _LARGEST_BYTES))
        except FileNotFoundError:
            return None
        except ValueError:
            self._log_unreadable(guid)
            return None

    def remove(self, guid: UUID) -> None:
        """Remove the dead letter of a run that reached WATS after all; another worker may have done so already."""
        remove_file(self._path(guid))

    def guids(self) -> frozenset[UUID]:
        """Return which runs have a dead letter, from the names of the files alone; other files are left out."""
        try:
            with storage_errors(self._folder):
                names = [path.name for path in self._folder.iterdir()]
        except (FileNotFoundError, NotADirectoryError):  # in a bucket the folder goes with its last file
            return frozenset()
        return frozenset(UUID(name.removesuffix(".json")) for name in names if _FILE_NAME.fullmatch(name))

    def __iter__(self) -> Iterator[DeadLetter]:
        """Yield every dead letter."""
        for guid in sorted(self.guids()):
            dead_letter = self.get(guid)
            if dead_letter is not None:
                yield dead_letter

    def headers(self) -> Iterator[DeadLetterHeader]:
        """Yield every header, reading only the beginning of each file; unreadable files are left out."""
        for guid in sorted(self.guids()):
            try:
                yield read_header(self._path(guid), DeadLetterHeader)
            except FileNotFoundError:  # its run reached WATS meanwhile
                continue
            except ValueError:
                self._log_unreadable(guid)

    def _log_unreadable(self, guid: UUID) -> None:
        log.warning("%s %s %s", VW923, self._path(guid), UNREADABLE)

    def _path(self, guid: UUID) -> UPath:
        return self._folder / f"{guid}.json"
