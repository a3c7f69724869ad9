"""Both emulated servers alone, with a plant that works: point an Airflow of your own at them."""

from __future__ import annotations

import argparse
import shlex
import signal
import threading
from datetime import UTC, datetime, timedelta

from sandbox.environment import SandboxEnvironment
from sandbox.wats.profiles import DEFAULT_NAME, PROFILES, ProfileName


def main() -> None:
    """Serve until Ctrl-C."""
    arguments = argparse.ArgumentParser(prog="python -m sandbox", description=__doc__)
    arguments.add_argument("--runs", type=int, default=600, help="test runs of the last two hours (default 600)")
    arguments.add_argument("--seed", type=int, default=7, help="the same seed gives the same plant (default 7)")
    arguments.add_argument("--timezone", default="Europe/Oslo", help="zone of the stations' clocks")
    arguments.add_argument("--vte-port", type=int, default=0, help="a fixed port instead of a free one")
    arguments.add_argument("--wats-port", type=int, default=0, help="a fixed port instead of a free one")
    arguments.add_argument(
        "--wats-profile",
        type=ProfileName,
        choices=list(ProfileName),
        default=DEFAULT_NAME,
        help=f"how WATS behaves where sources disagree, see docs/wats.md (default {DEFAULT_NAME})",
    )
    given = arguments.parse_args()
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    now_at = datetime.now(UTC)
    start_at = now_at - timedelta(hours=2)
    environment = SandboxEnvironment(
        seed=given.seed,
        timezone=given.timezone,
        profile=PROFILES[given.wats_profile],
        vte_port=given.vte_port,
        wats_port=given.wats_port,
    )
    environment.factory_data.load(environment.db, start=start_at, end=now_at, runs=given.runs, oddities=True)
    with environment, environment.factory_data.live(environment.db, every_s=5.0):
        for name, value in environment.environment_variables.items():
            print(f"export {name}={shlex.quote(value)}")
        print(f"export AIRFLOW__VTE_WATS__START_DATE={start_at.isoformat(timespec='seconds')}")
        print(
            f"# SQL Server {environment.vte.host}:{environment.vte.port}, received reports {environment.wats.url}, "
            "Ctrl-C ends",
            flush=True,
        )
        ended.wait()


if __name__ == "__main__":
    main()
