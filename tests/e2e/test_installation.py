"""docs/installation.md, step 2a without a network, exactly as printed: packages fetched before, archive, commands,
airflow.cfg and services, then a sync.

What differs is where things are: folders of the test in place of ``/opt``, and free ports of this machine.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zipfile import ZipFile

import pytest

from sandbox.airflow_stack.airflow_api import AirflowApi
from sandbox.airflow_stack.component import Component
from sandbox.airflow_stack.guard import Guard
from sandbox.airflow_stack.postgres import Postgres
from sandbox.airflow_stack.tcp_ports import free_ports
from sandbox.environment import SandboxEnvironment
from tests.waiting import wait_until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(1200)]

SYNC = "vte_wats_sync"
MINUTES = timedelta(minutes=10)


class Machine:
    """A machine of a site: the unpacked archive, an empty environment, and the folder of Airflow."""

    def __init__(self, folder: Path, archive: Path) -> None:
        with ZipFile(archive) as packed:
            packed.extractall(folder)
        self.package, self.venv, self.airflow = folder / archive.stem, folder / "venv", folder / "airflow"
        self.airflow.mkdir()
        self.page = (self.package / "docs" / "installation.md").read_text(encoding="utf-8")
        self.python = self.venv / "bin" / "python"
        self.env = {name: text for name, text in os.environ.items() if not name.startswith(("AIRFLOW", "PIP_"))} | {
            "AIRFLOW_HOME": str(self.airflow),
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
            "PIP_CONFIG_FILE": os.devnull,
        }

    def fetch_packages(self) -> None:
        """Fetch them by the printed command, as a machine with a network does: pip is that of these tests."""
        (command,) = re.findall(r"^pip (download .*)$", self.page, re.MULTILINE)
        self._run([sys.executable, "-m", "pip", *shlex.split(command), "--quiet"], env=dict(os.environ))

    def install(self) -> None:
        """Install by the printed commands, each ``pip install`` with the options for a target without a network."""
        (options,) = re.findall(r"^On the target add `(--no-index .*)` to both `pip install`", self.page, re.MULTILINE)
        block = next(text for text in re.findall(r"```console\n(.*?)```", self.page, re.DOTALL) if "-m venv" in text)
        (make, *installs) = block.splitlines()[1:]
        assert make == "python3.12 -m venv /opt/venv"
        self._run([sys.executable, "-m", "venv", str(self.venv)])
        assert len(installs) == 2
        for command in installs:
            program, *arguments = shlex.split(f"{command} {options} --quiet")
            assert program == "/opt/venv/bin/pip"
            self._run([str(self.venv / "bin" / "pip"), *arguments])

    def configure(self, database_url: str, port: int, log_ports: tuple[int, int], start_at: datetime) -> None:
        """Write the printed airflow.cfg with secrets made by the printed commands."""
        printed = next(block for block in re.findall(r"```ini\n(.*?)```", self.page, re.DOTALL) if "[core]" in block)
        for command in re.findall(r"^python3 (-c '.*')$", self.page, re.MULTILINE):
            for line in self._run([sys.executable, *shlex.split(command)]).splitlines():
                printed = printed.replace(f"{line.partition(' = ')[0]} = <made above>", line)
        for placeholder, value in {
            "/opt/vte-wats": str(self.package),
            "postgresql+psycopg2://airflow:<password>@127.0.0.1/airflow": database_url,
            "127.0.0.1:8080": f"127.0.0.1:{port}",
            "2026-12-01T00:00:00Z": start_at.isoformat(),
            "[api]\n": f"[api]\nhost = 127.0.0.1\nport = {port}\n",
        }.items():
            assert placeholder in printed
            printed = printed.replace(placeholder, value)
        assert "<" not in printed
        worker_port, trigger_port = log_ports
        printed += f"[logging]\nworker_log_server_port = {worker_port}\ntrigger_log_server_port = {trigger_port}\n"
        (self.airflow / "airflow.cfg").write_text(printed, encoding="utf-8")

    def printed(self, begins: str) -> list[str]:
        """Return the arguments of the one printed command that begins so."""
        (command,) = re.findall(rf"^airflow ({begins}.*)$", self.page, re.MULTILINE)
        return shlex.split(command)

    def airflow_command(self, *arguments: str) -> str:
        """Run Airflow's command line to its end, in the folder of the package."""
        return self._run([str(self.python), "-m", "airflow", *arguments])

    def services(self, guard: Guard) -> list[Component]:
        """Return the processes that the printed unit is for."""
        (unit,) = re.findall(r"```ini\n(# /etc/systemd/system/.*?)```", self.page, re.DOTALL)
        names = re.findall(r"airflow-([a-z-]*[a-z])", unit.splitlines()[0])
        (command,) = re.findall(r"^ExecStart=/opt/venv/bin/airflow (\S+)$", unit, re.MULTILINE)
        assert command in names
        return [
            Component(
                name,
                [str(self.python), "-P", "-m", "airflow", name],
                env=self.env,
                folder=self.airflow,
                log_path=self.airflow / f"{name}.log",
                guard=guard,
            )
            for name in names
        ]

    def _run(self, command: list[str], env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            command, cwd=self.package, env=env or self.env, capture_output=True, text=True, timeout=600, check=False
        )
        assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"
        return done.stdout


