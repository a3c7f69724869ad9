"""Airflow's settings for a stack, as environment variables, with the reason where one is not plain."""

import base64
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

FOREIGN_PREFIXES = ("AIRFLOW", "_AIRFLOW", "FORKED_BY")


@dataclass(frozen=True, kw_only=True)
class StackFolders:
    """Where a stack keeps things; all of it below ``home``."""

    home: Path

    @property
    def airflow(self) -> Path:
        return self.home / "airflow"

    @property
    def postgres(self) -> Path:
        return self.home / "postgres"

    @property
    def redis(self) -> Path:
        return self.home / "redis"

    @property
    def logs(self) -> Path:
        """One file per component; the logs of tasks are below ``airflow``."""
        return self.home / "logs"

    @property
    def temporary(self) -> Path:
        """TMPDIR of every component, so that the system's temporary folder stays as it was."""
        return self.home / "tmp"

    @property
    def passwords(self) -> Path:
        return self.airflow / "passwords.json"

    def create(self) -> None:
        for folder in (self.airflow, self.postgres, self.redis, self.logs, self.temporary):
            folder.mkdir(parents=True, exist_ok=True)


def airflow_environment(
    *,
    folders: StackFolders,
    dags_folder: Path,
    plugins_folder: Path,
    database_url: str,
    broker_url: str | None,
    port: int,
    user: str,
    parallelism: int,
    overrides: Mapping[str, str],
) -> dict[str, str]:
    """Return the whole environment of a component: the caller's without its Airflow, ours, then ``overrides``.

    With a broker the tasks run on Celery workers, without one the scheduler starts them.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN_PREFIXES)}
    address = f"http://127.0.0.1:{port}"
    no_proxy = [environment.get("NO_PROXY", ""), environment.get("no_proxy", ""), "127.0.0.1", "localhost"]
    environment |= {
        "AIRFLOW_HOME": str(folders.airflow),
        "TMPDIR": str(folders.temporary),
        "NO_PROXY": ",".join(filter(None, no_proxy)),
        "no_proxy": ",".join(filter(None, no_proxy)),
        "PYTHONUNBUFFERED": "1",
        "NO_COLOR": "1",
        "OBJC_DISABLE_INITIALIZE_FORK_SAFETY": "YES",  # macOS: the executor forks
    }
    if environment.pop("PYTHONDONTWRITEBYTECODE", None):
        environment["PYTHONPYCACHEPREFIX"] = str(_bytecode_folder(folders))
    sections: dict[str, dict[str, object]] = {
        "core": {
            "dags_folder": dags_folder,
            "plugins_folder": plugins_folder,
            "load_examples": False,
            "executor": "CeleryExecutor" if broker_url else "LocalExecutor",
            "parallelism": parallelism,
            "mp_start_method": "fork",
            "fernet_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
            "simple_auth_manager_users": f"{user}:admin",
            "simple_auth_manager_passwords_file": folders.passwords,
            "test_connection": "Enabled",
            "dags_are_paused_at_creation": True,
            "execution_api_server_url": f"{address}/execution/",
            "max_active_tasks_per_dag": max(16, parallelism),
        },
        "database": {
            "sql_alchemy_conn": database_url,
            "sql_alchemy_pool_size": 10,
            "sql_alchemy_max_overflow": 10,
        },
        "api": {
            "host": "127.0.0.1",
            "port": port,
            "base_url": address,
            "workers": 1,
            "secret_key": secrets.token_hex(16),
            "expose_config": False,
        },
        "api_auth": {"jwt_secret": secrets.token_hex(32)},
        "logging": {
            "base_log_folder": folders.airflow / "logs",
            "colored_console_log": False,
            "uvicorn_logging_level": "WARNING",
        },
        "scheduler": {
            # At 0.1 an idle scheduler costs a fifth of a core, where several stacks and their tasks share two.
            "scheduler_idle_sleep_time": 0.5,
            "scheduler_heartbeat_sec": 2,
            "scheduler_health_check_threshold": 10,  # after a SIGKILL the next one adopts or resets what was running
            "orphaned_tasks_check_interval": 5,
            "task_instance_heartbeat_timeout": 60,
            "max_dagruns_to_create_per_loop": 20,
            "max_dagruns_per_loop_to_schedule": 40,
            "use_job_schedule": True,
        },
        "dag_processor": {
            "refresh_interval": 10,
            "min_file_process_interval": 600,
            "parsing_processes": 2,
            "print_stats_interval": 300,
        },
        "triggerer": {"job_heartbeat_sec": 2},
        # A task whose pipes close a moment before its process ends keeps its executor slot for this long; it happens to
        # every third task under load, and 1 is the smallest value that does not poll without pause.
        "workers": {"min_heartbeat_interval": 1},
    }
    if broker_url:
        sections["celery"] = {"broker_url": broker_url}  # results go into Airflow's own database
    for section, options in sections.items():
        for option, value in options.items():
            environment[f"AIRFLOW__{section.upper()}__{option.upper()}"] = str(value)
    return environment | dict(overrides)


def _bytecode_folder(folders: StackFolders) -> Path:
    """Choose where compiled modules go for a caller who wants none next to the sources.

    Without any, every component compiles Airflow again, which is more than half of its start.
    """
    environment_folder = Path(sys.prefix)
    shared = os.access(environment_folder, os.W_OK) and sys.prefix != sys.base_prefix
    return (environment_folder if shared else folders.home) / "bytecode"
