"""Answers that all requests share: read on threads of their own, kept for seconds, given again while the next is read.

A route that reads on the threads of Airflow's API takes them from everything else there: with forty requests for a
storage that hangs, that process answers nothing any more. Here a read that hangs costs one thread, whoever asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import BoundedSemaphore, Lock, Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class NoAnswerYet(Exception):  # noqa: N818 -- not an error of the read, which may still end well
    """The first read has not ended within the deadline."""


@dataclass(frozen=True, slots=True)
class CachedRead(Generic[T]):
    """What was read, and when."""

    content: T
    read_at: datetime


@dataclass(slots=True)
class _Read(Generic[T]):
    """One read under way."""

    started_s: float
    ended: Future[None] = field(default_factory=Future)


@dataclass(slots=True)
class _Shared(Generic[T]):
    """What is known under one key: the last read that ended, well or not, and the one under way."""

    last: CachedRead[T] | Exception | None = None
    ended_s: float = 0.0
    under_way: _Read[T] | None = None


class SharedReads(Generic[T]):
    """One answer per key. Keys must be few: each may keep a thread as long as its read hangs."""

    def __init__(self, *, fresh_s: float, deadline_s: float, at_once: int, keeps: bool = True) -> None:
        """``fresh_s``: how long an answer is good. ``deadline_s``: how long a request waits for the next one.

        ``at_once``: reads at the same time, of different keys; the others wait for their turn. ``keeps``: whether an
        answer stays for later requests; of a large one only those get something who wait for it.
        """
        self._fresh_s = fresh_s
        self._deadline_s = deadline_s
        self._keeps = keeps
        self._turns = BoundedSemaphore(at_once)
        self._shared: dict[Hashable, _Shared[T]] = {}
        self._lock = Lock()

    async def get(self, key: Hashable, read: Callable[[], T], *, fresh: bool = False) -> CachedRead[T]:
        """Return the answer of a key, the last one when the next takes too long; what ``read`` raises leaves here.

        With ``fresh`` no answer that was there before is good enough, while a read is in time.
        Raises NoAnswerYet when there is none at all.
        """
        with self._lock:
            shared = self._shared.setdefault(key, _Shared())
            now_s = time.monotonic()
            if shared.last is None or fresh or now_s - shared.ended_s >= self._fresh_s:
                if shared.under_way is None:
                    shared.under_way = _Read(now_s)
                    # A daemon: a read that hangs must not keep the process from ending.
                    Thread(target=self._read, args=(key, shared, shared.under_way, read), daemon=True).start()
                under_way = shared.under_way
            else:
                under_way = None
        if under_way is not None and (left_s := under_way.started_s + self._deadline_s - now_s) > 0:
            await asyncio.wait([asyncio.wrap_future(under_way.ended)], timeout=left_s)
        last = shared.last
        if last is None:
            raise NoAnswerYet
        if isinstance(last, Exception):
            raise last.with_traceback(None)
        return last

    def forget(self) -> None:
        """Forget every answer; reads under way end without effect."""
        with self._lock:
            self._shared = {}

    def _read(self, key: Hashable, shared: _Shared[T], read: _Read[T], function: Callable[[], T]) -> None:
        ended: CachedRead[T] | Exception
        with self._turns:
            read_at = datetime.now(UTC)
            try:
                ended = CachedRead(function(), read_at)
            except Exception as exc:  # noqa: BLE001 -- it belongs to those who asked
                ended = exc
        with self._lock:
            shared.last, shared.ended_s, shared.under_way = ended, time.monotonic(), None
            if not self._keeps and self._shared.get(key) is shared:
                del self._shared[key]
        read.ended.set_result(None)
