"""When the next request may leave: the budget of WATS, kept over all tasks, and the pauses WATS asks for.

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
"""A longer pause is not slept through; the task gives its slot back and comes again."""

_CLOCKS = 0.003  # of the window, 0.2 s: the clocks of two machines are never quite together
_CATCH_UP = 1 / 6  # of the budget may leave at once after a gap; the rest is spread, for whoever comes next
_PORTION = 1 / 10  # of the budget is reserved at a time
_GRAINS = 240  # per window: how finely answered requests are told to the next holder
_HEADROOM = 1.02  # without a memory the neighbours are unknown, and timers and network blur the pace
_BURST_S = 0.05  # a timer cannot pace requests that are less than this apart


@dataclass(frozen=True, slots=True)
class BudgetUsage:
    """What one holder of the budget leaves to the next. Times are seconds since 1970.

    ``answered`` counts requests by when their answer came, ascending. ``reserved`` more may have left since this was
    written. Nothing may leave before ``resume_at_s``.
    """

    answered: tuple[tuple[float, int], ...] = ()
    reserved: int = 0
    resume_at_s: float = 0.0


class BudgetStore(Protocol):
    """Where the one holder of the budget leaves what it spent."""

    def load(self) -> BudgetUsage:
        """Return what the holder before left; nothing when there was none."""

    def save(self, usage: BudgetUsage) -> None:
        """Keep this for the next holder; it is kept when the call returns.

        Raises RetriableError when another holder has written since.
        """


class RateLimiter:
    """Lets the requests of one task through: never more than ``budget`` in any window, and none during a pause.

    With a ``memory`` the task owns the whole budget for as long as it is open, and goes on from what the holder before
    spent: time lost between two tasks is caught up. What it is about to send is reserved first, so that a task that is
    killed leaves too much behind, never too little. Without a memory nobody knows what the neighbours of a task sent:
    requests are spaced evenly and begin with the wait.

    ``budget`` may be a fraction of a request. Belongs to one event loop; ``epoch_s`` tells seconds since 1970.
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
        self._most = max(1, math.floor(budget))
        self._budget_store = budget_store
        self._interval_s = window_s / budget * (1.0 if budget_store else _HEADROOM)
        self._ahead_s = window_s * _CATCH_UP if budget_store else max(0.0, _BURST_S - self._interval_s)
        self._portion = max(1, int(self._most * _PORTION))
        self._epoch_s = epoch_s
        self._one_by_one = asyncio.Lock()
        self._answered: deque[float] = deque()
        self._under_way = 0
        self._reserved = 0
        self._resume_at_s = 0.0
        self._even_at_s = 0.0  # when the next request would leave if all were spaced evenly
        self._open = False

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait until one more request may leave, and count it until its answer is there.

        A pause too long to wait for is a RetriableError.
        """
        async with self._one_by_one:
            self._begin()
            while (wait_s := self._wait_s()) > 0:  # noqa: ASYNC110 -- what it waits for is time
                await asyncio.sleep(wait_s)
            self._reserve()
            self._even_at_s = max(self._even_at_s, self._now_s()) + self._interval_s
            self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._answered.append(self._now_s())

    def pause(self, seconds: float) -> None:
        """Let nothing through for this long, from now on, in this task or the next."""
        self._begin()
        self._resume_at_s = max(self._resume_at_s, self._now_s() + seconds)
        self._remember(self._under_way + self._reserved)

    def close(self) -> None:
        """Tell the next holder exactly what was spent. Call it when nothing is under way any more."""
        if self._open:
            self._remember(self._under_way)
            self._open = False

    def _begin(self) -> None:
        """Take up what the holder before left; nothing is asked before the first request."""
        if self._open:
            return
        self._open = True
        self._loop_s = asyncio.get_running_loop().time  # steady, whatever is done to the machine's clock meanwhile
        epoch_s = self._epoch_s()
        self._since_s = epoch_s - self._loop_s()
        if self._budget_store is None:
            self._even_at_s = epoch_s + self._interval_s + self._ahead_s
            return
        usage = self._budget_store.load()
        # What was reserved may have left this very moment; a time to come is that of a clock that ran ahead.
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
        window_s = self._window_s * (1 + _CLOCKS)
        while self._answered and self._answered[0] <= now_s - window_s:
            self._answered.popleft()
        room_s = 0.0
        if len(self._answered) + self._under_way >= self._most:
            oldest_s = self._answered[0] if self._answered else now_s  # what is under way counts longer still
            room_s = oldest_s + window_s - now_s
        return max(pause_s, room_s, self._even_at_s - self._ahead_s - now_s)

    def _reserve(self) -> None:
        if self._reserved == 0:
            self._remember(self._under_way + self._portion)
            self._reserved = self._portion
        self._reserved -= 1

    def _remember(self, reserved: int) -> None:
        if self._budget_store is None:
            return
        grain_s = self._window_s / _GRAINS
        counts: dict[float, int] = {}
        for at_s in self._answered:
            until_s = round(math.ceil(at_s / grain_s) * grain_s, 3)
            counts[until_s] = counts.get(until_s, 0) + 1
        self._budget_store.save(BudgetUsage(tuple(counts.items()), reserved, self._resume_at_s))
