"""One long-living process of the stack, its log file and its end."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from sandbox.airflow_stack.guard import Guard
from sandbox.airflow_stack.process_sessions import kill_sessions
from sandbox.airflow_stack.stack_errors import StackError

LOG_TAIL_LINES = 40


class Component:
    """A process that leads a session, writes one log file, and is known to the guard while it runs."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        folder: Path,
        log_path: Path,
        guard: Guard,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.name = name
        self.log_path = log_path
        self._command = list(command)
        self._env = dict(env)
        self._folder = folder
        self._guard = guard
        self._stop_signal = stop_signal
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, which is the session id too; None while it does not run."""
        return self._process.pid if self._process is not None else None

    @property
    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        if self.is_alive:
            raise StackError(f"{self.name} already runs with process id {self.pid}.")
        self._forget()
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - commands come from this package alone
                self._command,
                env=self._env,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._guard.add(self._process.pid, self._stop_signal)

    def ask_to_stop(self) -> None:
        if self._process is not None and self.is_alive:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, self._stop_signal)

    def stop(self, *, grace_s: float) -> None:
        """Ask it to stop, and after the grace period end whatever is left of its session."""
        self.ask_to_stop()
        self.wait(timeout_s=grace_s)
        self.kill()

    def wait(self, *, timeout_s: float) -> int | None:
        """Return the exit code, or None when it still runs after the timeout."""
        if self._process is None:
            return None
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout_s)
        return None

    def kill(self) -> None:
        """SIGKILL the process and all that it forked, at once, as a dying machine would."""
        if self._process is None:
            return
        kill_sessions([self._process.pid])
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(5)
        self._forget()

    def check_alive(self) -> None:
        """Raise StackError with the end of its log when it should run and does not."""
        if self._process is not None and not self.is_alive:
            raise StackError(f"{self.name} ended with exit code {self._process.returncode}.\n{self.log_tail()}")

    def log_tail(self) -> str:
        """Return the end of the log under a heading that names the file."""
        try:
            text = self.log_path.read_text(encoding="utf-8", errors="replace")
        except FileNotFoundError:
            text = ""
        last = "\n".join(text.splitlines()[-LOG_TAIL_LINES:]) or "(empty)"
        return f"--- last lines of {self.log_path} ---\n{last}"

    def _forget(self) -> None:
        if self._process is not None:
            self._guard.remove(self._process.pid)
            self._process = None


def wait_all(components: Sequence[Component], *, timeout_s: float) -> None:
    """Wait until none of the components runs, at most for the timeout in total."""
    deadline = time.monotonic() + timeout_s
    for component in components:
        component.wait(timeout_s=max(0.0, deadline - time.monotonic()))
