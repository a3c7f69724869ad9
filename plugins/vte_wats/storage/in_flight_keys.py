"""Which natural keys are being uploaded right now: how two uploads at once learn of each other's runs.

Whether WATS has a natural key is asked before a report is posted. Two uploads that run side by side may both hear that
it is free, and the second post would overwrite the first. So each writes down the keys it is about to post before it
asks, and then reads what the others wrote: of two, at least one sees the other.

A report that WATS has confirmed shows in its queries later, up to a minute. For that time the keys stay after the
upload has ended, with what was confirmed, so that the next upload neither posts a run again nor overwrites it. After it
the file stays until WATS was asked whether it shows them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Self
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict
from upath import UPath

from vte_wats.domain.errors import VteWatsError
from vte_wats.domain.report import Report, StoredReport
from vte_wats.intervals.interval import Interval, in_utc
from vte_wats.messages import VW621
from vte_wats.storage.object_storage import (
    create_folder,
    file_name,
    read_file,
    remove_file,
    storage_errors,
    write_atomically,
)
from vte_wats.storage.unseen_reports import DROPPED, FAILING, UnseenReports

log = logging.getLogger(__name__)

FOLDER = "uploading"

# An upload takes minutes at most; what is older was left behind by one that was killed and never tried again.
_STALE_AFTER = timedelta(hours=6)
_LARGEST_BYTES = 64_000_000

Identity = tuple[str, str, int, str]


def _an_instant(text: str) -> str:
    in_utc(datetime.fromisoformat(text))
    return text


class _InFlightKey(BaseModel):
    """A natural key as it is compared, and the runs that have it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    serial: str
    part_number: str
    process_code: int
    start_at: Annotated[str, AfterValidator(_an_instant)]
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
    """What one upload writes down for the others. ``hidden_until_at`` is when all that was confirmed surely shows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    started_at: AwareDatetime
    keys: tuple[_InFlightKey, ...]
    confirmed: tuple[StoredReport, ...] = ()
    hidden_until_at: AwareDatetime | None = None

    @property
    def counts_until_at(self) -> datetime:
        """Until when the others have to look at it."""
        return self.hidden_until_at or self.started_at + _STALE_AFTER


@dataclass(frozen=True, slots=True)
class ConfirmedUpload:
    """What one upload that has ended got confirmed, and from when on WATS has to show it.

    ``started`` is when the runs of these reports started.
    """

    path: UPath
    confirmed: tuple[StoredReport, ...]
    hidden_until_at: datetime
    started: Interval | None

    def is_due(self, now_at: datetime) -> bool:
        """Return whether WATS has to show the reports."""
        return now_at >= self.hidden_until_at

    def remove(self) -> None:
        """Forget it: WATS was asked."""
        remove_file(self.path)


def confirmed_uploads(storage: UPath) -> list[ConfirmedUpload]:
    """Return the uploads that have ended and WATS was not asked about since, the earliest confirmation first."""
    found = [
        ConfirmedUpload(path, content.confirmed, content.hidden_until_at, _started(content.keys))
        for path in _files(storage / FOLDER)
        if (content := _read(path)) is not None and content.confirmed and content.hidden_until_at is not None
    ]
    return sorted(found, key=lambda upload: (upload.hidden_until_at, upload.path.name))


def _started(keys: Iterable[_InFlightKey]) -> Interval | None:
    starts = [in_utc(datetime.fromisoformat(key.start_at)) for key in keys]
    return Interval(min(starts), max(starts) + timedelta(seconds=1)) if starts else None


class InFlightKeys:
    """The natural keys of one upload, named after it, beside those of others.

    When the ``with`` block ends, those of reports that WATS has confirmed stay for ``shown_after_s``, the others go.
    ``clock`` returns the present instant, aware UTC.
    """

    def __init__(self, storage: UPath, upload: str, clock: Callable[[], datetime], shown_after_s: float = 0.0) -> None:
        self.unseen, self.dropped = UnseenReports(storage), UnseenReports(storage, DROPPED)
        self.failing = UnseenReports(storage, FAILING)
        self._folder = storage / FOLDER
        self._path = self._folder / f"{file_name(upload)}.json"
        self._clock = clock
        self._started_at = clock()
        self._shown_after = timedelta(seconds=shown_after_s)
        self._own: dict[Identity, set[UUID]] = {}
        self._confirmed: dict[UUID, StoredReport] = {}

    @property
    def name(self) -> str:
        """What the file of this upload is called, in whichever folder."""
        return self._path.name

    def __enter__(self) -> Self:
        """Nothing is written before a key is added. What an earlier try confirmed stays known."""
        earlier = _read(self._path)
        if earlier is not None and earlier.confirmed:
            self._confirmed = {report.report_id: report for report in earlier.confirmed}
            self._own = {key.identity: set(key.index_guids) & self._confirmed.keys() for key in earlier.keys}
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        """Remove every key of this upload but those of reports that WATS has confirmed.

        An upload that failed fails for its own reason, also where the storage refuses then.
        """
        try:
            self._keep_confirmed()
        except VteWatsError as exc:
            if failure is None:
                raise
            log.warning("%s", exc)

    def _keep_confirmed(self) -> None:
        if not self._confirmed:
            remove_file(self._path)
            return
        kept = {identity: guids & self._confirmed.keys() for identity, guids in self._own.items()}
        self._write({identity: guids for identity, guids in kept.items() if guids}, self._clock() + self._shown_after)

    def add(self, reports: Iterable[Report], *, persist: bool) -> dict[Identity, set[UUID]]:
        """Add the keys of these reports; return the runs in flight by natural key, those of other uploads included.

        With ``persist`` the keys are on disk before the others are read; without, no other upload sees them.
        """
        for report in reports:
            self._own.setdefault(report.natural_key.identity, set()).add(report.report_id)
        if persist:
            self._write(self._own, None)
        together = {identity: set(guids) for identity, guids in self._own.items()}
        for content in self._other_uploads():
            for key in content.keys:
                together.setdefault(key.identity, set()).update(key.index_guids)
        return together

    def confirm(self, stored: StoredReport) -> None:
        """Note that WATS has confirmed a report, with this content and under this id."""
        self._confirmed[stored.report_id] = stored

    def confirmed(self) -> dict[UUID, StoredReport]:
        """Return the reports of all uploads that WATS has confirmed and may not show yet."""
        together: dict[UUID, StoredReport] = {}
        for content in sorted(self._other_uploads(), key=lambda content: content.counts_until_at):
            together |= {stored.report_id: stored for stored in content.confirmed}
        return together | self._confirmed

    def _write(self, keys: dict[Identity, set[UUID]], hidden_until_at: datetime | None) -> None:
        content = _InFlightFile(
            started_at=self._started_at,
            keys=tuple(_InFlightKey.of(identity, guids) for identity, guids in keys.items()),
            confirmed=() if hidden_until_at is None else tuple(self._confirmed.values()),
            hidden_until_at=hidden_until_at,
        )
        create_folder(self._folder)
        write_atomically(self._path, content.model_dump_json(exclude_defaults=True).encode())

    def _other_uploads(self) -> Iterator[_InFlightFile]:
        """Yield what other uploads wrote; what nobody has to look at any more is removed."""
        for path in _files(self._folder):
            content = None if path.name == self._path.name else _read(path)
            if content is None:
                continue
            if self._clock() < content.counts_until_at:
                yield content
            elif not content.confirmed:
                remove_file(path)


def _files(folder: UPath) -> list[UPath]:
    try:
        with storage_errors(folder):
            return [path for path in folder.iterdir() if path.suffix == ".json"]
    except (FileNotFoundError, NotADirectoryError):  # a bucket has the folder as long as it has a file
        return []


def _read(path: UPath) -> _InFlightFile | None:
    try:
        return _InFlightFile.model_validate_json(read_file(path, _LARGEST_BYTES))
    except FileNotFoundError:  # that upload has ended meanwhile, so WATS has what it posted
        return None
    except ValueError as exc:
        log.warning("%s %s is damaged and left out; remove it: %s", VW621, path, str(exc).partition("\n")[0])
        return None
