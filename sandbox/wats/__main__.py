"""`python -m sandbox.wats`: the emulated WATS server alone."""

import argparse
import os

from sandbox.wats.profiles import DEFAULT_NAME, PROFILES, ProfileName
from sandbox.wats.wats_server import WatsServer


def main(arguments: list[str] | None = None) -> None:
    """Serve until interrupted. The password may come from the environment, to stay out of the process list."""
    parser = argparse.ArgumentParser(prog="python -m sandbox.wats", description="Emulated WATS server.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--db", help="SQLite file; without it, reports are kept in memory")
    parser.add_argument("--user", default=os.environ.get("WATS_SANDBOX_USER", "vte"))
    parser.add_argument("--password", default=os.environ.get("WATS_SANDBOX_PASSWORD", "vte-sandbox"))
    parser.add_argument(
        "--profile",
        type=ProfileName,
        choices=list(ProfileName),
        default=os.environ.get("WATS_SANDBOX_PROFILE") or DEFAULT_NAME,
        help=f"how it behaves where sources disagree, see docs/wats.md (default {DEFAULT_NAME})",
    )
    parser.add_argument("--requests-per-minute", type=int)
    parser.add_argument("--latency-s", type=float, default=0.0)
    given = parser.parse_args(arguments)
    server = WatsServer(
        profile=PROFILES[given.profile],
        host=given.host,
        port=given.port,
        db_path=given.db,
        user=given.user,
        password=given.password,
        requests_per_minute=given.requests_per_minute,
        latency_s=given.latency_s,
    )
    server.run()


if __name__ == "__main__":
    main()
