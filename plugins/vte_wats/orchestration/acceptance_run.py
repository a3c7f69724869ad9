"""An acceptance run from a connection to its documents; a task of Airflow and ``make acceptance`` both run it."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field

from vte_wats.acceptance.acceptance_documents import Documents, Subject, render
from vte_wats.acceptance.behaviour import behaviour_of
from vte_wats.acceptance.exchange import Clock
from vte_wats.acceptance.findings import Finding, FindingStatus, findings_of, own_finding
from vte_wats.acceptance.observe import observe
from vte_wats.acceptance.own_upload import upload_own
from vte_wats.acceptance.probes import PART_NUMBER, Plan
from vte_wats.config.settings import ExistenceCheck
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW954, VW955
from vte_wats.wats.profile import WatsProfile

if TYPE_CHECKING:
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
    # pyWATS takes long to import, and a DAG file that is only parsed needs none of it.
    from vte_wats.wats.client import WatsSession
    from vte_wats.wats.observer import WatsObserver

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


def profile_text(profile: WatsProfile) -> str:
    """Return the profile as it is kept in the Variable."""
    return json.dumps(profile.known(), indent=1)


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
