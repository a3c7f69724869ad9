"""Complete HTTP answers as plain values: made by the routes, sent or spoilt by the gate."""

import json
from dataclasses import dataclass, field
from typing import Any

from fastapi.responses import Response
from pydantic_core import to_json

_JSON = "application/json; charset=utf-8"
_HTML = "text/html; charset=utf-8"

LOGIN_PAGE = b"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Sign in</title></head>
<body><h1>Sign in</h1>
<form method="post"><input name="user"><input name="password" type="password"></form></body></html>
"""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes
    content_type: str = _JSON
    headers: dict[str, str] = field(default_factory=dict)


def json_answer(content: Any, status: int = 200) -> Answer:
    return Answer(status, to_json(content))


def message_answer(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    """Answer with `{"message": …}`, as WATS words its refusals."""
    return Answer(status, json.dumps({"message": message}).encode(), headers=headers or {})


def html_answer(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    return Answer(status, body, _HTML, headers or {})


def not_found_by_iis() -> Answer:
    """Return IIS's own page for a query string beyond its limit, which never reaches WATS."""
    text = (
        "<!DOCTYPE html><html><head><title>404 - File or directory not found.</title></head><body>"
        "<h1>HTTP Error 404.15 - Not Found</h1><p>The request filtering module is configured to deny a request where"
        " the query string is too long.</p></body></html>"
    )
    return html_answer(text.encode(), 404)


def insert_result(report_id: str, number: int, *, in_array: bool = False) -> Answer:
    """Return InsertReportResult, by itself or in an array of one."""
    result = f'{{"ID":"{report_id}","uuid":"{report_id}","Report_ID":{number}}}'
    return Answer(200, (f"[{result}]" if in_array else result).encode())


def as_response(answer: Answer) -> Response:
    return Response(answer.body, answer.status, answer.headers, answer.content_type)
