"""Which reports WATS confirmed and did not show when it was asked later, and how often, until they show.

In ``unseen/`` are those of which the next sync knows, after the delay of WATS; in ``dropped/`` those that a comparison
missed, which WATS may show for hours each time. In ``failing/`` are those for which WATS fails instead, until they have
an outcome. One file per upload that posted them, so that uploads side by side take nothing from each other.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from upath import UPath

from vte_wats.messages import VW621
from vte_wats.storage.object_storage import create_folder, read_file, remove_file, storage_errors, write_atomically

log = logging.getLogger(__name__)

UNSEEN, DROPPED, FAILING = "unseen", "dropped", "failing"
_LARGEST_BYTES = 64_000_000
_COMPARED = "compared.json"
_MOST_AWAITED = 100_000  # when a WATS lost more, it is not about these reports


@dataclass(frozen=True, slots=True)
class Tries:
    """How often WATS confirmed, or failed for, a report with this content; without ``source_hash`` with any.

    ``taken_at_s`` is when WATS had last taken any report at the last of these, in seconds since 1970.
    """

    count: int
    source_hash: str | None = None
    taken_at_s: float = 0.0

    def of(self, source_hash: str) -> int:
        """Return how often it confirmed this very content."""
        return self.count if self.source_hash in (None, source_hash) else 0

    def again(self, source_hash: str, taken_at_s: float = 0.0) -> Tries:
        """Return this after one more of them; with other content than before it is the first one."""
        return Tries(self.of(source_hash) + 1, source_hash, taken_at_s)


NO_TRIES = Tries(0)


class _UnseenFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    tries: dict[UUID, int]
    hashes: dict[UUID, str] = {}
    taken_at_s: dict[UUID, float] = {}


class UnseenReports:
    """The runs whose report is not shown, with the number of posts that WATS confirmed."""

    def __init__(self, storage: UPath, folder: str = UNSEEN) -> None:
        self._folder = storage / folder

    def tries(self) -> dict[UUID, Tries]:
        """Return each run with how often its report was confirmed and not shown."""
        together: dict[UUID, Tries] = {}
        for _, tries in self._files():
            for guid, found in tries.items():
                together[guid] = max(found, together.get(guid, found), key=lambda tries: tries.count)
        return together

    def add(self, upload: str, tries: Mapping[UUID, Tries]) -> None:
        """Note what the upload with this file name confirmed; what others noted of these runs before is replaced."""
        if tries:
            self._write(upload, tries)
            self.forget(tries.keys(), but_in=upload)

    def wait_for(self, guids: Iterable[UUID]) -> None:
        """Note the runs that a comparison missed, instead of those of the last one; what is known of any stays."""
        known = self.tries()
        awaited = dict.fromkeys(
            islice((guid for guid in guids if not known.get(guid, NO_TRIES).count), _MOST_AWAITED), NO_TRIES
        )
        self.forget({guid for guid, found in known.items() if not found.count})
        if awaited:
            self._write(_COMPARED, awaited)

    def forget(self, guids: Collection[UUID], *, but_in: str | None = None) -> None:
        """Remove runs that are shown, or have another outcome, from every file but one."""
        for path, tries in self._files():
            left = {guid: found for guid, found in tries.items() if guid not in guids}
            if path.name == but_in:
                continue
            if not left:
                remove_file(path)
            elif len(left) < len(tries):
                self._write(path.name, left)

    def _write(self, name: str, tries: Mapping[UUID, Tries]) -> None:
        create_folder(self._folder)
        hashes = {guid: found.source_hash for guid, found in tries.items() if found.source_hash is not None}
        taken_at_s = {guid: found.taken_at_s for guid, found in tries.items() if found.taken_at_s}
        counts = {guid: found.count for guid, found in tries.items()}
        content = _UnseenFile(tries=counts, hashes=hashes, taken_at_s=taken_at_s)
        write_atomically(self._folder / name, content.model_dump_json(exclude_defaults=True).encode())

    def _files(self) -> Iterator[tuple[UPath, Mapping[UUID, Tries]]]:
        try:
            with storage_errors(self._folder):
                paths = sorted(self._folder.iterdir(), key=lambda path: path.name)
        except (FileNotFoundError, NotADirectoryError):  # a bucket has the folder as long as it has a file
            return
        for path in paths:
            try:
                content = _UnseenFile.model_validate_json(read_file(path, _LARGEST_BYTES))
            except FileNotFoundError:  # another upload has removed it meanwhile
                continue
            except ValueError as exc:  # no JSON of this kind, or no regular file
                log.warning("%s %s is damaged and left out; remove it: %s", VW621, path, str(exc).partition("\n")[0])
                continue
            yield (
                path,
                {
                    guid: Tries(count, content.hashes.get(guid), content.taken_at_s.get(guid, 0.0))
                    for guid, count in content.tries.items()
                },
            )
