"""When the next request may leave: the task's share of the budget, and the pauses WATS asks for."""

from __future__ import annotations

import asyncio

from aiolimiter import AsyncLimiter

from vte_wats.errors import RetriableError

LONGEST_WAIT_S = 60.0
"""A longer pause is not slept through; the task gives its slot back and comes again."""

_HEADROOM = 1.02  # timers and the network blur the moment a request arrives
_BURST_S = 0.05  # a timer cannot pace requests that are less than this apart


class Pace:
    """Lets requests of one task through, evenly spaced, and none during a pause.

    A new pace starts with its bucket full, so that the first request keeps its distance from the last one of the task
    before; whatever minute one looks at, a chain of tasks sends no more than one.
    """

    def __init__(self, share_per_minute: float) -> None:
        interval_s = 60 / share_per_minute * _HEADROOM
        self._burst = max(1, int(_BURST_S / interval_s))
        self._limiter = AsyncLimiter(self._burst, self._burst * interval_s)
        self._resume_at_s = 0.0

    async def start(self) -> None:
        """Fill the bucket."""
        await self._limiter.acquire(self._burst)

    async def turn(self) -> None:
        """Wait until one more request may leave; a pause too long to wait for is a RetriableError."""
        while True:
            await self._limiter.acquire()
            remaining_s = self._resume_at_s - asyncio.get_running_loop().time()
            if remaining_s <= 0:
                return
            if remaining_s > LONGEST_WAIT_S:
                raise RetriableError(f"WATS: asked for a pause, {remaining_s:.0f} s of it are left", remaining_s)
            await asyncio.sleep(remaining_s)

    def pause(self, seconds: float) -> None:
        """Let nothing through for this long, from now on."""
        self._resume_at_s = max(self._resume_at_s, asyncio.get_running_loop().time() + seconds)
