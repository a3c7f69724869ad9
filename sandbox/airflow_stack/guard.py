"""Ends the stack's processes when the process that started them is gone without having done so.

One small process per stack. It reads ``add <session id> <signal>`` and ``remove <session id>`` from its standard input;
the other end of that pipe belongs to the owner alone, so end of file means that the owner ended, be it by SIGKILL. A
parent-death signal would not do: it watches the starting thread instead of the process, exists on Linux only, and
reaches the component but not the tasks that it forked.
"""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

if __package__:
    from sandbox.airflow_stack.process_sessions import kill_sessions, session_members
else:  # started as a plain file, so that no caller's import path matters
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from sandbox.airflow_stack.process_sessions import kill_sessions, session_members

GRACE_S = 5.0


class Guard:
    """The owner's handle of the watching process."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own file by our own interpreter
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            text=True,
        )

    def add(self, session_id: int, stop_signal: signal.Signals) -> None:
        self._send(f"add {session_id} {stop_signal.value}")

    def remove(self, session_id: int) -> None:
        self._send(f"remove {session_id}")

    def stop(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.close()
            self._process.wait()
            self._process = None

    def _send(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(BrokenPipeError):
                self._process.stdin.write(line + "\n")
                self._process.stdin.flush()


def watch() -> None:
    """Follow standard input to its end, then end what is still registered."""
    sessions: dict[int, int] = {}
    for line in sys.stdin:
        verb, session_id, *rest = line.split()
        if verb == "add":
            sessions[int(session_id)] = int(rest[0])
        else:
            sessions.pop(int(session_id), None)
    for session_id, stop_signal in sessions.items():
        with suppress(ProcessLookupError, PermissionError):
            os.kill(session_id, stop_signal)
    deadline = time.monotonic() + GRACE_S
    while sessions and time.monotonic() < deadline:
        sessions = {session_id: number for session_id, number in sessions.items() if session_members(session_id)}
        time.sleep(0.1)
    kill_sessions(sessions)


if __name__ == "__main__":
    watch()
