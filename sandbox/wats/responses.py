"""Complete HTTP answers as plain values: made by the routes, sent or altered by the middleware."""

import json
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import Response
from pydantic_core import to_json

from sandbox.wats.profiles import PostAnswer

_JSON = "application/json; charset=utf-8"
_HTML = "text/html; charset=utf-8"

LOGIN_PAGE = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head>
<body><h1>Sign in</h1>
<form method="post"><input name="user"><input name="password" type="password"></form></body></html>
"""

MAINTENANCE_PAGE = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Maintenance</title></head>
<body><h1>We will be back soon</h1><p>The server is under maintenance.</p></body></html>
"""


@dataclass(frozen=True)
class WatsResponse:
    status: int
    body: bytes
    content_type: str = _JSON
    headers: dict[str, str] = field(default_factory=dict)


def json_response(content: Any) -> WatsResponse:
    return WatsResponse(200, to_json(content))


def message_response(status: int, message: str, headers: dict[str, str] | None = None) -> WatsResponse:
    """Answer with `{"message": …}`, as WATS words its refusals."""
    return WatsResponse(status, json.dumps({"message": message}).encode(), headers=headers or {})


def html_response(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> WatsResponse:
    return WatsResponse(status, body, _HTML, headers or {})


def not_found_by_iis(substatus: int, reason: str) -> WatsResponse:
    """Return IIS's own page for a request beyond one of its limits, which never reaches WATS."""
    text = (
        "<!DOCTYPE html><html><head><title>404 - File or directory not found.</title></head><body>"
        f"<h1>HTTP Error 404.{substatus} - Not Found</h1><p>The request filtering module is configured to deny a"
        f" request {reason}.</p></body></html>"
    )
    return html_response(text.encode(), 404)


def insert_result(source_id: str, stored_id: str, number: int, form: PostAnswer) -> WatsResponse:
    """Return InsertReportResult: `ID` is the id that was sent, `uuid` the one that the report is stored under."""
    result = f'{{"ID":"{source_id}","uuid":"{stored_id}","Report_ID":{number}}}'
    return WatsResponse(200, (f"[{result}]" if form is PostAnswer.ARRAY else result).encode())


def as_fastapi(answer: WatsResponse) -> Response:
    return Response(answer.body, answer.status, answer.headers, answer.content_type)
