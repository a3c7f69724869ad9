"""When the next request may leave, on a loop whose time passes at once."""

import asyncio
import bisect
import itertools
import random
import selectors

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vte_wats.domain.errors import RetriableError
from vte_wats.wats.rate_limiter import BudgetUsage, RateLimiter


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


def epoch_s():
    """A clock of the machine that goes with the loop."""
    return 1_790_000_000 + asyncio.get_running_loop().time()


class KeptBudget:
    """A budget store in memory that counts how often it was written."""

    def __init__(self):
        self.usage, self.written = BudgetUsage(), 0

    def load(self):
        return self.usage

    def save(self, usage):
        self.usage, self.written = usage, self.written + 1


def worst_minute(times, window_s=60):
    """Return the most times that any window holds."""
    times = sorted(times)
    return max(bisect.bisect_left(times, start + window_s) - at for at, start in enumerate(times))


async def _task(budget, requests, *, budget_store=None, concurrency=8, latency_s=0.0, killed=False, jitter=None):
    """Send so many requests as one task does; return when each arrived at the other side."""
    loop, arrivals = asyncio.get_running_loop(), []
    limiter = RateLimiter(budget, budget_store, epoch_s=epoch_s)
    left = iter(range(requests))

    async def worker():
        for _ in left:
            async with limiter.turn():
                on_the_way_s = latency_s * (jitter.random() if jitter else 0.5)
                arrivals.append(loop.time() + on_the_way_s)
                await asyncio.sleep(latency_s)

    await asyncio.gather(*(worker() for _ in range(concurrency)))
    if not killed:
        limiter.close()
    return arrivals


# -------------------------------------------------------------------------------------------- one budget, one holder
async def _chain(budget, tasks, *, requests, gap_s, budget_store, **how):
    arrivals = []
    for _ in range(tasks):
        arrivals += await _task(budget, requests, budget_store=budget_store, **how)
        await asyncio.sleep(gap_s)
    return arrivals


@pytest.mark.parametrize(
    ("budget", "requests", "gap_s"),
    [(500, 108, 0), (500, 108, 2.5), (500, 24, 1), (60, 10, 3), (2_000, 360, 2), (1, 1, 5)],
)
def test_a_chain_of_tasks_uses_the_budget_up_and_never_oversteps_it(budget, requests, gap_s):
    tasks = 8 * budget // requests
    arrivals = run(_chain(budget, tasks, requests=requests, gap_s=gap_s, budget_store=KeptBudget(), latency_s=0.05))
    assert worst_minute(arrivals) <= budget
    minutes = (max(arrivals) - min(arrivals)) / 60
    assert len(arrivals) - 1 >= 0.97 * budget * (minutes - 1 / budget)


def test_nothing_is_lost_to_the_gaps_between_tasks():
    """Ten requests a second leave only nine seconds in ten for work; the lost second is caught up."""
    arrivals = run(_chain(600, 60, requests=100, gap_s=1, budget_store=KeptBudget()))
    assert max(arrivals) - min(arrivals) <= 6_000 / 600 * 60 * 1.02


@settings(deadline=None)
@given(
    seed=st.integers(0, 2**32),
    budget=st.integers(1, 400),
    latency_s=st.floats(0, 20),
    concurrency=st.integers(1, 16),
)
def test_no_minute_at_the_other_side_holds_more_than_the_budget(seed, budget, latency_s, concurrency):
    chance, store = random.Random(seed), KeptBudget()

    async def tasks():
        arrivals = []
        for _ in range(8):
            arrivals += await _task(
                budget, chance.randint(1, budget), budget_store=store, latency_s=latency_s, jitter=chance,
                concurrency=concurrency, killed=chance.random() < 0.3,
            )  # fmt: skip
            await asyncio.sleep(chance.choice([0, 0.5, 40, 90]))
        return arrivals

    assert worst_minute(run(tasks())) <= budget


