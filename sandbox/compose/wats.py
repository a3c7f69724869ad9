"""The emulated WATS as a container runs it (``python -m sandbox.compose.wats``): on every address, until a signal."""

import argparse
import os
import sys

from sandbox.wats.server import WatsServer

USER = "vte"
PASSWORD_VARIABLE = "WATS_PASSWORD"  # noqa: S105 - the name of a variable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--database", help="SQLite file that keeps the reports; without it they live in memory")
    arguments = parser.parse_args()
    password = os.environ.get(PASSWORD_VARIABLE)
    if not password:
        sys.exit(f"{PASSWORD_VARIABLE} is not set in .env; .env.example says what belongs there")
    server = WatsServer(
        host="0.0.0.0",  # noqa: S104 - inside a container; compose decides who may reach it
        port=arguments.port,
        user=USER,
        password=password,
        db_path=arguments.database,
    )
    server.run()


if __name__ == "__main__":
    main()
