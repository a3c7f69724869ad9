"""When the next request may leave, on a loop whose time passes at once."""

import asyncio
import bisect
import itertools
import selectors

import pytest

from vte_wats.errors import RetriableError
from vte_wats.wats.pace import Pace


class _JumpingSelector(selectors.DefaultSelector):
    """Waits for nothing: the time to wait has passed."""

    now_s = 0.0

    def select(self, timeout=None):
        self.now_s += max(timeout or 0, 1e-6)  # even a turn that waits for nothing takes time
        return super().select(0)


class _JumpingLoop(asyncio.SelectorEventLoop):
    def __init__(self):
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self):
        return self._jumping.now_s


def run(coroutine):
    with asyncio.Runner(loop_factory=_JumpingLoop) as runner:
        return runner.run(coroutine)


def worst_minute(times):
    """Return the most times that any window of sixty seconds holds."""
    return max(bisect.bisect_left(times, start + 60) - at for at, start in enumerate(times))


async def _task(share_per_minute, requests, concurrency=8):
    loop, times = asyncio.get_running_loop(), []
    pace = Pace(share_per_minute)
    await pace.start()

    async def worker():
        while len(times) < requests:
            await pace.turn()
            times.append(loop.time())

    await asyncio.gather(*(worker() for _ in range(concurrency)))
    return times


@pytest.mark.parametrize("share", [0.5, 7, 30, 250, 1_000, 6_000])
def test_no_minute_of_a_task_holds_more_than_its_share(share):
    times = run(_task(share, int(share * 3) + 3))
    assert worst_minute(times) <= max(share, 1)
    assert worst_minute(times) >= int(share * 0.95)


@pytest.mark.parametrize("requests", [1, 2, 50])
def test_tasks_that_follow_one_another_at_once_keep_the_share_together(requests):
    async def chain():
        return [at for _ in range(900 // requests) for at in await _task(250, requests, concurrency=1)]

    times = run(chain())
    assert worst_minute(times) <= 250


def test_requests_are_spread_evenly_instead_of_in_bursts():
    times = run(_task(250, 100))
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert min(gaps) >= 60 / 250
    assert max(gaps) <= 60 / 250 * 1.1


def test_a_pause_holds_everything_and_ends_evenly():
    async def paused():
        loop, pace = asyncio.get_running_loop(), Pace(600)
        await pace.turn()
        pace.pause(30)
        pace.pause(5)  # a shorter one takes nothing back
        asked_at = loop.time()
        times = []

        async def one():
            await pace.turn()
            times.append(loop.time() - asked_at)

        await asyncio.gather(*(one() for _ in range(8)))
        return times

    times = run(paused())
    assert min(times) >= 30
    assert max(times) < 33
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.1


def test_a_pause_too_long_to_wait_for_is_handed_on():
    async def paused():
        pace = Pace(600)
        pace.pause(3_600)
        await pace.turn()

    with pytest.raises(RetriableError) as raised:
        run(paused())
    assert raised.value.retry_after_s == pytest.approx(3_600, abs=1)
