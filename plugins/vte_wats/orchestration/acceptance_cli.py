"""``make acceptance WATS=…``: an acceptance run without a scheduler; the token comes from the environment."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from vte_wats.domain.errors import VteWatsError
from vte_wats.orchestration.acceptance_run import AcceptanceRequest, profile_text, run_acceptance
from vte_wats.wats.wats_connection import WatsConnection

TOKEN_VARIABLE = "WATS_TOKEN"  # noqa: S105 -- the name of a variable
_CONNECTION = "the address given"


def main(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run it; return what the process ends with: 0, or 1 with the reason on standard error."""
    given = _parser().parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        connection = _connection(given.wats, environment)
        request = AcceptanceRequest(
            host=str(urlsplit(connection.url).hostname),
            process_code=given.process_code,
            longest_delay_s=given.longest_delay_s,
            largest_body_mb=given.largest_body_mb,
        )
        acceptance = run_acceptance(connection, request)
    except (VteWatsError, ValueError) as exc:
        sys.stderr.write(f"{exc}\n")
        return 1
    folder = Path(given.folder)
    folder.mkdir(parents=True, exist_ok=True)
    profile = folder / "vte_wats_profile.json"
    profile.write_text(profile_text(acceptance.profile), encoding="utf-8")
    (folder / "acceptance.html").write_text(acceptance.documents.html, encoding="utf-8")
    (folder / "acceptance.md").write_text(acceptance.documents.markdown, encoding="utf-8")
    logging.getLogger(__name__).info(
        "%s/acceptance.html and acceptance.md are written. For the package to read the profile: "
        'airflow variables set vte_wats_profile "$(cat %s)"',
        folder,
        profile,
    )
    return 0


def _connection(wats: str, environment: Mapping[str, str]) -> WatsConnection:
    """Return a connection for an address, or the one of this id that Airflow finds in the environment."""
    if "://" in wats:
        token = environment.get(TOKEN_VARIABLE)
        if not token:
            raise ValueError(f"{TOKEN_VARIABLE}: required beside an address, the API token of WATS")
        return WatsConnection.parse(_CONNECTION, host=wats, port=None, login=None, password=token, extra=None)
    from vte_wats.wats.hook import WatsHook

    return WatsHook(wats).read_connection()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="make acceptance",
        description=f"Measure a WATS test environment. The API token comes from the environment: {TOKEN_VARIABLE} for "
        "an address, AIRFLOW_CONN_<ID> for a connection.",
    )
    parser.add_argument("wats", help="address such as https://test.wats.com, or the id of a connection")
    parser.add_argument("--folder", default="dist/acceptance", help="where the report and the profile are written")
    parser.add_argument("--process-code", type=int, help="test operation of the reports; the lowest one otherwise")
    parser.add_argument("--longest-delay-s", type=float, default=300, help="how long to wait until a report shows")
    parser.add_argument("--largest-body-mb", type=int, default=0, help="largest body to try, in millions of bytes")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
