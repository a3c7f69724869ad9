"""Redis, the broker of Celery: the system's ``redis-server`` as a child, on TCP at 127.0.0.1, nothing kept on disk."""

import os
import secrets
import shutil
import socket
from pathlib import Path

from sandbox.airflow_stack.component import Component
from sandbox.airflow_stack.guard import Guard
from sandbox.airflow_stack.stack_errors import StackError
from sandbox.polling import poll

PROGRAM = "redis-server"
START_TIMEOUT_S = 30.0


def is_installed() -> bool:
    return shutil.which(PROGRAM) is not None


class Redis:
    """A server of one stack, with a password of its own."""

    def __init__(self, folder: Path, *, port: int, log_path: Path, guard: Guard) -> None:
        self.port = port
        self._password = secrets.token_hex(16)
        self._settings_path = folder / "redis.conf"
        self._component = Component(
            "redis",
            [PROGRAM, str(self._settings_path)],
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            folder=folder,
            log_path=log_path,
            guard=guard,
        )

    @property
    def pid(self) -> int | None:
        return self._component.pid

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        if not is_installed():
            raise StackError(f"{PROGRAM} is missing; with Debian or Ubuntu: apt-get install {PROGRAM}")
        settings = {
            "bind": "127.0.0.1",
            "port": self.port,
            "requirepass": self._password,
            "save": '""',
            "appendonly": "no",
            "daemonize": "no",
        }
        self._settings_path.touch(mode=0o600)
        self._settings_path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        self._component.start()
        self._wait_until_ready()

    def stop(self, *, grace_s: float = 5.0) -> None:
        self._component.stop(grace_s=grace_s)

    def check_alive(self) -> None:
        self._component.check_alive()

    def _wait_until_ready(self) -> None:
        poll(
            self._answers,
            timeout_s=START_TIMEOUT_S,
            every_s=0.02,
            late=lambda _: StackError(
                f"redis does not answer after {START_TIMEOUT_S:g} s.\n{self._component.log_tail()}"
            ),
        )

    def _answers(self) -> bool:
        self._component.check_alive()
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as connection:
                connection.sendall(f"AUTH {self._password}\r\nPING\r\n".encode())
                return connection.makefile("rb").read(12) == b"+OK\r\n+PONG\r\n"
        except OSError:
            return False
