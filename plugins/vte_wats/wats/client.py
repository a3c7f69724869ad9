"""A session with WATS: asks, posts, keeps to the budget, tries again. Implements the port ``Wats``."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Self
from uuid import UUID

from pywats.core.routes import Routes

from vte_wats.config.settings import ExistenceCheck
from vte_wats.domain.errors import FatalError, RejectedError, RetriableError
from vte_wats.domain.report import (
    KeyHit,
    KnownBehaviour,
    ListedReport,
    NaturalKey,
    Report,
    RequestStats,
    StoredReport,
    Submission,
)
from vte_wats.intervals.interval import Interval
from vte_wats.messages import VW346, VW392, VW918
from vte_wats.state.history import bucket_of
from vte_wats.sync.report_content import largest_parts
from vte_wats.wats.learned_server import KnownServer, LearnedStore
from vte_wats.wats.lookup import Lookup
from vte_wats.wats.profile import WatsProfile
from vte_wats.wats.rate_limiter import BudgetStore
from vte_wats.wats.response_errors import FAILED_FOR_REPORT, UNEXPECTED_CONTENT, WRONG_ID, as_error
from vte_wats.wats.responses import InsertResult
from vte_wats.wats.sender import Sender
from vte_wats.wats.wats_connection import WatsConnection

_log = logging.getLogger(__name__)

_TOO_LARGE = ("wats: HTTP 404", "wats: HTTP 413")
_FEWEST_FAILURES = 3  # in a row, before a server counts as down


class WatsSession:
    """One session with WATS for the length of a ``with`` block. After a FatalError nothing is sent any more.

    Between two submissions the requests in flight pause: the event loop turns only while a method is waited for.
    """

    def __init__(
        self,
        connection: WatsConnection,
        existence_check: ExistenceCheck = ExistenceCheck.UUID,
        budget_store: BudgetStore | None = None,
        *,
        profile: WatsProfile | None = None,
        learned_store: LearnedStore | None = None,
        first_backoff_s: float = 0.5,
        window_s: float = 60.0,
    ) -> None:
        self._connection = connection
        self._existence_check = existence_check
        self._server = KnownServer(connection, profile or WatsProfile(), learned_store)
        self._sender = Sender(
            connection, self._server, budget_store, first_backoff_s=first_backoff_s, window_s=window_s
        )
        self._lookup = Lookup(self._sender, self._server, existence_check)
        self._failures_in_a_row = 0
        self._latency_ms: Counter[int] = Counter()

    def __enter__(self) -> Self:
        """Start; no connection is opened before the first call."""
        self._sender.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections, whatever state they are in, and save what was learned."""
        self._sender.__exit__()

    def behaviour(self) -> KnownBehaviour:
        """Return what is known of this WATS and decides about runs; nothing is sent."""
        return self._server.behaviour

    def showed_late(self) -> None:
        """Remember that a report took longer to show than was waited for; nothing is sent."""
        self._server.showed_late()

    def version(self) -> str:
        """Return the version WATS says it has."""
        self._start_call()
        return self._sender.run(self._sender.version())

    def last_taken_at_s(self) -> float | None:
        """Ask WATS for its version, once; return when it last took a report, in seconds since 1970, 0.0 if not known.

        ``None`` if it does not answer, or something else does in its place.
        """
        self._start_call()
        return self._server.worked_at_s("POST") if self._sender.run(self._sender.is_answering()) else None

    def process_codes(self) -> frozenset[int]:
        """Return the codes of the test operations that WATS knows; a list without any is not an answer of WATS."""
        return frozenset(self.processes())

    def processes(self) -> dict[int, str]:
        """Return the names of the test operations by their codes, as :meth:`process_codes`."""
        self._start_call()
        route = Routes.App.PROCESSES
        found = self._sender.run(self._sender.retried(lambda: self._sender.list_of(route)))
        with self._sender.reading(route):
            names = {
                int(process["code"]): str(process.get("name") or "")
                for process in found
                if process.get("isTestOperation") is True
            }
        if not names:  # believed, it would hold every run
            raise self._sender.unexpected("GET", route)
        return names

    def find_reports(self, ids: Sequence[UUID], started: Interval | None = None) -> dict[UUID, StoredReport]:
        """Look up reports by the id of the run they were made from; absent ones are not in the answer.

        With ``started``, what started then is listed first, where WATS lists it; the rest is asked for by id.
        """
        self._start_call()
        return self._lookup.reports(ids, started)

    def find_natural_keys(
        self, keys: Sequence[NaturalKey], own: Collection[UUID] = ()
    ) -> dict[NaturalKey, tuple[KeyHit, ...]]:
        """Look up which reports stand under these keys, or differ from one in the fraction of the second alone.

        Texts are compared by their identity. Of reports of the runs in ``own`` the fraction is not looked up.
        """
        self._start_call()
        return self._lookup.natural_keys(keys, own)

    def listed_reports(self, started: Interval) -> list[ListedReport] | None:
        """List the reports of VTE's runs that start in an interval; ``None`` where WATS does not list them."""
        self._start_call()
        return self._lookup.listed_reports(started)

    def fetch(self, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
        """Fetch whole reports by the ids WATS keeps them under; absent ones are not in the answer."""
        self._start_call()
        fetched = self._sender.concurrently(ids, self._lookup.whole)
        return {report_id: body for report_id, body in fetched if body is not None}

    def submit(self, reports: Iterable[Report]) -> Iterator[Submission]:
        """Post reports side by side, in any order; one submission per report, a bad one never stops the others.

        Reports are drawn from the iterable as connections become free. When as many in a row as are in flight find
        WATS down, the rest comes back as RetriableError unsent.
        """
        self._start_call()
        if self._server.renames and self._existence_check is ExistenceCheck.UUID:
            raise FatalError(VW346, f"{VW346.symptom}: {VW346.meaning}; {VW346.advice}")
        return self._sender.concurrently(reports, self._submission)

    def request_stats(self) -> RequestStats:
        """Return how many requests were sent, and how long the answered posts took."""
        return RequestStats(self._sender.requests, self._connection.requests_per_minute, dict(self._latency_ms))

    async def _submission(self, report: Report) -> Submission:
        if isinstance(self._sender.stopped_by, RetriableError):
            return Submission(report, self._sender.stopped_by)
        try:
            stored_as = await self._sender.retried(lambda: self._post(report), "POST")
        except RejectedError as exc:
            self._failures_in_a_row = 0
            return Submission(report, _with_size(exc, report) if exc.signature.startswith(_TOO_LARGE) else exc)
        except RetriableError as exc:
            await self._count_failure(exc)
            return Submission(report, exc, failed_itself=exc.message in FAILED_FOR_REPORT)
        self._failures_in_a_row = 0
        return Submission(report, stored_as=stored_as)

    async def _post(self, report: Report) -> UUID:
        """Post once; return the id WATS keeps the report under.

        The answer confirms it; a query may find it only later. By ``uuid`` only our own id is a success.
        """
        key = report.natural_key
        known = (str(report.report_id), key.serial, key.part_number)
        started_s = time.perf_counter()
        answer = await self._sender.transport.post(Routes.Report.WSJF, report.document, known)
        self._latency_ms[bucket_of((time.perf_counter() - started_s) * 1000)] += 1
        if not isinstance(answer.data, dict | list):
            raise self._sender.unexpected("POST", Routes.Report.WSJF)
        try:
            result = InsertResult.read(answer.data)
        except ValueError:
            raise self._unconfirmed("no result of one report in the answer") from None
        if result.source_id != report.report_id:
            raise self._unconfirmed("another ID in the answer")
        if self._existence_check is ExistenceCheck.UUID and result.stored_id != report.report_id:
            raise self._unconfirmed("stored under another uuid")
        return result.stored_id

    def _unconfirmed(self, reason: str) -> RetriableError | RejectedError | FatalError:
        return as_error(WRONG_ID, f"POST {self._sender.transport.where(Routes.Report.WSJF)}", reason)

    async def _count_failure(self, exc: RetriableError) -> None:
        """Stop sending when WATS looks down; a server that answers, but does not confirm, is not down."""
        if exc.message is WRONG_ID.message:
            self._failures_in_a_row = 0
            return
        self._failures_in_a_row += 1
        enough = max(_FEWEST_FAILURES, self._connection.concurrency)
        if self._sender.stopped_by is not None or self._failures_in_a_row < enough:
            return
        if exc.message is UNEXPECTED_CONTENT.message and await self._sender.is_answering():
            self._failures_in_a_row = 0
            return
        _log.warning("%s WATS failed %d times in a row, the rest is not sent: %s", VW918, self._failures_in_a_row, exc)
        self._sender.stop(
            RetriableError(VW392, f"not sent, WATS failed too often just before: {exc}", exc.retry_after_s)
        )

    def _start_call(self) -> None:
        self._sender.start_call()
        self._failures_in_a_row = 0


def _with_size(exc: RejectedError, report: Report) -> RejectedError:
    """Add what a person needs to know about a report that is too large."""
    parts = ", ".join(largest_parts(report.document))
    detail = f"{exc.detail}. The report has {len(report.document):,} bytes, its largest parts: {parts}"
    return RejectedError(exc.message, detail, exc.signature)
