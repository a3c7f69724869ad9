"""The FastAPI application below ``/vte-wats``: the status page, the JSON under it, and ``/health``.

Routes of an Airflow plugin are open by default. Everything but ``/health`` is on one router, which asks for the login.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from airflow.api_fastapi.common.db.common import SessionDep
from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Response, status
from fastapi.responses import FileResponse

from vte_wats.health import Health, ProbeStatus, health
from vte_wats.messages import VW924
from vte_wats.status.access import NamedSite, ReadableSites, all_sites, may_redrive, refuse_other_origins
from vte_wats.status.api_models import HistoryChart, RedriveRequest, SiteStatus, SiteSummary, Span, StartedRedrive
from vte_wats.status.charts import history_chart
from vte_wats.status.dead_letter_groups import dead_letter_groups, redrive
from vte_wats.status.site_reader import read_site, read_stored
from vte_wats.status.site_summary import site_status, site_summary
from vte_wats.storage.dead_letter_index import DeadLetterGroups

log = logging.getLogger(__name__)

_PAGE = Path(__file__).parent / "page"
_FILES = {"page.css": "text/css", "page.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

with_login = APIRouter(dependencies=[Depends(get_user)])
without_login = APIRouter()


def create_app() -> FastAPI:
    """Build the application. Its own documentation pages are left out: they load scripts from elsewhere."""
    app = FastAPI(
        title="VTE → WATS",
        description="The state of the transfer of test runs from VTE to WATS.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )

    @with_login.get("/api/openapi.json", include_in_schema=False)
    def openapi() -> dict[str, Any]:
        return app.openapi()

    app.include_router(without_login)
    app.include_router(with_login)
    return app


@without_login.get("/health", responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": Health}})
def get_health(session: SessionDep, response: Response) -> Health:
    """Return the state for a load balancer or an uptime probe, without a login: numbers only, from what is stored."""
    try:
        sites = all_sites()
    except HTTPException as exc:
        log.warning("%s /health cannot be answered: %s", VW924, exc.detail)
        raise HTTPException(exc.status_code, "The option sites is wrong; the log says how.") from None
    found = health(list(read_stored(session, sites).values()), datetime.now(UTC))
    log.info("%s", found)
    if found.status is ProbeStatus.FAILING:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    response.headers["Cache-Control"] = "no-store"
    return found


@with_login.get("/page", include_in_schema=False)
def get_page() -> FileResponse:
    """Return the status page."""
    return FileResponse(_PAGE / "page.html", media_type="text/html", headers=_HEADERS)


@with_login.get("/page/{name}", include_in_schema=False)
def get_page_file(name: str) -> FileResponse:
    """Return a file that the page loads."""
    if name not in _FILES:
        raise HTTPException(status.HTTP_404_NOT_FOUND)
    return FileResponse(_PAGE / name, media_type=_FILES[name], headers=_HEADERS)


@with_login.get("/api/sites")
def get_sites(sites: ReadableSites, session: SessionDep) -> list[SiteSummary]:
    """List the sites that the user may look at."""
    now_at = datetime.now(UTC)
    return [site_summary(site, read_site(session, site, now_at), now_at) for site in sites]


@with_login.get("/api/status")
def get_status(site: NamedSite, user: GetUserDep, session: SessionDep) -> SiteStatus:
    """Return everything about one site but its history and its dead letters."""
    now_at = datetime.now(UTC)
    return site_status(site, read_site(session, site, now_at), now_at, may_redrive=may_redrive(site, user))


@with_login.get("/api/history")
def get_history(site: NamedSite, session: SessionDep, span: Span = Span.DAY) -> HistoryChart:
    """Return what was settled, as points of a chart."""
    return history_chart(read_stored(session, [site])[site].history, span, datetime.now(UTC))


@with_login.get("/api/dead-letters")
def get_dead_letters(site: NamedSite) -> DeadLetterGroups:
    """Return the dead letters and held runs in groups."""
    return dead_letter_groups(site)


@with_login.post("/api/redrive", status_code=status.HTTP_202_ACCEPTED, dependencies=[Depends(refuse_other_origins)])
def post_redrive(body: RedriveRequest, site: NamedSite, user: GetUserDep, session: SessionDep) -> StartedRedrive:
    """Redrive a group of dead letters. Needs the header ``X-VTE-WATS`` and the right to trigger the DAG."""
    return redrive(site, body.signature, user, session)
