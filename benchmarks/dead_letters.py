"""Table 10: what many dead letters cost whoever looks at them, in requests to a bucket."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Self
from uuid import UUID

from more_itertools import chunked

from benchmarks.measure import Goal

TITLE = "Many dead letters"
_LISTED_AT_ONCE = 1_000  # keys in one answer of S3
_OF_FILES = ("cat_file", "info", "_open")
_SLICE = 1_000
_MOST = 100


@dataclass(frozen=True, slots=True)
class Size:
    """How many runs wait for one setting."""

    held: int = 20_000


FULL = Size()
TINY = Size(held=30)


def measure(size: Size = FULL) -> dict[str, Any]:
    """Return requests and seconds of each look, each by an index that has seen nothing itself, as in a new process."""
    from upath import UPath

    from vte_wats.storage.dead_letter_index import DeadLetterIndex

    storage = UPath("memory://many-dead-letters")
    _hold(storage, size.held)
    looks = []
    index = partial(DeadLetterIndex, storage)
    with _Requests(storage.fs) as requests:
        for look, act in _looks(index):
            before, began_s = requests.sent, time.perf_counter()
            found = act()
            looks.append(
                {
                    "look": look,
                    "found": found,
                    "requests": requests.sent - before,
                    "seconds": time.perf_counter() - began_s,
                }
            )
    storage.fs.rm(storage.path, recursive=True)
    return {"held": size.held, "looks": looks}


def _looks(index: Callable[..., Any]) -> list[tuple[str, Callable[[], int]]]:
    def check() -> int:
        return len(index().summaries())

    return [
        ("first check of the monitor", check),
        ("second check", check),
        ("the daily comparison, a backfill or a plan that tries held runs again", partial(_read_all, index)),
        ("next check of the monitor", check),
        ("status page, in a new process", lambda: int(index().groups().held)),
    ]


def _read_all(index: Callable[..., Any]) -> int:
    return len(index(max_new=None).summaries())


def _hold(storage: Any, runs: int) -> None:
    """Write dead letters that differ in their run alone, and note what they say as the uploads of slices do."""
    from vte_wats.domain.run import DeadLetterKind, VteTestRun
    from vte_wats.storage.dead_letter_index import DeadLetterIndex, DeadLetterSummary
    from vte_wats.storage.dead_letters import FOLDER, DeadLetters

    first, now_at = UUID(int=1), datetime(2026, 3, 2, tzinfo=UTC)
    run = VteTestRun(index_guid=first, timestamp_local=datetime(2026, 3, 2))  # noqa: DTZ001 -- as the station wrote it
    held = DeadLetters(storage).put(run, DeadLetterKind.HELD, "process code 7 is not in WATS", "process code 7", now_at)
    text = (storage / FOLDER / f"{first}.json").read_text()
    for of_slice in chunked((UUID(int=number) for number in range(1, runs + 1)), _SLICE):
        for guid in of_slice:
            path = storage / FOLDER / f"{guid}.json"
            path.fs.pipe_file(path.path, text.replace(str(first), str(guid)).encode())
        summary = DeadLetterSummary.of(held)
        DeadLetterIndex(storage).add([summary.model_copy(update={"index_guid": guid}) for guid in of_slice])


class _Requests:
    """Counts what a bucket would be asked: a thousand names of a listing are one request, each file is one.

    The file system in memory is one for the whole process, so it counts within a ``with`` block alone.
    """

    def __init__(self, fs: Any) -> None:
        self.sent = 0
        self._fs = fs

    def __enter__(self) -> Self:
        self._fs.ls = self._counted(self._fs.ls, lambda names: math.ceil(len(names) / _LISTED_AT_ONCE))
        for name in _OF_FILES:
            setattr(self._fs, name, self._counted(getattr(self._fs, name), lambda _: 1))
        return self

    def __exit__(self, *_: object) -> None:
        for name in ("ls", *_OF_FILES):
            delattr(self._fs, name)

    def _counted(self, method: Callable[..., Any], requests_of: Callable[[Any], int]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            found = method(*args, **kwargs)
            self.sent += requests_of(found)
            return found

        return counted


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return what was aimed at: nobody reads each dead letter."""
    most = max(look["requests"] for look in result["looks"])
    return [
        Goal(f"requests of a look at {result['held']:,} dead letters", f"at most {_MOST}", most, _MOST, at_most=True)
    ]


def page(result: dict[str, Any]) -> list[str]:
    """Return the table."""
    return [
        (
            f"{result['held']:,} runs are held for one reason, in slices of {_SLICE:,}. Each look is by a process that "
            "has seen none of them."
        ),
        "",
        "| look | dead letters it knows then | requests | seconds without a network |",
        "|---|---:|---:|---:|",
        *(
            f"| {look['look']} | {look['found']:,} | {look['requests']:,} | {look['seconds']:.1f} |"
            for look in result["looks"]
        ),
    ]