def test_a_killed_task_costs_the_next_no_more_than_what_was_reserved():
    async def tasks():
        store = KeptBudget()
        await _task(500, 20, budget_store=store, killed=True)
        await asyncio.sleep(61)  # more than a minute later nothing else counts any more
        started_at = asyncio.get_running_loop().time()
        arrivals = await _task(500, 500, budget_store=store)
        return [at - started_at for at in arrivals]

    arrivals = run(tasks())
    assert sum(1 for at in arrivals if at < 60) == 450


def test_the_first_after_a_rest_need_not_wait_and_a_backlog_is_spread():
    arrivals = run(_task(500, 500, budget_store=KeptBudget()))
    assert sum(1 for at in arrivals if at < 1) >= 80
    assert all(sum(1 for at in arrivals if at < second) <= 85 + 9 * second for second in range(60))


def test_a_task_leaves_exactly_what_it_sent_in_two_writes():
    store = KeptBudget()

    async def task():
        await _task(500, 20, budget_store=store)
        return epoch_s()

    ended_at_s = run(task())
    assert store.written == 2
    assert store.usage.reserved == 0
    assert sum(requests for _, requests in store.usage.answered) == 20
    assert store.usage.answered[-1][0] >= ended_at_s - 0.001  # saved later than it was, never earlier


def test_what_is_saved_for_the_next_stays_small():
    store = KeptBudget()
    run(_task(5_000, 5_000, budget_store=store))
    assert len(store.usage.answered) <= 245


def test_the_clock_of_the_last_machine_may_have_been_ahead():
    store = KeptBudget()

    async def tasks():
        store.usage = BudgetUsage(((epoch_s() + 9_000, 100),))
        return await _task(100, 1, budget_store=store)

    assert run(tasks())[0] <= 61


# ----------------------------------------------------------------------------------------- a share, without a store
@pytest.mark.parametrize("share", [0.5, 7, 30, 250, 1_000, 6_000])
def test_no_minute_of_a_task_holds_more_than_its_share(share):
    arrivals = run(_task(share, int(share * 3) + 3))
    assert worst_minute(arrivals) <= max(share, 1)
    assert worst_minute(arrivals) >= int(share * 0.95)


@pytest.mark.parametrize("requests", [1, 2, 50])
def test_tasks_that_follow_one_another_at_once_keep_the_share_together(requests):
    arrivals = run(_chain(250, 900 // requests, requests=requests, gap_s=0, budget_store=None, concurrency=1))
    assert worst_minute(arrivals) <= 250


def test_requests_of_a_share_are_spread_evenly_instead_of_in_bursts():
    arrivals = run(_task(250, 100))
    gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
    assert min(gaps) >= 60 / 250
    assert max(gaps) <= 60 / 250 * 1.1


# ------------------------------------------------------------------------------------------------------------- pauses
async def _paused(limiter, seconds):
    loop, times = asyncio.get_running_loop(), []
    limiter.pause(seconds)
    limiter.pause(5)  # a shorter one takes nothing back
    asked_at = loop.time()

    async def request():
        async with limiter.turn():
            times.append(loop.time() - asked_at)

    await asyncio.gather(*(request() for _ in range(8)))
    return times


def test_a_pause_holds_everything_and_ends_evenly():
    async def paused():
        return await _paused(RateLimiter(600, epoch_s=epoch_s), 30)

    times = run(paused())
    assert min(times) >= 30
    assert max(times) < 33
    assert min(b - a for a, b in itertools.pairwise(times)) >= 0.1


def test_a_pause_holds_the_next_task_too_even_when_the_first_was_killed():
    async def paused():
        store = KeptBudget()
        RateLimiter(600, store, epoch_s=epoch_s).pause(50)
        await asyncio.sleep(20)
        return await _paused(RateLimiter(600, store, epoch_s=epoch_s), 5)

    assert min(run(paused())) >= 29.9


def test_a_pause_too_long_to_wait_for_is_an_error():
    async def paused():
        limiter = RateLimiter(600, epoch_s=epoch_s)
        limiter.pause(3_600)
        async with limiter.turn():
            raise AssertionError("nothing may leave")

    with pytest.raises(RetriableError) as raised:
        run(paused())
    assert raised.value.retry_after_s == pytest.approx(3_600, abs=1)
