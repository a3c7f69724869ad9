"""Which reports WATS confirmed and did not show when it was asked after its delay, and how often, until they show.

One file per upload that confirmed them, so that uploads side by side take nothing from each other.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from uuid import UUID

from pydantic import BaseModel, ConfigDict, ValidationError
from upath import UPath

from vte_wats.messages import VW621
from vte_wats.storage.object_storage import create_folder, read_file, write_atomically
from vte_wats.storage.storage_errors import storage_errors

log = logging.getLogger(__name__)

FOLDER = "unseen"
_LARGEST_BYTES = 64_000_000


class _UnseenFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tries: dict[UUID, int]


class UnseenReports:
    """The runs whose report is not shown, with the number of posts that WATS confirmed."""

    def __init__(self, storage: UPath) -> None:
        self._folder = storage / FOLDER

    def tries(self) -> dict[UUID, int]:
        """Return each run with how often its report was confirmed and not shown."""
        together: dict[UUID, int] = {}
        for _, tries in self._files():
            together |= {guid: max(count, together.get(guid, 0)) for guid, count in tries.items()}
        return together

    def add(self, upload: str, tries: Mapping[UUID, int]) -> None:
        """Note what the upload with this file name confirmed and WATS does not show."""
        create_folder(self._folder)
        content = _UnseenFile(tries=dict(tries))
        write_atomically(self._folder / upload, content.model_dump_json().encode())

    def forget(self, guids: Collection[UUID]) -> None:
        """Remove runs that are shown, or have another outcome, from every file."""
        for path, tries in self._files():
            left = {guid: count for guid, count in tries.items() if guid not in guids}
            if not left:
                with suppress(FileNotFoundError):
                    path.unlink()
            elif len(left) < len(tries):
                self.add(path.name, left)

    def _files(self) -> Iterator[tuple[UPath, Mapping[UUID, int]]]:
        try:
            with storage_errors(self._folder):
                paths = sorted(self._folder.iterdir(), key=lambda path: path.name)
        except (FileNotFoundError, NotADirectoryError):  # a bucket has the folder as long as it has a file
            return
        for path in paths:
            try:
                yield path, _UnseenFile.model_validate_json(read_file(path, _LARGEST_BYTES)).tries
            except FileNotFoundError:  # another upload has removed it meanwhile
                continue
            except ValidationError as exc:
                log.warning("%s %s is damaged and left out; remove it: %s", VW621, path, str(exc).partition("\n")[0])
