"""Which natural keys are being uploaded right now: how two uploads at once learn of each other's runs.

Whether WATS has a natural key is asked before a report is posted. Two uploads that run side by side may both be told
no, and the second post would overwrite the first. So each writes down the keys it is about to post before it asks, and
then reads what the others wrote: of two, at least one sees the other.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Self
from urllib.parse import quote
from uuid import UUID

from upath import UPath

from vte_wats.domain.report import Report
from vte_wats.storage.object_storage import make_folder, write_whole

# An upload takes minutes at most; what is older was left behind by one that was killed and never tried again.
_STALE_AFTER = timedelta(hours=6)

Identity = tuple[str, str, int, str]


class InFlightKeys:
    """The claims of one upload, named after it, beside those of others. They go when the ``with`` block ends."""

    def __init__(self, storage: UPath, upload: str, now_at: datetime) -> None:
        self._folder = storage / "uploading"
        self._name = f"{quote(upload, safe='')}.json"
        self._now_at = now_at
        self._own: dict[Identity, set[UUID]] = {}

    def __enter__(self) -> Self:
        """Nothing is written before something is claimed."""
        return self

    def __exit__(self, *_: object) -> None:
        """Give up every claim; what was posted is found in WATS from here on."""
        with suppress(FileNotFoundError):
            (self._folder / self._name).unlink()

    def claim(self, reports: Iterable[Report], *, aloud: bool) -> dict[Identity, set[UUID]]:
        """Write down these reports; return all runs claimed now, by natural key, those of other uploads included.

        What is not said ``aloud`` is not written, and seen by no other upload.
        """
        for report in reports:
            self._own.setdefault(report.natural_key.identity, set()).add(report.report_id)
        if aloud:
            self._write()
        together = {key: set(guids) for key, guids in self._own.items()}
        for path in self._others():
            self._add(together, path)
        return together

    def _write(self) -> None:
        lines = [[*key, [str(guid) for guid in sorted(guids)]] for key, guids in self._own.items()]
        claimed = {"at": self._now_at.isoformat(), "claims": lines}
        make_folder(self._folder)
        write_whole(self._folder / self._name, json.dumps(claimed).encode())

    def _others(self) -> list[UPath]:
        try:
            return [path for path in self._folder.iterdir() if path.suffix == ".json" and path.name != self._name]
        except (FileNotFoundError, NotADirectoryError):  # a bucket has the folder as long as it has a file
            return []

    def _add(self, together: dict[Identity, set[UUID]], path: UPath) -> None:
        try:
            claimed = json.loads(path.read_bytes())
        except FileNotFoundError:  # that upload has ended meanwhile, so WATS has what it posted
            return
        if self._now_at - datetime.fromisoformat(claimed["at"]) > _STALE_AFTER:
            return
        for serial, part_number, process_code, start_at, guids in claimed["claims"]:
            key = (serial, part_number, process_code, start_at)
            together.setdefault(key, set()).update(UUID(guid) for guid in guids)
