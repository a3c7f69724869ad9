"""When the next request may leave: the budget of WATS, shared by all tasks, and the pauses WATS asks for.

In no minute may WATS see more requests than the budget. A request counts from the moment it leaves until a minute after
its answer: by then it has certainly arrived, so neither the network nor a slow server can push two minutes into one.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from vte_wats.domain.errors import RetriableError
from vte_wats.messages import VW391

LONGEST_WAIT_S = 60.0
"""A task does not wait for a longer pause; it gives its slot back and is tried again."""

_CLOCK_SKEW = 0.003  # of the window, 0.2 s: the clocks of two machines never agree exactly
_CATCH_UP = 1 / 6  # of the budget may leave at once after a gap; the rest is spread, for whoever comes next
_RESERVATION = 1 / 10  # of the budget is reserved at a time
_STEPS_PER_WINDOW = 240  # how exactly the next holder learns when requests were answered
_HEADROOM = 1.02  # without a store the other tasks are unknown, and timers and network are not exact
_BURST_S = 0.05  # a timer cannot space requests that are less than this apart


@dataclass(frozen=True, slots=True)
class BudgetUsage:
    """What one holder of the budget used, for the next. Times are seconds since 1970.

    ``answered`` counts requests by when their answer came, ascending. ``reserved`` more may have left since this was
    written. Nothing may leave before ``resume_at_s``.
    """

    answered: tuple[tuple[float, int], ...] = ()
    reserved: int = 0
    resume_at_s: float = 0.0


class BudgetStore(Protocol):
    """Where the one holder of the budget keeps its usage for the next."""

    def load(self) -> BudgetUsage:
        """Return the usage of the holder before; an empty one when there was none."""

    def save(self, usage: BudgetUsage) -> None:
        """Save the usage for the next holder; it is stored when the call returns.

        Raises RetriableError when another holder has written since.
        """


class RateLimiter:
    """Lets the requests of one task through: never more than ``budget`` in any window, and none during a pause.

    With a ``budget_store`` the task owns the whole budget for as long as it is open, and continues from the usage of
    the holder before: time lost between two tasks is caught up. What it is about to send is reserved first, so that a
    task that is killed leaves too much usage, never too little. Without a store nobody knows what other tasks sent:
    requests are spaced evenly and start with the wait.

    ``budget`` may be a fraction of a request. Belongs to one event loop; ``epoch_s`` returns seconds since 1970.
    """

    def __init__(
        self,
        budget: float,
        budget_store: BudgetStore | None = None,
        *,
        window_s: float = 60.0,
        epoch_s: Callable[[], float] = time.time,
    ) -> None:
        self._window_s = window_s * max(1.0, 1 / budget)
        self._max_requests = max(1, math.floor(budget))
        self._budget_store = budget_store
        self._interval_s = window_s / budget * (1.0 if budget_store else _HEADROOM)
        self._ahead_s = window_s * _CATCH_UP if budget_store else max(0.0, _BURST_S - self._interval_s)
        self._reservation = max(1, int(self._max_requests * _RESERVATION))
        self._epoch_s = epoch_s
        self._lock = asyncio.Lock()
        self._answered: deque[float] = deque()
        self._in_flight = 0
        self._reserved = 0
        self._resume_at_s = 0.0
        self._even_at_s = 0.0  # when the next request would leave if all were spaced evenly
        self._open = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until one more request may leave, and count it until its answer is there.

        A pause too long to wait for is a RetriableError.
        """
        async with self._lock:
            self._load_usage()
            while (wait_s := self._wait_s()) > 0:  # noqa: ASYNC110 -- what it waits for is time
                await asyncio.sleep(wait_s)
            self._reserve()
            self._even_at_s = max(self._even_at_s, self._now_s()) + self._interval_s
            self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            self._answered.append(self._now_s())

    def pause(self, seconds: float) -> None:
        """Let nothing through for this long, in this task or the next."""
        self._load_usage()
        self._resume_at_s = max(self._resume_at_s, self._now_s() + seconds)
        self._save_usage(self._in_flight + self._reserved)

    def close(self) -> None:
        """Save exactly what was used, for the next holder. Call it when nothing is in flight any more."""
        if self._open:
            self._save_usage(self._in_flight)
            self._open = False

    def _load_usage(self) -> None:
        """Continue from the usage of the holder before; nothing is loaded before the first request."""
        if self._open:
            return
        self._open = True
        self._loop_s = asyncio.get_running_loop().time  # steady, whatever happens to the machine's clock meanwhile
        epoch_s = self._epoch_s()
        self._since_s = epoch_s - self._loop_s()
        if self._budget_store is None:
            self._even_at_s = epoch_s + self._interval_s + self._ahead_s
            return
        usage = self._budget_store.load()
        # What was reserved may have left this very moment; a time in the future is from a clock that ran ahead.
        for at_s, requests in (*usage.answered, (epoch_s, usage.reserved)):
            self._answered.extend([min(at_s, epoch_s)] * requests)
            self._even_at_s = max(self._even_at_s, at_s) + requests * self._interval_s
        self._even_at_s = min(self._even_at_s, epoch_s + self._ahead_s)
        self._resume_at_s = min(usage.resume_at_s, epoch_s + 86_400)

    def _now_s(self) -> float:
        return self._since_s + self._loop_s()

    def _wait_s(self) -> float:
        now_s = self._now_s()
        pause_s = self._resume_at_s - now_s
        if pause_s > LONGEST_WAIT_S:
            raise RetriableError(VW391, f"WATS: asked for a pause, {pause_s:.0f} s of it are left", pause_s)
        window_s = self._window_s * (1 + _CLOCK_SKEW)
        while self._answered and self._answered[0] <= now_s - window_s:
            self._answered.popleft()
        room_s = 0.0
        if len(self._answered) + self._in_flight >= self._max_requests:
            oldest_s = self._answered[0] if self._answered else now_s  # what is in flight counts longer still
            room_s = oldest_s + window_s - now_s
        return max(pause_s, room_s, self._even_at_s - self._ahead_s - now_s)

    def _reserve(self) -> None:
        if self._reserved == 0:
            self._save_usage(self._in_flight + self._reservation)
            self._reserved = self._reservation
        self._reserved -= 1

    def _save_usage(self, reserved: int) -> None:
        if self._budget_store is None:
            return
        step_s = self._window_s / _STEPS_PER_WINDOW
        counts: dict[float, int] = {}
        for at_s in self._answered:
            until_s = round(math.ceil(at_s / step_s) * step_s, 3)
            counts[until_s] = counts.get(until_s, 0) + 1
        self._budget_store.save(BudgetUsage(tuple(counts.items()), reserved, self._resume_at_s))
