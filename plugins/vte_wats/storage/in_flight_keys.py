"""Which natural keys are being uploaded right now: how two uploads at once learn of each other's runs.

Whether WATS has a natural key is asked before a report is posted. Two uploads that run side by side may both hear that
it is free, and the second post would overwrite the first. So each writes down the keys it is about to post before it
asks, and then reads what the others wrote: of two, at least one sees the other.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict
from upath import UPath

from vte_wats.domain.report import Report
from vte_wats.messages import VW621
from vte_wats.storage.object_storage import create_folder, file_name, read_file, write_atomically

log = logging.getLogger(__name__)

# An upload takes minutes at most; what is older was left behind by one that was killed and never tried again.
_STALE_AFTER = timedelta(hours=6)
_LARGEST_BYTES = 64_000_000

Identity = tuple[str, str, int, str]


class _InFlightKey(BaseModel):
    """A natural key as it is compared, and the runs that have it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    serial: str
    part_number: str
    process_code: int
    start_at: str
    index_guids: tuple[UUID, ...]

    @property
    def identity(self) -> Identity:
        return self.serial, self.part_number, self.process_code, self.start_at

    @classmethod
    def of(cls, identity: Identity, index_guids: Iterable[UUID]) -> Self:
        serial, part_number, process_code, start_at = identity
        return cls(
            serial=serial,
            part_number=part_number,
            process_code=process_code,
            start_at=start_at,
            index_guids=tuple(sorted(index_guids)),
        )


class _InFlightFile(BaseModel):
    """What one upload writes down for the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    started_at: AwareDatetime
    keys: tuple[_InFlightKey, ...]


class InFlightKeys:
    """The natural keys of one upload, named after it, beside those of others. They go when the ``with`` block ends."""

    def __init__(self, storage: UPath, upload: str, now_at: datetime) -> None:
        self._folder = storage / "uploading"
        self._name = f"{file_name(upload)}.json"
        self._now_at = now_at
        self._own: dict[Identity, set[UUID]] = {}

    def __enter__(self) -> Self:
        """Nothing is written before a key is added."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove every key of this upload; what was posted is found in WATS from here on."""
        with suppress(FileNotFoundError):
            (self._folder / self._name).unlink()

    def add(self, reports: Iterable[Report], *, persist: bool) -> dict[Identity, set[UUID]]:
        """Add the keys of these reports; return the runs in flight by natural key, those of other uploads included.

        With ``persist`` the keys are on disk before the others are read; without, no other upload sees them.
        """
        for report in reports:
            self._own.setdefault(report.natural_key.identity, set()).add(report.report_id)
        if persist:
            self._write()
        together = {identity: set(guids) for identity, guids in self._own.items()}
        for path in self._other_uploads():
            for key in self._keys_in(path):
                together.setdefault(key.identity, set()).update(key.index_guids)
        return together

    def _write(self) -> None:
        keys = tuple(_InFlightKey.of(identity, guids) for identity, guids in self._own.items())
        content = _InFlightFile(started_at=self._now_at, keys=keys)
        create_folder(self._folder)
        write_atomically(self._folder / self._name, content.model_dump_json().encode())

    def _other_uploads(self) -> list[UPath]:
        try:
            return [path for path in self._folder.iterdir() if path.suffix == ".json" and path.name != self._name]
        except (FileNotFoundError, NotADirectoryError):  # a bucket has the folder as long as it has a file
            return []

    def _keys_in(self, path: UPath) -> tuple[_InFlightKey, ...]:
        try:
            content = _InFlightFile.model_validate_json(read_file(path, _LARGEST_BYTES))
        except FileNotFoundError:  # that upload has ended meanwhile, so WATS has what it posted
            return ()
        except ValueError as exc:
            log.warning("%s %s is damaged and left out; remove it: %s", VW621, path, str(exc).partition("\n")[0])
            return ()
        return () if self._now_at - content.started_at > _STALE_AFTER else content.keys
