"""Dead letters in groups, for people to look at: each request lists the folder, and reads only what is new in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from more_itertools import map_reduce
from pydantic import BaseModel, Field, field_validator
from upath import UPath

from vte_wats.domain.errors import FatalError
from vte_wats.domain.outcome import DeadLetterKind
from vte_wats.domain.redaction import redact
from vte_wats.storage.dead_letters import DeadLetterHeader, read_header

_VERSION_FIELDS = ("size", "mtime", "created", "LastModified", "ETag")  # which there are depends on the file system
_LONGEST_REASON = 2_000
EXAMPLES = 5


class DeadLetterProduct(BaseModel):
    """The product of a run in a dead letter."""

    name: str | None = None


class DeadLetterRun(BaseModel):
    """The run of a dead letter, as far as the beginning of its file names it."""

    serial: str | None = None
    product: DeadLetterProduct = DeadLetterProduct()


class DeadLetterSummary(DeadLetterHeader):
    """What the beginning of a dead letter says; of a long reason only as much as people read."""

    run: DeadLetterRun = DeadLetterRun()

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
    first_at: datetime
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
    dead_letters: int
    first_at: datetime
    last_at: datetime
    examples: list[DeadLetterExample] = Field(description="The latest of them.")


class DeadLetterGroups(BaseModel):
    """All dead letters in groups. ``read`` stays behind ``listed`` until every dead letter was looked at once."""

    listed: int
    read: int
    unreadable: int = Field(description="What cannot be read as a dead letter: other files, folders, links, pipes.")
    dead: int = Field(description="Runs that can never be uploaded as they are.")
    held: int = Field(description="Runs that wait for a setting.")
    groups: list[DeadLetterGroup]


@dataclass(frozen=True, slots=True)
class _Seen:
    version: tuple[str, ...]
    summary: DeadLetterSummary | None


class DeadLetterIndex:
    """Keeps what it read of one folder, so that a look costs a listing and at most ``max_new`` new dead letters.

    For one thread at a time.
    """

    def __init__(self, storage: UPath, max_new: int = 2_000) -> None:
        self._folder = storage / "dead_letters"
        self._max_new = max_new
        self._seen: dict[str, _Seen] = {}

    def groups(self) -> DeadLetterGroups:
        """Return the groups, the largest first. Failures of the file system leave as OSError."""
        listed = dict(self._list())
        self._seen = {name: seen for name, seen in self._seen.items() if name in listed}
        new = [
            name
            for name, (version, _) in listed.items()
            if name not in self._seen or self._seen[name].version != version
        ]
        for name in sorted(new)[: self._max_new]:
            self._look_at(name, *listed[name])
        summaries = [seen.summary for seen in self._seen.values()]
        known = [summary for summary in summaries if summary is not None]
        kinds = Counter(summary.kind for summary in known)
        return DeadLetterGroups(
            listed=len(listed),
            read=len(summaries),
            unreadable=len(summaries) - len(known),
            dead=kinds[DeadLetterKind.DEAD],
            held=kinds[DeadLetterKind.HELD],
            groups=_grouped(known),
        )

    def _list(self) -> Iterator[tuple[str, tuple[tuple[str, ...], bool]]]:
        """Yield each entry's name with what changes when it is written again, and whether it is a regular file."""
        fs = self._folder.fs
        fs.invalidate_cache()
        try:
            files = fs.ls(self._folder.path, detail=True)
        except FileNotFoundError:
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
                with suppress(ValueError, FatalError):  # no dead letter, or none for us
                    summary = read_header(self._folder / name, DeadLetterSummary)
        except FileNotFoundError:  # its run reached WATS meanwhile
            return
        self._seen[name] = _Seen(version, summary)


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
        dead_letters=len(members),
        first_at=min(member.first_at for member in members),
        last_at=latest_first[0].last_at,
        examples=[DeadLetterExample.of(member) for member in latest_first[:EXAMPLES]],
    )
