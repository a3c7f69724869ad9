"""Asking again and again until an answer will do."""

from collections.abc import Callable
from typing import NoReturn, TypeVar

from tenacity import RetryCallState, Retrying, retry_if_not_result, stop_after_delay, wait_fixed
from tenacity.wait import WaitBaseT

T = TypeVar("T")


def poll(
    ask: Callable[[], T],
    *,
    until: Callable[[T], bool] = bool,
    timeout_s: float,
    every_s: float | WaitBaseT,
    late: Callable[[T], Exception],
) -> T:
    """Return the first answer that will do; what ``late`` makes of the last one is raised when none came in time."""

    def give_up(state: RetryCallState) -> NoReturn:
        assert state.outcome is not None
        raise late(state.outcome.result())

    asking = Retrying(
        retry=retry_if_not_result(until),
        stop=stop_after_delay(timeout_s),
        wait=wait_fixed(every_s) if isinstance(every_s, int | float) else every_s,
        retry_error_callback=give_up,
    )
    return asking(ask)
