"""Dead letters in groups, for people to look at: every request lists the folder, and reads what is new in it alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from threading import Lock
from uuid import UUID

from pydantic import BaseModel, Field
from pydantic_core import from_json
from upath import UPath

from vte_wats.storage.dead_letters import HEAD_BYTES, DeadLetterHead, DeadLetterKind

_MARKS = ("size", "mtime", "created", "LastModified", "ETag")  # which of them there are depends on the file system
EXAMPLES = 5


class Product(BaseModel):
    """The product of a run in a letter."""

    name: str | None = None


class DeadLetterRun(BaseModel):
    """The run of a letter, as far as its beginning names it."""

    serial: str | None = None
    product: Product = Product()


class DeadLetterSummary(DeadLetterHead):
    """What the beginning of a letter says."""

    run: DeadLetterRun = DeadLetterRun()


class Example(BaseModel):
    """One letter of a group."""

    index_guid: UUID
    serial: str | None
    product: str | None
    reason: str
    first_at: datetime
    attempts: int


class Group(BaseModel):
    """Letters with the same reason: the signature drives them again together."""

    signature: str
    kind: DeadLetterKind
    dead_letters: int
    first_at: datetime
    last_at: datetime
    examples: list[Example] = Field(description="The latest of them.")


class DeadLetterGroups(BaseModel):
    """All dead letters in groups. ``read`` stays behind ``listed`` until every letter was looked at once."""

    listed: int
    read: int
    unreadable: int = Field(description="Files in the folder that are no letters.")
    groups: list[Group]


@dataclass(frozen=True, slots=True)
class _Seen:
    mark: tuple[str, ...]
    summary: DeadLetterSummary | None


class DeadLetterIndex:
    """Keeps what it read of one folder, so that a request costs one listing and at most ``most`` new letters."""

    def __init__(self, storage: UPath, most: int = 2_000) -> None:
        self._folder = storage / "dead_letters"
        self._most = most
        self._seen: dict[str, _Seen] = {}
        self._lock = Lock()

    def groups(self) -> DeadLetterGroups:
        """Return the groups, the largest first. Failures of the file system leave as OSError."""
        with self._lock:
            listed = dict(self._list())
            self._seen = {path: seen for path, seen in self._seen.items() if path in listed}
            new = [path for path, mark in listed.items() if path not in self._seen or self._seen[path].mark != mark]
            for path in sorted(new)[: self._most]:
                self._look_at(path, listed[path])
            summaries = [seen.summary for seen in self._seen.values()]
        known = [one for one in summaries if one is not None]
        return DeadLetterGroups(
            listed=len(listed), read=len(summaries), unreadable=len(summaries) - len(known), groups=_grouped(known)
        )

    def _list(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield every letter's path with what changes when it is written anew, as far as the file system tells."""
        fs = self._folder.fs
        fs.invalidate_cache()
        try:
            found = fs.ls(self._folder.path, detail=True)
        except FileNotFoundError:
            return
        for one in found:
            if one["name"].endswith(".json"):
                yield one["name"], tuple(str(one.get(mark)) for mark in _MARKS)

    def _look_at(self, path: str, mark: tuple[str, ...]) -> None:
        summary = None
        for end in (HEAD_BYTES, None):  # a long reason may fill the beginning
            try:
                head = self._folder.fs.cat_file(path, start=0, end=end)
            except FileNotFoundError:  # its run reached WATS meanwhile
                return
            with suppress(ValueError):  # a ValidationError is one
                summary = DeadLetterSummary.model_validate(from_json(head, allow_partial=True))
                break
        self._seen[path] = _Seen(mark, summary)


def _grouped(summaries: list[DeadLetterSummary]) -> list[Group]:
    members: dict[tuple[str, DeadLetterKind], list[DeadLetterSummary]] = defaultdict(list)
    for one in summaries:
        members[one.signature, one.kind].append(one)
    groups = [
        Group(
            signature=signature,
            kind=kind,
            dead_letters=len(ones),
            first_at=min(one.first_at for one in ones),
            last_at=max(one.last_at for one in ones),
            examples=[
                Example(
                    index_guid=one.index_guid,
                    serial=one.run.serial,
                    product=one.run.product.name,
                    reason=one.reason,
                    first_at=one.first_at,
                    attempts=one.attempts,
                )
                for one in sorted(ones, key=lambda one: one.last_at, reverse=True)[:EXAMPLES]
            ],
        )
        for (signature, kind), ones in members.items()
    ]
    return sorted(groups, key=lambda group: (-group.dead_letters, group.signature))
