"""Give Airflow what a person would enter in its UI, for the sandbox of docker-compose, and let the sync run.

Runs in the Airflow image, where nothing else of ``sandbox`` is, so it imports nothing from there.
"""

import json
import os
import subprocess
import sys
import time

DAGS = ("vte_wats_sync", "vte_wats_reconcile", "vte_wats_monitor")
SETTINGS = {
    "source_timezone": "Europe/Oslo",
    "timestamp_marks": "end",
    "process_map": {
        "PSU Board Test": 50,
        "PSU Burn In": 120,
        "Sensor Board Programming": 50,
        "Sensor Board Functional": 50,
        "*Calibration": 110,
        "*Final Test": 100,
    },
    "alerts": {"recipients": ["plant-it@vte-wats.test"]},
}

_PARSING_TIMEOUT_S = 300.0


def connections(vte_password: str, wats_password: str) -> dict[str, dict[str, object]]:
    """Return the connections of the sandbox by id, in the form that Airflow imports."""
    return {
        "vte_default": {
            "conn_type": "mssql",
            "host": "sqlserver",
            "port": 1433,
            "schema": "VTE9_3",
            "login": "vte_adapter_readonly",
            "password": vte_password,
        },
        "wats_default": {
            "conn_type": "wats",
            "host": "http://wats",
            "port": 8000,
            "login": "vte",
            "password": wats_password,
            "extra": {"allow_http": True},  # the network between is Compose's own
        },
        "smtp_default": {
            "conn_type": "smtp",
            "host": "mail",
            "port": 1025,
            "extra": {"disable_ssl": True, "disable_tls": True, "from_email": "airflow@vte-wats.test"},
        },
    }


def main() -> None:
    for conn_id, fields in connections(_secret("VTE_ADAPTER_PASSWORD"), _secret("WATS_PASSWORD")).items():
        _airflow("connections", "delete", conn_id, check=False)
        _airflow("connections", "add", conn_id, "--conn-json", json.dumps(fields))
    if _airflow("variables", "get", "vte_wats", check=False) != 0:  # what a person changed since then stays
        _airflow("variables", "set", "vte_wats", json.dumps(SETTINGS, indent=1))
    deadline = time.monotonic() + _PARSING_TIMEOUT_S
    for dag_id in DAGS:
        while _airflow("dags", "details", dag_id, check=False) != 0:  # unpausing an unknown DAG would succeed
            if time.monotonic() > deadline:
                sys.exit(f"Airflow did not load {dag_id} within {_PARSING_TIMEOUT_S:.0f} s; see its import errors")
            time.sleep(5)
        _airflow("dags", "unpause", "--yes", dag_id)


def _secret(name: str) -> str:
    if not os.environ.get(name):
        sys.exit(f"{name} is not set in .env; .env.example says what belongs there")
    return os.environ[name]


def _airflow(*arguments: str, check: bool = True) -> int:
    """Run Airflow's command line and return its exit code; what it prints may hold secrets and is not shown."""
    done = subprocess.run(["airflow", *arguments], check=False, capture_output=True, text=True)  # noqa: S603, S607
    if check and done.returncode != 0:
        sys.exit(f"airflow {' '.join(arguments[:3])} failed:\n{done.stderr[-2000:]}")
    return done.returncode


if __name__ == "__main__":
    main()
