"""The FastAPI application below ``/vte-wats``: the status page, the JSON under it, and ``/health``.

Routes of an Airflow plugin are open by default. Everything but ``/health`` is on one router, which asks for the login.
What is read comes from :mod:`vte_wats.status.cached_status`; no route reads on the threads of Airflow's API.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from airflow.api_fastapi.core_api.security import GetUserDep, get_user
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Response, status
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse
from starlette.datastructures import MutableHeaders

from vte_wats.health import Health, ProbeStatus
from vte_wats.orchestration.dag_defaults import read_health_details
from vte_wats.status.access import (
    MayChangeSettings,
    MayReadLogs,
    MayReadSettings,
    MayReadSurvey,
    MayRedrive,
    NamedSite,
    ReadableSites,
    refuse_other_origins,
)
from vte_wats.status.api_models import (
    BareHealth,
    DeadLetterList,
    HistoryChart,
    ProofCalendar,
    RedriveRequest,
    SiteStatus,
    SiteSummary,
    Span,
    StartedRedrive,
    SurveyStatus,
    TakeOverRequest,
)
from vte_wats.status.cached_status import (
    deployment_health,
    every_site_summary,
    site_calendar,
    site_history,
    whole_site_status,
)
from vte_wats.status.charts import as_csv, for_page
from vte_wats.status.dead_letter_groups import dead_letter_list, note_redrive, redrive, refuse_unknown_group
from vte_wats.status.site_summary import for_user
from vte_wats.status.survey_page import known_proposal, note_take_over, survey_file, survey_status, take_over

_PAGE = Path(__file__).parent / "page"
_FILES = {"page.css": "text/css", "page.js": "text/javascript"}
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    ),
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

with_login = APIRouter(dependencies=[Depends(get_user)])
without_login = APIRouter()

_Message = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Message]]
_Send = Callable[[_Message], Awaitable[None]]


class SafeHeaders:
    """ASGI middleware: no answer is stored, unless it says otherwise, and none is taken for another kind of file."""

    def __init__(self, app: Callable[[_Message, _Receive, _Send], Awaitable[None]]) -> None:
        self._app = app

    async def __call__(self, scope: _Message, receive: _Receive, send: _Send) -> None:
        """Answer one request."""

        async def send_with_headers(message: _Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Content-Type-Options"] = "nosniff"
            await send(message)

        await self._app(scope, receive, send_with_headers)


def create_app() -> FastAPI:
    """Build the application. Its own documentation pages are left out: they load scripts from elsewhere."""
    app = FastAPI(
        title="VTE → WATS",
        description="The state of the transfer of test runs from VTE to WATS.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.add_middleware(SafeHeaders)

    @with_login.get("/api/openapi.json", include_in_schema=False)
    def openapi() -> dict[str, Any]:
        return app.openapi()

    app.include_router(without_login)
    app.include_router(with_login)
    return app


@without_login.get("/health", responses={status.HTTP_503_SERVICE_UNAVAILABLE: {"model": Health}})
async def get_health(response: Response) -> Health | BareHealth:
    """Return the state for a load balancer or an uptime probe, without a login: numbers only, from what is stored."""
    found = await deployment_health()
    if found.status is ProbeStatus.FAILING:
        response.status_code = status.HTTP_503_SERVICE_UNAVAILABLE
    return found if read_health_details() else BareHealth(status=found.status)


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
async def get_sites(sites: ReadableSites) -> list[SiteSummary]:
    """List the sites that the user may look at."""
    readable = {site.name for site in sites}
    return [summary for summary in await every_site_summary() if summary.site in readable]


@with_login.get("/api/status")
async def get_status(site: NamedSite, may_redrive: MayRedrive, may_read_logs: MayReadLogs) -> SiteStatus:
    """Return everything about one site but its history and its dead letters."""
    found = await whole_site_status(site)
    return for_user(found, may_redrive=may_redrive, may_read_logs=may_read_logs)


@with_login.get("/api/history")
async def get_history(site: NamedSite, span: Span = Span.DAY) -> HistoryChart:
    """Return what was settled, as points of a chart."""
    return await site_history(site, span)


@with_login.get("/api/proof")
async def get_proof(site: NamedSite, may_read_logs: MayReadLogs) -> ProofCalendar:
    """Return what is proven of the last year; without the open runs to who may not read the logs of tasks."""
    return for_page(await site_calendar(site), may_read_logs=may_read_logs)


@with_login.get(
    "/api/proof.csv", response_class=Response, responses={status.HTTP_200_OK: {"content": {"text/csv": {}}}}
)
async def get_proof_csv(site: NamedSite) -> Response:
    """Return the numbers of every day since the first one that was synced, a row each."""
    name = "-".join(filter(None, ("vte-wats-proof", site.name)))
    headers = {"Content-Disposition": f'attachment; filename="{name}.csv"'}
    return Response(as_csv(await site_calendar(site)), media_type="text/csv", headers=headers)


@with_login.get("/api/dead-letters")
async def get_dead_letters(site: NamedSite, may_read_logs: MayReadLogs) -> DeadLetterList:
    """Return the dead letters and held runs in groups; their counts alone to who may not read the logs of tasks."""
    return await dead_letter_list(site, may_read_logs=may_read_logs)


@with_login.post("/api/redrive", status_code=status.HTTP_202_ACCEPTED, dependencies=[Depends(refuse_other_origins)])
async def post_redrive(body: RedriveRequest, site: NamedSite, user: GetUserDep) -> StartedRedrive:
    """Redrive a group of dead letters. Needs the header ``X-VTE-WATS`` and the right to trigger the DAG."""
    await run_in_threadpool(note_redrive, site, body.signature, user)
    await refuse_unknown_group(site, body.signature)
    return await run_in_threadpool(redrive, site, body.signature, user)


@with_login.get("/api/survey")
async def get_survey(
    site: NamedSite, may_read: MayReadSurvey, may_read_settings: MayReadSettings, may_change: MayChangeSettings
) -> SurveyStatus:
    """Return the newest survey; nothing of it to who may not read the logs of its tasks."""
    return await survey_status(site, may_read=may_read, may_read_settings=may_read_settings, may_change=may_change)


@with_login.get("/survey/{survey}/{name}", include_in_schema=False)
async def get_survey_file(survey: str, name: str, site: NamedSite, may_read: MayReadSurvey) -> Response:
    """Return a file of the newest survey."""
    return await survey_file(site, survey, name, may_read=may_read)


@with_login.post("/api/survey/take-over", dependencies=[Depends(refuse_other_origins)])
async def post_take_over(body: TakeOverRequest, site: NamedSite, user: GetUserDep) -> SurveyStatus:
    """Write chosen proposals into the settings. Needs the header ``X-VTE-WATS`` and the right to edit the Variable."""
    await run_in_threadpool(note_take_over, site, body, user)
    survey = await known_proposal(site, body.survey)
    await run_in_threadpool(take_over, site, survey, body)
    return await survey_status(site, may_read=True, may_read_settings=True, may_change=True, fresh=True)
