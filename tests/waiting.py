"""Waiting for what another process brings about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

Mark = TypeVar("Mark")


def wait_until(condition: Callable[[], Any], what: str, timeout_s: float = 400) -> Any:
    """Return what the condition gives soon after it gives anything; fail with ``what`` was waited for.

    Questions come close together at first, then at a twentieth of the time waited: to ask costs the process that is
    waited for time of its own.
    """
    started_at = time.monotonic()
    while not (found := condition()):
        waited_s = time.monotonic() - started_at
        assert waited_s < timeout_s, f"waited {timeout_s:.0f} s in vain for {what}"
        time.sleep(min(1.0, max(0.1, waited_s / 20)))
    return found


def undisturbed(mark: Callable[[], Mark], look: Callable[[Mark], Any]) -> None:
    """Look at something that the clock may change meanwhile: what fails with the mark changed is looked at again.

    The mark is the day, or the DAG runs there are. It changes seldom, so that the second look has time enough.
    """
    while True:
        before = mark()
        try:
            look(before)
        except AssertionError:
            if mark() == before:
                raise
        else:
            return
