"""A WATS whose answers are looked at, not judged: the acceptance run asks through it.

It sends what a session sends, through the same transport and within the same budget, one request after the other.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Self, TypeVar
from uuid import UUID

from pywats.core.client import Response
from pywats.core.routes import Routes
from tenacity import AsyncRetrying, RetryCallState, retry_if_result, stop_after_attempt

from vte_wats.acceptance.observe import WatsResponse
from vte_wats.domain.errors import RetriableError
from vte_wats.domain.report import NaturalKey
from vte_wats.intervals.interval import Interval
from vte_wats.wats import queries
from vte_wats.wats.rate_limiter import BudgetStore, RateLimiter
from vte_wats.wats.response_errors import RESPONSE_ERRORS, as_error, retry_after_s, server_message
from vte_wats.wats.responses import InsertResult
from vte_wats.wats.transport import Transport
from vte_wats.wats.wats_connection import GuidQuoting, WatsConnection

_T = TypeVar("_T")

_BUSY = frozenset({429, 503})  # says something about the moment, nothing about the request
_DEFAULT_PAUSE_S = 5.0
_TEXT_LENGTH = 240
_UNAUTHORISED = 401
_CREDENTIALS = next(failure for failure in RESPONSE_ERRORS if _UNAUTHORISED in failure.statuses)


class WatsObserver:
    """One WATS for the length of a ``with`` block; implements ``vte_wats.acceptance.observe.WatsUnderTest``."""

    def __init__(self, connection: WatsConnection, budget_store: BudgetStore | None = None) -> None:
        self._connection = connection
        self._budget_store = budget_store if connection.concurrent_tasks == 1 else None
        self._forms = {form.quoting.value: form for form in queries.id_forms(GuidQuoting.AUTO)}

    def __enter__(self) -> Self:
        """Start the loop; no connection is opened before the first question."""
        self._runner = asyncio.Runner()
        self._transport = Transport(self._connection)
        self._rate_limiter = RateLimiter(self._connection.share_per_minute, self._budget_store)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connection and the loop, whatever state they are in."""
        try:
            self._run(self._transport.close())
            self._rate_limiter.close()
        finally:
            self._runner.close()

    @property
    def id_forms(self) -> Sequence[str]:
        """The forms in which report ids can be written in a query, in the order in which a session tries them."""
        return tuple(self._forms)

    def post(self, body: bytes) -> WatsResponse:
        """Post a document as a report."""
        return self._ask("POST", Routes.Report.WSJF, body=body)

    def ids_of(self, answer: WatsResponse) -> tuple[UUID, UUID] | None:
        """Return the id of the report and the id it is kept under, as a session reads the answer to a post."""
        try:
            result = InsertResult.read(answer.content)
        except ValueError:
            return None
        return result.source_id, result.stored_id

    def headers_by_id(self, form: str, ids: Sequence[UUID]) -> WatsResponse:
        """Ask for headers with misc infos by report id, the ids written in this form."""
        return self._headers(queries.headers_by_id(self._forms[form], ids))

    def headers_by_range(self, started: Interval) -> WatsResponse:
        """Ask for all headers with misc infos that start in an interval of whole seconds."""
        return self._headers(queries.headers_by_range(started))

    def headers_by_serial(self, serial: str, part_number: str, process_code: int, start_at: datetime) -> WatsResponse:
        """Ask for the headers with this natural key, as a session looks for equal ones."""
        return self._headers(queries.headers_by_serials([NaturalKey(serial, part_number, process_code, start_at)]))

    def headers_by_source_id(self, source_id: str) -> WatsResponse:
        """Ask for the headers with this text in the misc info ``source_id``."""
        return self._ask("GET", Routes.Report.QUERY_HEADER_BY_MISC, query=queries.by_source_id(source_id))

    def headers_of_part(self, part_number: str, *, with_limit: bool, skip: int = 0) -> WatsResponse:
        """Ask for headers with misc infos of a part number; without a limit WATS returns the first few."""
        query = dict(queries.page(queries.headers_of_part(part_number), skip))
        if not with_limit:
            del query["$top"]
        return self._headers(query)

    def report(self, report_id: UUID) -> WatsResponse:
        """Ask for one whole report."""
        return self._ask("GET", Routes.Report.wsjf(str(report_id)))

    def _headers(self, query: queries.Query) -> WatsResponse:
        return self._ask("GET", Routes.Report.QUERY_HEADER, query=query)

    def _ask(
        self, method: str, route: str, *, query: queries.Query | None = None, body: bytes | None = None
    ) -> WatsResponse:
        return self._run(self._tried(method, route, query, body))

    async def _tried(self, method: str, route: str, query: queries.Query | None, body: bytes | None) -> WatsResponse:
        """Ask again while the server is only busy, or away, as often as the connection says."""
        tries: list[str] = []

        def pause(state: RetryCallState) -> None:
            answer, pause_s = _outcome(state)
            tries.append(f"{answer}, asked again after {pause_s:g} s")
            self._rate_limiter.pause(pause_s)

        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._connection.attempts),
            retry=retry_if_result(lambda outcome: outcome[1] is not None),
            before_sleep=pause,
            retry_error_callback=_outcome,
        )
        outcome: tuple[WatsResponse, float | None] = await retrying(self._once, method, route, query, body)
        return replace(outcome[0], tries_before=tuple(tries))

    async def _once(
        self, method: str, route: str, query: queries.Query | None, body: bytes | None
    ) -> tuple[WatsResponse, float | None]:
        """Ask once; return the answer, and how long to wait when the same may be answered otherwise then."""
        async with self._rate_limiter.turn():
            sent_s = time.perf_counter()
            try:
                response = await self._transport.exchange(method, route, query=query, body=body)
            except RetriableError as exc:
                return WatsResponse(None, text=str(exc)), _DEFAULT_PAUSE_S
            took_ms = (time.perf_counter() - sent_s) * 1000
        if response.status_code == _UNAUTHORISED:
            where = f"{method} {self._transport.where(route)}"
            raise as_error(_CREDENTIALS, where, f"HTTP {_UNAUTHORISED}")
        answer = WatsResponse(response.status_code, response.data, self._text(response), response.headers, took_ms)
        if response.status_code in _BUSY:
            asked_s = retry_after_s(response.headers)
            return answer, _DEFAULT_PAUSE_S if asked_s is None else asked_s
        return answer, None

    def _text(self, response: Response) -> str:
        """Return the beginning of what was answered, in one line without the token."""
        content: Any = response.data
        if response.status_code >= 300:
            text = server_message(content)
        elif isinstance(content, str):
            text = content
        else:
            text = json.dumps(content, ensure_ascii=False)
        flat = " ".join(self._transport.redacted(text).split())
        return flat if len(flat) <= _TEXT_LENGTH else flat[: _TEXT_LENGTH - 1] + "…"

    def _run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return self._runner.get_loop().run_until_complete(coroutine)


def _outcome(state: RetryCallState) -> tuple[WatsResponse, float]:
    """Return the last answer, and how long to wait for another one."""
    assert state.outcome is not None  # noqa: S101 -- it has been asked
    answer, pause_s = state.outcome.result()
    return answer, pause_s
