"""Runs that could not be uploaded, one JSON file each: nothing is dropped, and nothing is capped."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError
from upath import UPath

from vte_wats.domain.run import VteTestRun
from vte_wats.messages import VW923
from vte_wats.storage.object_storage import make_folder, write_whole

log = logging.getLogger(__name__)

HEAD_BYTES = 4_096  # what stands before the steps; they are most of a letter
_BEFORE_RUN = b',\n "run":'  # a line of its own in a letter; line breaks inside texts are escaped
_LETTER = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.json")  # as str(UUID) writes it


class DeadLetterKind(StrEnum):
    """Whether the run itself is bad, or waits for a person to extend a setting."""

    DEAD = "dead"
    HELD = "held"


class DeadLetterHead(BaseModel):
    """What stands before the run in a letter: enough to count and to group, without reading the data.

    ``signature`` is equal for all runs with the same reason. ``dag_id`` and ``dag_run_id`` name the DAG run that wrote
    the letter last, when one did.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    index_guid: UUID
    kind: DeadLetterKind
    reason: str
    signature: str
    first_at: datetime
    last_at: datetime
    attempts: int
    dag_id: str | None = None
    dag_run_id: str | None = None


class DeadLetter(DeadLetterHead):
    """One run, complete and last in its letter, with why it is here."""

    model_config = ConfigDict(extra="forbid", ser_json_inf_nan="strings")

    run: VteTestRun


class DeadLetters:
    """The folder of dead letters, local or in a bucket. A letter is on disk when :meth:`put` returns."""

    def __init__(self, storage: UPath, *, dag_id: str | None = None, dag_run_id: str | None = None) -> None:
        """``dag_id`` and ``dag_run_id`` are those of whoever writes letters."""
        self._folder = storage / "dead_letters"
        self._dag_id, self._dag_run_id = dag_id, dag_run_id

    def put(self, run: VteTestRun, kind: DeadLetterKind, reason: str, signature: str, now_at: datetime) -> DeadLetter:
        """Write the letter of a run; one that is there already keeps its first time and counts one attempt more."""
        earlier = self.get(run.index_guid)
        letter = DeadLetter(
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
        make_folder(self._folder)
        write_whole(self._path(run.index_guid), letter.model_dump_json(indent=1).encode())
        return letter

    def get(self, guid: UUID) -> DeadLetter | None:
        """Return the letter of a run, if it has one; a file that is none counts as none."""
        try:
            return DeadLetter.model_validate_json(self._path(guid).read_bytes())
        except FileNotFoundError:
            return None
        except ValidationError:
            self._tell_of_no_letter(guid)
            return None

    def remove(self, guid: UUID) -> None:
        """Remove the letter of a run that reached WATS after all; another worker may have done so already."""
        with suppress(FileNotFoundError):
            self._path(guid).unlink()

    def guids(self) -> frozenset[UUID]:
        """Return which runs have a letter, from the names of the files alone; what others put there is no letter."""
        try:
            return frozenset(UUID(path.stem) for path in self._folder.iterdir() if _LETTER.fullmatch(path.name))
        except (FileNotFoundError, NotADirectoryError):  # in a bucket the folder goes with its last letter
            return frozenset()

    def __iter__(self) -> Iterator[DeadLetter]:
        """Yield every letter."""
        for guid in sorted(self.guids()):
            letter = self.get(guid)
            if letter is not None:
                yield letter

    def heads(self) -> Iterator[DeadLetterHead]:
        """Yield the head of every letter, reading only the beginning of its file; a file that is none is left out."""
        for guid in sorted(self.guids()):
            try:
                with self._path(guid).open("rb") as file:
                    beginning = file.read(HEAD_BYTES)
            except FileNotFoundError:  # its run reached WATS meanwhile
                continue
            head, found, _ = beginning.partition(_BEFORE_RUN)
            try:
                if found:
                    yield DeadLetterHead.model_validate_json(head + b"}")
                elif (letter := self.get(guid)) is not None:
                    yield DeadLetterHead.model_validate(letter.model_dump(exclude={"run"}))
            except ValidationError:
                self._tell_of_no_letter(guid)

    def _tell_of_no_letter(self, guid: UUID) -> None:
        log.warning("%s %s is no dead letter and counts as none; look at it, then remove it", VW923, self._path(guid))

    def _path(self, guid: UUID) -> UPath:
        return self._folder / f"{guid}.json"
