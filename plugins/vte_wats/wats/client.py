"""A session with WATS: asks, posts, keeps to the budget, tries again. Implements the port ``Wats``."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Self, TypeVar
from uuid import UUID

from more_itertools import chunked, flatten
from pywats.core.client import Response
from pywats.core.routes import Routes
from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt, wait_exponential_jitter

from vte_wats.config.settings import ExistenceCheck
from vte_wats.domain.errors import FatalError, RejectedError, RetriableError
from vte_wats.domain.report import NaturalKey, Report, RequestStats, StoredReport, Submission
from vte_wats.messages import VW392, VW918
from vte_wats.state.history import edge_of
from vte_wats.wats import queries
from vte_wats.wats.connection import WatsConnection
from vte_wats.wats.insert_result import InsertResult
from vte_wats.wats.rate_limiter import LONGEST_WAIT_S, BudgetStore, RateLimiter
from vte_wats.wats.response_errors import UNEXPECTED_CONTENT, WRONG_ID, as_error
from vte_wats.wats.transport import Transport

_log = logging.getLogger(__name__)

_NOT_FOUND = 404
_FEWEST_FAILURES = 3  # in a row, before a server counts as down

_Header = Mapping[str, Any]
_T = TypeVar("_T")
_R = TypeVar("_R")


class WatsSession:
    """One session with WATS for the length of a ``with`` block.

    Everything runs on an event loop of its own that turns only while a method is waited for: between two submissions
    the requests in flight pause. After a FatalError nothing is sent any more.
    """

    def __init__(
        self,
        connection: WatsConnection,
        existence_check: ExistenceCheck = ExistenceCheck.UUID,
        budget_store: BudgetStore | None = None,
        *,
        first_backoff_s: float = 0.5,
        window_s: float = 60.0,
    ) -> None:
        self._connection = connection
        self._existence_check = existence_check
        # With other tasks beside this one the store would know a part of the usage only.
        self._budget_store = budget_store if connection.concurrent_tasks == 1 else None
        self._window_s = window_s
        self._id_forms = queries.id_forms(connection.guid_quoting)
        self._backoff = wait_exponential_jitter(
            multiplier=first_backoff_s, max=LONGEST_WAIT_S / 2, jitter=first_backoff_s
        )
        self._retrying = AsyncRetrying(
            stop=stop_after_attempt(connection.attempts),
            wait=self._wait_s,
            retry=self._should_retry,
            before_sleep=_log_next_try,
            reraise=True,
        )
        self._stopped_by: FatalError | RetriableError | None = None
        self._failures_in_a_row = 0
        self._requests = 0
        self._latency_ms: Counter[int] = Counter()

    def __enter__(self) -> Self:
        """Start the loop; nothing is dialled before the first call."""
        self._runner = asyncio.Runner()
        self._transport = Transport(self._connection)
        self._rate_limiter = RateLimiter(self._connection.share_per_minute, self._budget_store, window_s=self._window_s)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections and the loop, whatever state they are in."""
        try:
            self._run(self._transport.close())
            self._rate_limiter.close()
        finally:
            self._runner.close()

    def version(self) -> str:
        """Return the version WATS says it has."""
        self._start_call()
        answer = self._run(self._get(Routes.App.VERSION))
        if not isinstance(answer.data, str) or not answer.data[:1].isdigit():
            raise self._unexpected("GET", Routes.App.VERSION)
        return answer.data.strip()

    def process_codes(self) -> frozenset[int]:
        """Return the codes of the test operations that WATS knows; a list without any is not an answer of WATS."""
        self._start_call()
        found = self._run(self._list(Routes.App.PROCESSES))
        with self._reading(Routes.App.PROCESSES):
            codes = frozenset(int(process["code"]) for process in found if process.get("isTestOperation") is True)
        if not codes:  # believed, it would hold every run
            raise self._unexpected("GET", Routes.App.PROCESSES)
        return codes

    def find_reports(self, ids: Sequence[UUID]) -> dict[UUID, StoredReport]:
        """Look up reports by the id of the run they were made from; absent ones are not in the answer."""
        self._start_call()
        wanted = list(dict.fromkeys(ids))
        if self._existence_check is ExistenceCheck.SOURCE_ID:
            return self._find_by_source_id(wanted)
        found = self._headers(wanted)
        with self._reading(Routes.Report.QUERY_HEADER):
            return {_uuid(header): _stored(_uuid(header), header) for header in found}

    def find_natural_keys(self, keys: Sequence[NaturalKey]) -> dict[NaturalKey, UUID]:
        """Look up which reports already stand under these natural keys.

        They are compared by their identity.
        """
        self._start_call()
        stored: dict[tuple[object, ...], UUID] = {}
        batches = queries.batches_of_keys(list(dict.fromkeys(keys)))
        for found in self._concurrently(batches, self._headers_of_keys):
            with self._reading(Routes.Report.QUERY_HEADER):
                stored |= {_natural_key(header).identity: _uuid(header) for header in found}
        return {key: stored[key.identity] for key in keys if key.identity in stored}

    def fetch(self, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
        """Fetch whole reports by the ids WATS keeps them under; absent ones are not in the answer."""
        self._start_call()
        return {report_id: body for report_id, body in self._concurrently(ids, self._whole) if body is not None}

    def submit(self, reports: Iterable[Report]) -> Iterator[Submission]:
        """Post reports side by side, in any order; one submission per report, a bad one never stops the others.

        Reports are drawn from the iterable as connections become free. When as many in a row as are in flight find
        WATS down, the rest comes back as RetriableError unsent.
        """
        self._start_call()
        return self._concurrently(reports, self._submission)

    def request_stats(self) -> RequestStats:
        """Return how many requests were sent, and how long the answered posts took."""
        return RequestStats(self._requests, self._connection.requests_per_minute, dict(self._latency_ms))

    async def _submission(self, report: Report) -> Submission:
        if isinstance(self._stopped_by, RetriableError):
            return Submission(report, self._stopped_by)
        try:
            result = await self._retried(lambda: self._post(report))
            if {result.source_id, result.stored_id} != {report.report_id}:
                await self._confirm(report, result.stored_id)
        except RejectedError as exc:
            self._failures_in_a_row = 0
            return Submission(report, exc)
        except RetriableError as exc:
            self._count_failure(exc)
            return Submission(report, exc)
        self._failures_in_a_row = 0
        return Submission(report)

    async def _post(self, report: Report) -> InsertResult:
        """Post once; return what the answer says. By ``uuid`` only our own id is a success."""
        key = report.natural_key
        known = (str(report.report_id), key.serial, key.part_number)
        started_s = time.perf_counter()
        answer = await self._transport.post(Routes.Report.WSJF, report.body.encode(), known)
        self._latency_ms[edge_of((time.perf_counter() - started_s) * 1000)] += 1
        if not isinstance(answer.data, dict | list):
            raise self._unexpected("POST", Routes.Report.WSJF)
        try:
            result = InsertResult.read(answer.data)
        except ValueError:
            raise self._unconfirmed("no result of one report in the answer") from None
        if self._existence_check is ExistenceCheck.UUID:
            if result.source_id != report.report_id:
                raise self._unconfirmed("another ID in the answer")
            if result.stored_id != report.report_id:
                raise self._unconfirmed("stored under another uuid")
        return result

    async def _confirm(self, report: Report, stored_id: UUID) -> None:
        """Check that what WATS keeps under an id of its own is this run with this content; else it is unconfirmed."""
        headers = await self._headers_of_ids([stored_id])
        with self._reading(Routes.Report.QUERY_HEADER):
            stored = [(_misc_info(header, "source_id"), _misc_info(header, "source_hash")) for header in headers]
        if (f"VTE:{report.report_id}", report.source_hash) not in stored:
            raise self._unconfirmed(f"the id in the answer, {stored_id}, is not that of a report of this run")

    def _unconfirmed(self, reason: str) -> RetriableError | RejectedError | FatalError:
        return as_error(WRONG_ID, f"POST {self._transport.where(Routes.Report.WSJF)}", reason)

    async def _whole(self, report_id: UUID) -> tuple[UUID, Mapping[str, Any] | None]:
        route = Routes.Report.wsjf(str(report_id))
        answer = await self._retried(lambda: self._transport.get(route, absent=_NOT_FOUND))
        if answer.status_code == _NOT_FOUND:
            return report_id, None
        if not isinstance(answer.data, dict) or str(answer.data.get("id")).lower() != str(report_id):
            raise self._unexpected("GET", route)
        return report_id, answer.data

    def _count_failure(self, exc: RetriableError) -> None:
        """Stop sending when WATS looks down; a server that answers, but does not confirm, is not down."""
        if exc.message is WRONG_ID.message:
            self._failures_in_a_row = 0
            return
        self._failures_in_a_row += 1
        if self._stopped_by is None and self._failures_in_a_row >= max(_FEWEST_FAILURES, self._connection.concurrency):
            _log.warning(
                "%s WATS failed %d times in a row, the rest is not sent: %s", VW918, self._failures_in_a_row, exc
            )
            self._stopped_by = RetriableError(
                VW392, f"not sent, WATS failed too often just before: {exc}", exc.retry_after_s
            )

    def _find_by_source_id(self, ids: Sequence[UUID]) -> dict[UUID, StoredReport]:
        """Find reports that WATS may keep under ids of its own, by the misc info that names the run."""
        source_ids = {f"VTE:{guid}": guid for guid in ids}
        candidates = {uuid for found in self._concurrently(source_ids, self._ids_of_source) for uuid in found}
        stored: dict[UUID, StoredReport] = {}
        found = self._headers(sorted(candidates))
        with self._reading(Routes.Report.QUERY_HEADER):
            for header in found:
                guid = source_ids.get(_misc_info(header, "source_id") or "")
                if guid is not None and (guid not in stored or _uuid(header) == guid):
                    stored[guid] = _stored(guid, header)
        return stored

    async def _ids_of_source(self, source_id: str) -> set[UUID]:
        found = await self._list(Routes.Report.QUERY_HEADER_BY_MISC, queries.by_source_id(source_id))
        with self._reading(Routes.Report.QUERY_HEADER_BY_MISC):
            return {_uuid(hit) for hit in found if _may_name(hit, source_id)}

    def _headers(self, ids: Sequence[UUID]) -> list[_Header]:
        """Fetch the headers of reports by id: one batch to learn which form is understood, then the rest at once."""
        first_batch = self._id_forms[0].max_ids
        headers = self._run(self._headers_of_ids(ids[:first_batch]))
        batches = chunked(ids[first_batch:], self._id_forms[0].max_ids)
        return headers + list(flatten(self._concurrently(batches, self._headers_of_ids)))

    async def _headers_of_ids(self, ids: Sequence[UUID]) -> list[_Header]:
        """Fetch the headers of a batch, in the first form of query that the server understands."""
        headers: list[_Header] = []
        left = ids
        while left:
            form = self._id_forms[0]
            try:
                query = queries.headers_by_id(form, left[: form.max_ids])
                headers += await self._list(Routes.Report.QUERY_HEADER, query)
            except RejectedError as exc:
                self._try_next_id_form(form, exc)
                continue
            left = left[form.max_ids :]
        return headers

    def _try_next_id_form(self, refused: queries.IdForm, exc: RejectedError) -> None:
        if refused is not self._id_forms[0]:
            return  # another batch was refused before
        if len(self._id_forms) == 1:
            raise FatalError(
                exc.message, f"{exc.detail}; no known way to ask for report ids works (guid_quoting)"
            ) from exc
        self._id_forms = self._id_forms[1:]
        _log.info("WATS refuses ids written %s, trying %s", refused.quoting, self._id_forms[0].quoting)

    async def _headers_of_keys(self, keys: Sequence[NaturalKey]) -> list[_Header]:
        query = queries.headers_by_serials(keys)
        try:
            if queries.fits(query):
                return await self._pages(query)
        except RejectedError as exc:
            _log.info("WATS refuses a query by serial number, asking by start instead: %s", exc)
        try:
            return [header for key in keys for header in await self._pages(queries.headers_by_start(key))]
        except RejectedError as exc:
            raise FatalError(exc.message, f"{exc.detail}; WATS cannot be asked for natural keys") from exc

    async def _pages(self, query: queries.Query) -> list[_Header]:
        headers: list[_Header] = []
        while True:
            found = await self._list(Routes.Report.QUERY_HEADER, queries.page(query, len(headers)))
            headers += found
            if len(found) < queries.PAGE:
                return headers

    async def _list(self, route: str, query: queries.Query | None = None) -> list[_Header]:
        answer = await self._get(route, query)
        if not isinstance(answer.data, list) or not all(isinstance(item, dict) for item in answer.data):
            raise self._unexpected("GET", route)
        return answer.data

    async def _get(self, route: str, query: queries.Query | None = None) -> Response:
        return await self._retried(lambda: self._transport.get(route, query))

    async def _retried(self, request: Callable[[], Awaitable[_T]]) -> _T:
        return await self._retrying.copy()(self._one_try, request)

    async def _one_try(self, request: Callable[[], Awaitable[_T]]) -> _T:
        """Send a request when it is its turn, unless something has stopped them all meanwhile."""
        async with self._rate_limiter.turn():
            if self._stopped_by is not None:
                raise self._stopped_by
            self._requests += 1
            try:
                return await request()
            except RetriableError as exc:
                if exc.retry_after_s is not None:
                    self._rate_limiter.pause(exc.retry_after_s)
                raise
            except FatalError as exc:
                self._stopped_by = exc
                raise

    def _should_retry(self, state: RetryCallState) -> bool:
        return isinstance(_failure(state), RetriableError) and self._stopped_by is None

    def _wait_s(self, state: RetryCallState) -> float:
        """Back off; the rate limiter waits for a pause that WATS asked for, for all requests together."""
        exc = _failure(state)
        if isinstance(exc, RetriableError) and exc.retry_after_s is not None:
            return 0.0
        return self._backoff(state)

    def _concurrently(self, items: Iterable[_T], action: Callable[[_T], Coroutine[Any, Any, _R]]) -> Iterator[_R]:
        """Run an action on each item, ``concurrency`` at a time; after a failure what is in flight still ends."""
        loop = self._runner.get_loop()
        waiting = iter(items)
        in_flight: set[asyncio.Task[_R]] = set()
        failure: BaseException | None = None
        try:
            while True:
                if failure is None:
                    free = self._connection.concurrency - len(in_flight)
                    in_flight |= {loop.create_task(action(item)) for item in islice(waiting, free)}
                if not in_flight:
                    break
                done, in_flight = self._run(asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED))
                failures = [exc for task in done if (exc := task.exception()) is not None]
                failure = failure or next(iter(failures), None)
                yield from [task.result() for task in done if task.exception() is None]
            if failure is not None:
                raise failure
        finally:
            if in_flight:
                for task in in_flight:
                    task.cancel()
                self._run(asyncio.wait(in_flight))

    def _start_call(self) -> None:
        """Refuse to continue after a FatalError; a server that was down may be up by now."""
        if isinstance(self._stopped_by, FatalError):
            raise self._stopped_by
        self._stopped_by = None
        self._failures_in_a_row = 0

    def _run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Turn the loop until the coroutine is done; Runner.run would install a signal handler each time, slowly."""
        return self._runner.get_loop().run_until_complete(coroutine)

    @contextmanager
    def _reading(self, route: str) -> Iterator[None]:
        """Raise for an answer whose fields are missing or of another type: WATS does not answer so."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise self._unexpected("GET", route) from exc

    def _unexpected(self, method: str, route: str) -> RetriableError | RejectedError | FatalError:
        return as_error(
            UNEXPECTED_CONTENT, f"{method} {self._transport.where(route)}", "a success status, other content"
        )


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _log_next_try(state: RetryCallState) -> None:
    _log.info("Try %d failed, the next one follows: %s", state.attempt_number, _failure(state))


def _uuid(header: _Header) -> UUID:
    return UUID(str(header["uuid"]))


def _stored(report_id: UUID, header: _Header) -> StoredReport:
    source_hash = _misc_info(header, "source_hash")
    return StoredReport(report_id, _uuid(header), source_hash)


def _misc_info(header: _Header, description: str) -> str | None:
    for info in header.get("miscInfo") or ():
        if info.get("description") == description and info.get("value"):
            return str(info["value"])
    return None


def _may_name(found: _Header, source_id: str) -> bool:
    """Return whether a hit is worth a look; a server that ignores the value searched for returns everything."""
    infos = found.get("miscData") or ()
    return not infos or any(str(info.get("data")).lower() == source_id.lower() for info in infos)


def _natural_key(header: _Header) -> NaturalKey:
    start_at = datetime.fromisoformat(str(header["start"]))
    if start_at.tzinfo is None:
        start_at = start_at.replace(tzinfo=UTC)
    serial, part_number = str(header.get("serialNumber") or ""), str(header.get("partNumber") or "")
    return NaturalKey(serial, part_number, int(header.get("processCode") or 0), start_at)
