"""An acceptance run from a connection to its documents: for a task of Airflow, and for ``make acceptance WATS=…``.

The latter needs no scheduler, and takes the token from the environment.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from vte_wats.acceptance.acceptance_documents import Documents, Subject, render
from vte_wats.acceptance.behaviour import behaviour_of
from vte_wats.acceptance.findings import Finding, FindingStatus, findings_of, own_finding
from vte_wats.acceptance.observe import Clock, observe
from vte_wats.acceptance.own_upload import upload_own
from vte_wats.acceptance.probes import PART_NUMBER, Plan
from vte_wats.config.settings import ExistenceCheck
from vte_wats.domain.errors import FatalError, VteWatsError
from vte_wats.messages import VW954, VW955
from vte_wats.orchestration.variables import WATS_PROFILE
from vte_wats.wats.client import WatsSession
from vte_wats.wats.hook import WatsHook
from vte_wats.wats.observer import WatsObserver
from vte_wats.wats.profile import WatsProfile
from vte_wats.wats.rate_limiter import BudgetStore
from vte_wats.wats.wats_connection import WatsConnection

log = logging.getLogger(__name__)


class AcceptanceRequest(BaseModel):
    """What a person asks for."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = Field(description="The host of the WATS test environment, as the connection names it.")
    process_code: int | None = Field(None, description="The test operation of the reports; the first one otherwise.")
    longest_delay_s: float = Field(300, gt=0, le=3_600, description="How long to wait until a report shows.")
    largest_body_mb: int = Field(0, ge=0, le=1_000, description="The largest body to try, in millions of bytes.")


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What an acceptance run gives."""

    profile: WatsProfile
    findings: list[Finding]
    documents: Documents

    def summary(self) -> dict[str, Any]:
        """Return counts and the profile, as plain JSON."""
        counts = {status.value: 0 for status in FindingStatus}
        for finding in self.findings:
            counts[finding.status.value] += 1
        return {"findings": counts, "profile": self.profile.known()}


class RealClock:
    """Time as it passes."""

    def now_s(self) -> float:
        """Return seconds of a clock that never runs backwards."""
        return time.monotonic()

    def wait(self, seconds: float) -> None:
        """Sleep."""
        time.sleep(seconds)


def run_acceptance(
    connection: WatsConnection,
    request: AcceptanceRequest,
    *,
    budget_store: BudgetStore | None = None,
    clock: Clock | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Acceptance:
    """Measure one WATS.

    Raises FatalError when the request names another host than the connection, when WATS lacks the test operation, and
    for what the first requests meet.
    """
    started_at = now()
    _require_host(connection, request)
    with WatsSession(connection, budget_store=budget_store) as session:
        wats_version, codes = session.version(), session.process_codes()
    plan = Plan(started_at, _process_code(request, codes), max(codes) + 1)
    log.info("WATS %s at %s: reports of part number %s, from now on", wats_version, connection.url, PART_NUMBER)
    clock = clock or RealClock()
    with WatsObserver(connection, budget_store) as wats:
        seen = observe(
            wats,
            clock,
            plan,
            longest_delay_s=request.longest_delay_s,
            largest_body_bytes=request.largest_body_mb * 1_000_000,
        )
    behaviour = behaviour_of(seen)
    check = ExistenceCheck.SOURCE_ID if behaviour.renames else ExistenceCheck.UUID
    with WatsSession(connection, check, budget_store) as session:
        own = upload_own(session, clock, plan, longest_delay_s=request.longest_delay_s)
    findings = [own_finding(own), *findings_of(seen, behaviour)]
    ended_at = now()
    host = urlsplit(connection.url).hostname
    profile = WatsProfile(measured_at=ended_at, host=host, wats_version=wats_version, **asdict(behaviour))
    subject = Subject(
        url=connection.url,
        wats_version=wats_version,
        process_code=seen.plan.process_code,
        started_at=seen.plan.started_at,
        ended_at=ended_at,
        package_version=version("vte-wats"),
        requests=len(seen.answers),
    )
    for finding in findings:
        log.info("%s: %s %s", finding.status.upper(), finding.question, finding.answer)
    return Acceptance(profile, findings, render(subject, findings, profile.known()))


def _require_host(connection: WatsConnection, request: AcceptanceRequest) -> None:
    host = urlsplit(connection.url).hostname
    if request.host.strip().lower() != host:
        raise FatalError(
            VW954,
            f"host: must be that of the connection {connection.conn_id}, {host}, given {request.host!r}. The "
            "acceptance run posts some twenty test reports there; name it only if it is a test environment",
        )


def _process_code(request: AcceptanceRequest, codes: frozenset[int]) -> int:
    code = min(codes) if request.process_code is None else request.process_code
    if code not in codes:
        known = ", ".join(map(str, sorted(codes)[:20]))
        raise FatalError(VW955, f"process_code: must be a test operation of WATS ({known}), given {code}")
    return code


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
    profile.write_text(WATS_PROFILE.dump(acceptance.profile), encoding="utf-8")
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
