"""The middleware in front of the application: IIS's limits, credentials, budget, log, latency and the scripted faults.

It speaks ASGI and, for faults of the connection, takes hold of uvicorn's transport: a reset is a real RST on the wire.
Posted reports are answered here without entering FastAPI, because benchmarks post thousands of them.
"""

import asyncio
import base64
import contextlib
import hmac
import math
import os
import socket
import struct
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import unquote_plus
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from more_itertools import sliced
from pydantic_core import to_json
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.wats.profiles import TooLargeBody, WatsProfile
from sandbox.wats.report_fields import ReportRefusedError
from sandbox.wats.report_store import ReportStore
from sandbox.wats.reports import parse_report
from sandbox.wats.request_log import Request, RequestBudget, RequestLog
from sandbox.wats.responses import (
    LOGIN_PAGE,
    MAINTENANCE_PAGE,
    WatsResponse,
    html_response,
    insert_result,
    json_response,
    message_response,
    not_found_by_iis,
)
from sandbox.wats.server_settings import RetryAfterForm, ServerSettings
from sandbox.wats.wats_faults import Fault, FaultKind, Faults

_POST_PATH = "/api/report/wsjf"
_PARTIAL_FLUSH_S = 0.05
_DRIP_PARTS = 20
_DEAF_S = 30.0


