"""Operating-system sessions: how everything a component ever forked is found again.

A component leads a session of its own. Airflow puts every task into a process group of its own, so a signal to the
component's group misses tasks; the session is the smallest thing that still holds all of them.
"""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress

import psutil


def session_members(session_id: int) -> list[int]:
    """Return the living process ids of a session; a zombie does not live."""
    members = []
    for pid in psutil.pids():
        try:
            if os.getsid(pid) == session_id and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
                members.append(pid)
        except (OSError, psutil.Error):
            continue
    return members


def kill_sessions(session_ids: Iterable[int]) -> None:
    """SIGKILL every process of the sessions and return when they are gone, or after five seconds."""
    deadline = time.monotonic() + 5
    pending = list(session_ids)
    while pending:
        pending = [session_id for session_id in pending if _kill_members(session_id)]
        if time.monotonic() > deadline:
            return
        if pending:
            time.sleep(0.02)


def _kill_members(session_id: int) -> bool:
    members = session_members(session_id)
    for pid in members:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGKILL)
    return bool(members)