@pytest.fixture(scope="module")
def plant() -> Iterator[SandboxEnvironment]:
    plant = SandboxEnvironment()
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    plant.factory_data.load(plant.db, start=end - MINUTES, end=end, runs=20, steps=3)
    with plant:
        yield plant


@pytest.fixture(scope="module")
def machine(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    folder = tmp_path_factory.mktemp("machine")
    subprocess.run(["make", "package", f"DIST={folder}"], cwd=repository, check=True, timeout=300)
    (archive,) = folder.glob("vte-wats-*.zip")
    return Machine(folder, archive)


@pytest.fixture(scope="module")
def airflow(machine: Machine, plant: SandboxEnvironment) -> Iterator[AirflowApi]:
    """The four services of the page, with connections, settings and pools as the steps after it say."""
    port, database_port, *log_ports = free_ports(4)
    guard = Guard()
    postgres = Postgres(
        machine.airflow / "postgres", port=database_port, log_path=machine.airflow / "postgres.log", guard=guard
    )
    with ExitStack() as ends:
        guard.start()
        ends.callback(guard.stop)
        ends.callback(postgres.stop)
        postgres.start()
        machine.fetch_packages()
        machine.install()
        machine.configure(postgres.url, port, (log_ports[0], log_ports[1]), datetime.now(UTC) - 2 * MINUTES)
        machine.airflow_command(*machine.printed("db migrate"))
        settings = plant.factory_data.settings(storage_path=f"file://{machine.airflow}/storage", settle_delay_s=0)
        machine.airflow_command("variables", "set", "vte_wats", json.dumps(settings))
        machine.airflow_command(*machine.printed("pools import include/"))
        services = machine.services(guard)
        for service in services:
            ends.callback(service.stop, grace_s=10)
            service.start()
        api = _api(machine, port, services)
        ends.callback(api.close)
        for conn_id, fields in plant.connections.items():
            api.set_connection(conn_id, fields)
        yield api


def _api(machine: Machine, port: int, services: list[Component]) -> AirflowApi:
    """Return Airflow's API once it answers, for the user whose password the api-server wrote at its start."""
    passwords = machine.airflow / "simple_auth_manager_passwords.json.generated"

    def password() -> str | None:
        for service in services:
            service.check_alive()
        return json.loads(passwords.read_text(encoding="utf-8"))["admin"] if passwords.exists() else None

    api = AirflowApi(
        f"http://127.0.0.1:{port}", user="admin", password=wait_until(password, "the password of the first start")
    )
    names = [service.name.replace("-", "_") for service in services if service.name != "api-server"]
    wait_until(lambda: all(_is_healthy(api.health().get(name)) for name in names), f"a heartbeat of {names}")
    return api


def _is_healthy(part: Mapping[str, str] | None) -> bool:
    return part is not None and part.get("status") == "healthy"


def test_every_dag_is_there(airflow, repository):
    names = {path.name for path in (repository / "dags").glob("*.py")}
    wait_until(lambda: {Path(name).name for name in airflow.dag_files()} == names, "the DAG files to be parsed")
    assert airflow.import_errors() == []


def test_the_sync_transfers_every_run(airflow, plant):
    airflow.set_paused(SYNC, is_paused=False)
    wait_until(lambda: plant.source <= plant.receipts.keys(), "every run to be in WATS")
    wait_until(lambda: any(run.state == "success" for run in airflow.runs(SYNC)), "a sync to end")
    assert set(plant.receipts.values()) == {1}