class WatsMiddleware:
    """ASGI application that lets requests under `/api` through to `app` only if nothing refuses them."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        store: ReportStore,
        settings: ServerSettings,
        faults: Faults,
        log: RequestLog,
        budget: RequestBudget,
        clock: Callable[[], datetime],
        user: str,
        password: str,
    ) -> None:
        self._app = app
        self._store = store
        self._settings = settings
        self._faults = faults
        self._log = log
        self._budget = budget
        self._clock = clock
        self._credentials = base64.b64encode(f"{user}:{password}".encode())
        self._stopping = asyncio.Event()

    def open(self) -> None:
        """Prepare for a (re)start; called in the server's event loop."""
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Wake every request that a fault holds, so that the server can end."""
        self._stopping.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].lower().startswith("/api/"):
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        target = f"{scope['path']}?{unquote_plus(scope['query_string'].decode('latin-1'))}"
        early = self._faults.strike(scope["method"], target, None)
        if early is not None and early.kind is FaultKind.DEAF:
            await self._ignore(early, scope, receive)
            return
        body = await _whole_body(receive)
        if body is None:
            return
        request = Request(
            at=self._clock(),
            method=scope["method"],
            path=scope["path"],
            query=scope["query_string"].decode("latin-1"),
            body_size_bytes=len(body),
        )
        self._log.add(request)
        headers = dict(scope["headers"])
        try:
            fault = early
            response = None if early is not None else self._refusal(scope, headers, body)
            if fault is None and response is None:
                fault = self._faults.strike(request.method, target, body)
                if self._settings.latency_s > 0:
                    await self._pause(self._settings.latency_s)
                if fault is None:
                    response = await self._respond(scope, body, request)
            if fault is not None:
                request.fault = str(fault.kind)
                await self._fail_as_scripted(fault, request, body, scope=scope, receive=receive, send=send)
            elif response is not None:
                request.status = response.status
                await _send(send, response)
        finally:
            request.duration_s = time.perf_counter() - began

    # ------------------------------------------------------------------------------------------------- admission
    def _refusal(self, scope: Scope, headers: dict[bytes, bytes], body: bytes) -> WatsResponse | None:
        if len(scope["query_string"]) > self._settings.max_query_string_chars:
            return not_found_by_iis(15, "where the query string is too long")
        profile = self._settings.profile
        if len(body) > profile.max_body_bytes:
            if profile.too_large_body is TooLargeBody.PAGE_404:
                return not_found_by_iis(13, "that exceeds the request content length")
            return message_response(413, f"The request body exceeds {profile.max_body_bytes} bytes.")
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"basic" or not hmac.compare_digest(token.strip(), self._credentials):
            challenge = {"WWW-Authenticate": 'Basic realm="WATS"'}
            return message_response(401, "Authorization has been denied for this request.", challenge)
        wait_s = self._budget.wait_s()
        if wait_s is not None:
            return message_response(429, "Too many requests.", {"Retry-After": self._retry_after(wait_s)})
        if b"content-encoding" in headers and headers[b"content-encoding"] != b"identity":
            return message_response(415, "Content-Encoding is not supported.")
        return None

    def _retry_after(self, wait_s: float) -> str:
        seconds = max(1, math.ceil(wait_s))
        if self._settings.retry_after_form == RetryAfterForm.HTTP_DATE:
            return format_datetime(self._clock() + timedelta(seconds=seconds), usegmt=True)
        return str(seconds)

    # --------------------------------------------------------------------------------------------------- answers
    async def _respond(
        self, scope: Scope, body: bytes, request: Request, quarantine_reason: str | None = None
    ) -> WatsResponse:
        """Process the request."""
        path = scope["path"].lower().rstrip("/")
        if request.method == "POST" and path == _POST_PATH:
            return self._post_report(body, request, quarantine_reason)
        if path.startswith(f"{_POST_PATH}/"):
            request.report_id = path.rpartition("/")[2]
        return await _collected(self._app, {**scope, "path": path, "raw_path": path.encode()}, body)

    def _post_report(self, body: bytes, request: Request, quarantine_reason: str | None) -> WatsResponse:
        profile = self._settings.profile
        try:
            report = parse_report(body)
            sent_id = report.get("id")
            if isinstance(sent_id, str):
                request.report_id = sent_id.lower()
                if profile.renames_reports:
                    report["id"] = _stored_id(request.report_id, profile)
                    body = to_json(report)
            received = self._store.receive_parsed(report, body, quarantine_reason=quarantine_reason)
        except ReportRefusedError as exc:
            return message_response(400, str(exc))
        source_id = request.report_id if profile.renames_reports and request.report_id else received.id
        return insert_result(source_id, received.id, received.number, profile.post_answer)

    # ---------------------------------------------------------------------------------------------------- faults
    async def _fail_as_scripted(
        self, fault: Fault, request: Request, body: bytes, *, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer as the fault says. A request that is invalid anyway gets its refusal."""
        usual: WatsResponse | None = None
        if fault.takes_effect:
            reason = fault.reason if fault.kind is FaultKind.QUARANTINE else None
            usual = await self._respond(scope, body, request, reason)
        else:
            request.report_id = _report_id(scope, body)
        match fault.kind:
            case FaultKind.RESET | FaultKind.STORE_THEN_RESET:
                _reset(receive)
                return
            case FaultKind.CLOSE:
                _transport(receive).close()
                return
            case FaultKind.RESET_INSIDE:
                response = usual or json_response({})
                request.status = response.status
                await self._send_half(send, response)
                _reset(receive)
                return
            case FaultKind.STORE_THEN_TIMEOUT | FaultKind.STALL:
                if not await self._held(receive, fault.delay_s):
                    return
            case FaultKind.DRIP:
                response = usual or json_response({})
                request.status = response.status
                await self._drip(send, response, 1.0 if fault.delay_s is None else fault.delay_s)
                return
        response = _altered(fault, usual, request.report_id, self._settings.profile)
        request.status = response.status
        await _send(send, response)

    async def _ignore(self, fault: Fault, scope: Scope, receive: Receive) -> None:
        """Leave a request unread; the server's own buffers fill up, and then the client can write no more."""
        query = scope["query_string"].decode("latin-1")
        request = Request(at=self._clock(), method=scope["method"], path=scope["path"], query=query, body_size_bytes=0)
        request.fault = str(fault.kind)
        self._log.add(request)
        await self._pause(_DEAF_S if fault.delay_s is None else fault.delay_s)
        _reset(receive)

    async def _pause(self, seconds: float) -> None:
        """Sleep, but no longer than the server runs."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _held(self, receive: Receive, delay_s: float | None) -> bool:
        """Hold the answer back; True once `delay_s` have passed, False if the client left or the server stops."""
        waiting = [asyncio.ensure_future(_gone(receive)), asyncio.ensure_future(self._stopping.wait())]
        try:
            done, _ = await asyncio.wait(waiting, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        if done and self._stopping.is_set():
            _transport(receive).close()
        return not done

    async def _send_half(self, send: Send, response: WatsResponse) -> None:
        await send(_start(response))
        await send({"type": "http.response.body", "body": response.body[: len(response.body) // 2], "more_body": True})
        await self._pause(_PARTIAL_FLUSH_S)

    async def _drip(self, send: Send, response: WatsResponse, delay_s: float) -> None:
        await send(_start(response))
        size = max(1, -(-len(response.body) // _DRIP_PARTS))
        parts = list(sliced(response.body, size))
        for part in parts:
            await self._pause(delay_s / len(parts))
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _altered(fault: Fault, usual: WatsResponse | None, report_id: str | None, profile: WatsProfile) -> WatsResponse:
    """Return the answer of a fault that leaves the connection whole."""
    match fault.kind:
        case FaultKind.STATUS | FaultKind.STORE_THEN_STATUS:
            headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
            return message_response(fault.status, fault.message or f"Scripted fault {fault.status}.", headers)
        case FaultKind.MAINTENANCE:
            headers = {"Location": fault.location} if 300 <= fault.status < 400 else {}
            return html_response(MAINTENANCE_PAGE, fault.status, headers)
        case FaultKind.HTML:
            return html_response(LOGIN_PAGE)
        case FaultKind.REDIRECT:
            return html_response(b"", 302, {"Location": fault.location})
        case FaultKind.EMPTY_200:
            return WatsResponse(200, b"")
        case FaultKind.JSON_200:
            return json_response(fault.json)
        case FaultKind.WRONG_ID:
            other_id = str(uuid4())
            return insert_result(other_id, other_id, 1, profile.post_answer)
        case FaultKind.NO_STORE:
            source_id = report_id or str(uuid4())
            return insert_result(source_id, _stored_id(source_id, profile), 1, profile.post_answer)
        case FaultKind.TRUNCATED_JSON:
            response = usual or json_response({})
            return WatsResponse(
                response.status, response.body[: len(response.body) // 2], response.content_type, response.headers
            )
        case _:
            return usual or json_response({})


def _stored_id(source_id: str, profile: WatsProfile) -> str:
    """Return the id that a report is stored under: its own, or always the same one of the server."""
    return str(uuid5(NAMESPACE_OID, source_id)) if profile.renames_reports else source_id


def _report_id(scope: Scope, body: bytes) -> str | None:
    path = scope["path"].lower().rstrip("/")
    found: object = path.rpartition("/")[2] if path.startswith(f"{_POST_PATH}/") else None
    if path == _POST_PATH:
        with contextlib.suppress(ReportRefusedError):
            found = parse_report(body).get("id")
    try:
        return str(UUID(str(found)))
    except ValueError:
        return None


# -------------------------------------------------------------------------------------------------------------- ASGI
async def _whole_body(receive: Receive) -> bytes | None:
    """Return the request's body, or None if the client left before it was complete."""
    parts: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _start(response: WatsResponse) -> Message:
    headers = {"Content-Type": response.content_type, **response.headers, "Content-Length": str(len(response.body))}
    return {
        "type": "http.response.start",
        "status": response.status,
        "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()],
    }


async def _send(send: Send, response: WatsResponse) -> None:
    await send(_start(response))
    await send({"type": "http.response.body", "body": response.body})


async def _collected(app: ASGIApp, scope: Scope, body: bytes) -> WatsResponse:
    """Run the application on an already received body and return its whole response."""
    start: dict[str, Any] = {}
    parts: list[bytes] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            start.update(message)
        else:
            parts.append(message.get("body", b""))

    await app(scope, receive, send)
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in start["headers"]}
    headers.pop("content-length", None)
    content_type = headers.pop("content-type", "text/plain")
    return WatsResponse(start["status"], b"".join(parts), content_type, headers)


async def _gone(receive: Receive) -> None:
    """Return when the client has closed the connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(receive: Receive) -> asyncio.Transport:
    """Return the connection of a request: uvicorn's `receive` is a method of the object that owns it."""
    transport: asyncio.Transport = receive.__self__.transport  # type: ignore[attr-defined]
    return transport


def _reset(receive: Receive) -> None:
    """End the connection with RST instead of FIN."""
    transport = _transport(receive)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with socket.socket(fileno=os.dup(connection.fileno())) as duplicate:
            duplicate.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
