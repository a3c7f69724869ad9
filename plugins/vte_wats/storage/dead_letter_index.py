"""What is known of all dead letters: each look lists the folder, and reads only what is new in it.

Who writes dead letters notes what they say in a file of its own beside them; who looks at all of them, as the monitor
does, puts these files together to one. So each dead letter is read by few, if by anybody. What a file says counts only
for a dead letter that is listed as it was then; a file that is damaged, or was never written, costs reading.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from uuid import UUID, uuid4

from more_itertools import map_reduce
from pydantic import BaseModel, ConfigDict, Field, NaiveDatetime, field_validator
from upath import UPath

from vte_wats.domain.errors import FatalError, VteWatsError, code_of
from vte_wats.domain.redaction import redact
from vte_wats.domain.run import DeadLetterKind
from vte_wats.intervals.interval import Instant
from vte_wats.messages import VW569, VW634, VW923
from vte_wats.storage.dead_letters import UNREADABLE, DeadLetter, DeadLetterHeader, read_header
from vte_wats.storage.object_storage import storage_errors
from vte_wats.storage.staging import StagedFileError, Staging

log = logging.getLogger(__name__)

INDEX = "dead_letter_index"

_VERSION_FIELDS = ("size", "mtime", "created", "LastModified", "ETag")  # which there are depends on the file system
_LONGEST_REASON = 2_000
_FILE = "read"
_WORTH_A_FILE = 20  # new dead letters; fewer are read one by one
_NEVER_AT = datetime.min.replace(tzinfo=UTC)
EXAMPLES = 5


class DeadLetterProduct(BaseModel):
    """The product of a run in a dead letter."""

    name: str | None = None


class DeadLetterRun(BaseModel):
    """The run of a dead letter, as far as the beginning of its file names it."""

    timestamp_local: NaiveDatetime
    serial: str | None = None
    product: DeadLetterProduct = DeadLetterProduct()


class DeadLetterSummary(DeadLetterHeader):
    """What the beginning of a dead letter says; of a long reason only as much as people read."""

    run: DeadLetterRun

    @classmethod
    def of(cls, dead_letter: DeadLetter) -> DeadLetterSummary:
        """Return what the beginning of a dead letter says that was just written."""
        return cls.model_validate(dead_letter, from_attributes=True)

    @field_validator("reason")
    @classmethod
    def _readable(cls, reason: str) -> str:
        return redact(reason)[:_LONGEST_REASON]


class DeadLetterExample(BaseModel):
    """One dead letter of a group."""

    index_guid: UUID
    serial: str | None
    product: str | None
    reason: str
    first_at: Instant
    attempts: int

    @classmethod
    def of(cls, summary: DeadLetterSummary) -> DeadLetterExample:
        """Return what people want to see of a dead letter."""
        return cls(
            index_guid=summary.index_guid,
            serial=summary.run.serial,
            product=summary.run.product.name,
            reason=summary.reason,
            first_at=summary.first_at,
            attempts=summary.attempts,
        )


class DeadLetterGroup(BaseModel):
    """Dead letters with the same reason: the signature redrives them together."""

    signature: str
    kind: DeadLetterKind
    code: str = Field(description="The code of the latest reason, VW and three digits.")
    dead_letters: int
    first_at: Instant
    last_at: Instant
    examples: list[DeadLetterExample] = Field(description="The latest of them.")


class DeadLetterGroups(BaseModel):
    """All dead letters in groups. ``read`` stays behind ``listed`` until every dead letter was looked at once."""

    listed: int
    read: int
    unreadable: int = Field(description="What cannot be read as a dead letter: other files, folders, links, pipes.")
    dead: int = Field(description="Runs that can never be uploaded as they are.")
    held: int = Field(description="Runs that wait for a setting.")
    groups: list[DeadLetterGroup]


class _Seen(BaseModel):
    model_config = ConfigDict(frozen=True)

    name: str
    version: tuple[str, ...]
    summary: DeadLetterSummary | None


def _written_at(seen: _Seen) -> datetime:
    return seen.summary.last_at if seen.summary else _NEVER_AT


class DeadLetterIndex:
    """Keeps what it read of one folder, so that a look costs a listing and at most ``max_new`` new dead letters.

    For one thread at a time. ``None`` reads all that is new, for those who act on every dead letter.
    """

    def __init__(self, storage: UPath, max_new: int | None = 2_000) -> None:
        self._folder = storage / "dead_letters"
        self._max_new = max_new
        self._kept_in = storage / INDEX
        self._kept = Staging(self._kept_in)
        self._seen: dict[str, _Seen] = {}
        self._on_file: dict[str, _Seen] = {}
        self._parts: list[str] = []

    def add(self, written: Collection[DeadLetterSummary]) -> None:
        """Keep what these dead letters say, which were just written, for all who look."""
        if not written:
            return
        with self._cheaper_reading():
            listed = dict(self._list())
            by_name = {f"{summary.index_guid}.json": summary for summary in written}
            seen = (
                _Seen(name=name, version=listed[name][0], summary=summary)
                for name, summary in by_name.items()
                if name in listed
            )
            self._kept.write(uuid4().hex, (kept.model_dump_json() for kept in seen))

    def groups(self) -> DeadLetterGroups:
        """Return the groups, the largest first."""
        listed = self._look()
        known = self._known()
        kinds = Counter(summary.kind for summary in known)
        return DeadLetterGroups(
            listed=listed,
            read=len(self._seen),
            unreadable=len(self._seen) - len(known),
            dead=kinds[DeadLetterKind.DEAD],
            held=kinds[DeadLetterKind.HELD],
            groups=_grouped(known),
        )

    def summaries(self) -> tuple[DeadLetterSummary, ...]:
        """Return what every dead letter says, and keep it in the storage for the next who looks."""
        self._look()
        if self._parts or self._seen != self._on_file:
            with self._cheaper_reading():
                self._kept.write(_FILE, (seen.model_dump_json() for seen in self._seen.values()))
                self._on_file = dict(self._seen)
                self._kept.remove(self._parts)
                self._parts = []
        return tuple(self._known())

    def _known(self) -> list[DeadLetterSummary]:
        return [seen.summary for seen in self._seen.values() if seen.summary is not None]

    def _look(self) -> int:
        """Look at what is new; return how many dead letters are listed."""
        listed = dict(self._list())
        new = self._new(listed)
        if len(new) > _WORTH_A_FILE or not self._seen:
            self._seen = self._load(listed) | {name: seen for name, seen in self._seen.items() if name not in new}
            new = self._new(listed)
        self._seen = {name: seen for name, seen in self._seen.items() if name in listed}
        for name in sorted(new)[: self._max_new]:
            self._look_at(name, *listed[name])
        return len(listed)

    def _new(self, listed: Mapping[str, tuple[tuple[str, ...], bool]]) -> list[str]:
        return [
            name
            for name, (version, _) in listed.items()
            if name not in self._seen or self._seen[name].version != version
        ]

    def _load(self, listed: Mapping[str, tuple[tuple[str, ...], bool]]) -> dict[str, _Seen]:
        """Return what was kept of the dead letters that are as they were then; of several, what was written last."""
        names = self._kept.names()
        self._parts = [name for name in names if name != _FILE]
        self._on_file = {}
        found: dict[str, _Seen] = {}
        for name in sorted(names, key=_FILE.__eq__):  # last: what was put together meanwhile is in it
            kept = self._read(name)
            if name == _FILE:
                self._on_file = {seen.name: seen for seen in kept}
            for seen in kept:
                if listed.get(seen.name, ((), False))[0] == seen.version:
                    found[seen.name] = max(found.get(seen.name, seen), seen, key=_written_at)
        return found

    def _read(self, name: str) -> list[_Seen]:
        """Return what a file says; a damaged one counts as none, for every dead letter can be read again."""
        try:
            return list(self._kept.parsed(name, _Seen.model_validate_json))
        except StagedFileError as exc:
            if not isinstance(exc.__cause__, FileNotFoundError):  # it was put together with others meanwhile
                log.warning("%s the index of the dead letters is written again: %s", VW634, exc)
            return []

    @contextmanager
    def _cheaper_reading(self) -> Iterator[None]:
        """Go on when the index cannot be written: without it every dead letter is read, and that is all."""
        try:
            with storage_errors(self._kept_in):
                yield
        except VteWatsError as exc:
            log.warning("%s the index of the dead letters is not written: %s", VW569, exc)

    def _list(self) -> Iterator[tuple[str, tuple[tuple[str, ...], bool]]]:
        """Yield each entry's name with what changes when it is written again, and whether it is a regular file."""
        fs = self._folder.fs
        fs.invalidate_cache()
        try:
            with storage_errors(self._folder):
                files = fs.ls(self._folder.path, detail=True)
        except (FileNotFoundError, NotADirectoryError):  # in a bucket the folder goes with its last file
            return
        for file in files:
            if file["name"].endswith(".json"):
                version = tuple(str(file.get(field)) for field in _VERSION_FIELDS)
                yield file["name"].rpartition("/")[2], (version, file["type"] == "file" and not file.get("islink"))

    def _look_at(self, name: str, version: tuple[str, ...], is_regular: bool) -> None:  # noqa: FBT001
        """Read one entry; a pipe would never end, a link leads elsewhere: those are not opened."""
        summary = None
        try:
            if is_regular:
                with suppress(FatalError):  # none for us
                    summary = read_header(self._folder / name, DeadLetterSummary)
        except FileNotFoundError:  # its run reached WATS meanwhile
            return
        except ValueError:
            log.warning("%s %s %s", VW923, self._folder / name, UNREADABLE)
        self._seen[name] = _Seen(name=name, version=version, summary=summary)


def _grouped(summaries: list[DeadLetterSummary]) -> list[DeadLetterGroup]:
    by_reason = map_reduce(summaries, lambda summary: (summary.signature, summary.kind))
    groups = [_group(members) for members in by_reason.values()]
    return sorted(groups, key=lambda group: (-group.dead_letters, group.signature))


def _group(members: list[DeadLetterSummary]) -> DeadLetterGroup:
    """Return the group of dead letters with one reason."""
    latest_first = sorted(members, key=lambda member: member.last_at, reverse=True)
    return DeadLetterGroup(
        signature=members[0].signature,
        kind=members[0].kind,
        code=code_of(latest_first[0].reason),
        dead_letters=len(members),
        first_at=min(member.first_at for member in members),
        last_at=latest_first[0].last_at,
        examples=[DeadLetterExample.of(member) for member in latest_first[:EXAMPLES]],
    )
