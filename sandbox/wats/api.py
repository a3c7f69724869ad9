"""The routes of WATS: what the public description offers under `/api`, as far as this server speaks it."""

from typing import Annotated
from urllib.parse import parse_qsl
from uuid import UUID

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from sandbox.wats.odata import ODataError, parse_query
from sandbox.wats.report_store import ReportStore
from sandbox.wats.responses import WatsResponse, as_fastapi, json_response, message_response
from sandbox.wats.server_settings import ServerSettings


def query_headers(store: ReportStore, settings: ServerSettings, query_string: bytes) -> WatsResponse:
    """Answer `Report/Query/Header` for an undecoded query string."""
    try:
        parameters = parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        return message_response(400, "The query string is not valid UTF-8.")
    try:
        query = parse_query(parameters, settings.profile, settings.max_filter_nodes)
    except ODataError as exc:
        return message_response(exc.status, f"The query specified in the URI is not valid. {exc}")
    return json_response(store.headers(query))


def create_api(store: ReportStore, settings: ServerSettings) -> APIRouter:
    """Return the routes, in lower case: IIS ignores the case of a path, and the middleware in front lowers it."""
    api = APIRouter(prefix="/api")

    @api.get("/app/version")
    async def version() -> str:
        return settings.version

    @api.get("/app/processes")
    async def processes(
        include_test: Annotated[bool, Query(alias="includeTestOperations")] = False,  # noqa: FBT002
        include_repair: Annotated[bool, Query(alias="includeRepairOperations")] = False,  # noqa: FBT002
        include_wip: Annotated[bool, Query(alias="includeWipOperations")] = False,  # noqa: FBT002
    ) -> JSONResponse:
        everything = not (include_test or include_repair or include_wip)
        return JSONResponse(
            [
                process.as_json()
                for process in store.processes
                if everything
                or (include_test and process.is_test)
                or (include_repair and process.is_repair)
                or (include_wip and process.is_wip)
            ]
        )

    @api.get("/report/query/header")
    async def header(request: Request) -> Response:
        return as_fastapi(query_headers(store, settings, request.scope["query_string"]))

    @api.get("/report/query/headerbymiscinfo")
    async def header_by_misc_info(
        description: str | None = None,
        data: str | None = None,
        serial_number: Annotated[str | None, Query(alias="serialNumber")] = None,
        process_code: Annotated[int | None, Query(alias="processCode")] = None,
    ) -> Response:
        found = store.headers_by_misc_info(
            description=description, data=data, serial_number=serial_number, process_code=process_code
        )
        return as_fastapi(json_response(found))

    @api.get("/report/wsjf/{report_id}")
    async def wsjf(report_id: UUID) -> Response:
        """Return the report as it was sent, at any level of detail."""
        body = store.shown_body(str(report_id))
        if body is None:
            return as_fastapi(message_response(404, f"Report {report_id} was not found."))
        return Response(body, media_type="application/json")

    return api


def add_errors(app: FastAPI) -> None:
    """Let FastAPI's own refusals have the shape of WATS's: status 400 and a `message`."""

    async def refused(_request: Request, exc: Exception) -> Response:
        assert isinstance(exc, RequestValidationError)
        first = exc.errors()[0]
        return as_fastapi(message_response(400, f"{first['loc'][-1]}: {first['msg']}"))

    async def not_found(request: Request, exc: Exception) -> Response:
        assert isinstance(exc, HTTPException)
        text = f"No HTTP resource was found that matches the request URI '{request.url.path}'."
        return as_fastapi(message_response(exc.status_code, text if exc.status_code == 404 else str(exc.detail)))

    app.add_exception_handler(RequestValidationError, refused)
    app.add_exception_handler(HTTPException, not_found)
