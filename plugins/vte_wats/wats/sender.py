"""Requests to WATS: each waits for its turn, is tried again, is judged by what WATS did before, side by side."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from typing import Any, NoReturn, Self, TypeVar

from pywats.core.client import Response
from pywats.core.routes import Routes
from tenacity import AsyncRetrying, RetryCallState, stop_after_attempt, wait_exponential, wait_random

from vte_wats.domain.errors import FatalError, RejectedError, RetriableError, VteWatsError
from vte_wats.messages import VW342, VW347
from vte_wats.wats import queries
from vte_wats.wats.learned_server import KnownServer
from vte_wats.wats.rate_limiter import LONGEST_WAIT_S, BudgetStore, RateLimiter
from vte_wats.wats.response_errors import ABOUT_REPORT, ELSEWHERE, UNEXPECTED_CONTENT, as_error
from vte_wats.wats.transport import Transport
from vte_wats.wats.wats_connection import WatsConnection

_log = logging.getLogger(__name__)

Header = Mapping[str, Any]
_T = TypeVar("_T")
_R = TypeVar("_R")


class Sender:
    """Sends for one session, on an event loop of its own that turns only while a method is waited for.

    After a FatalError nothing is sent any more.
    """

    def __init__(
        self,
        connection: WatsConnection,
        server: KnownServer,
        budget_store: BudgetStore | None,
        *,
        first_backoff_s: float,
        window_s: float,
    ) -> None:
        self._connection = connection
        self._server = server
        # With other tasks beside this one the store would know a part of the usage only.
        self._budget_store = budget_store if connection.concurrent_tasks == 1 else None
        self._window_s = window_s
        # Not wait_exponential_jitter: releases of tenacity within our range call its first argument differently.
        growing = wait_exponential(multiplier=first_backoff_s, max=LONGEST_WAIT_S / 2)
        self._backoff = growing + wait_random(0, first_backoff_s)
        self._retrying = AsyncRetrying(
            stop=stop_after_attempt(connection.attempts),
            wait=self._wait_s,
            retry=self._should_retry,
            before_sleep=_log_next_try,
            reraise=True,
        )
        self._stopped_by: FatalError | RetriableError | None = None
        self.requests = 0

    def __enter__(self) -> Self:
        """Start the loop; no connection is opened before the first request."""
        self._runner = asyncio.Runner()
        self.transport = Transport(self._connection)
        self._rate_limiter = RateLimiter(self._connection.share_per_minute, self._budget_store, window_s=self._window_s)
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections and the loop, whatever state they are in."""
        try:
            self.run(self.transport.close())
            self._rate_limiter.close()
            self._server.close()
        finally:
            self._runner.close()

    @property
    def stopped_by(self) -> FatalError | RetriableError | None:
        """Why nothing is sent any more."""
        return self._stopped_by

    def start_call(self) -> None:
        """Refuse to continue after a FatalError; a server that was down may be up by now."""
        if isinstance(self._stopped_by, FatalError):
            raise self._stopped_by
        self._stopped_by = None

    def stop(self, error: FatalError | RetriableError) -> None:
        """Send nothing more in this call, and after a FatalError in this session."""
        if not isinstance(self._stopped_by, FatalError):
            self._stopped_by = error

    async def retried(self, request: Callable[[], Awaitable[_T]], method: str = "GET") -> _T:
        """Send a request when it is its turn, again when that may help. Its errors are final."""
        return await self._retrying.copy()(self._judged, request, method)

    async def rounds(self, action: Callable[[_T], Awaitable[_R]], item: _T) -> _R:
        """Run what sends single requests by :meth:`once`, again when that may help."""
        return await self._retrying.copy()(action, item)

    async def once(self, request: Callable[[], Awaitable[_T]], method: str = "GET") -> _T:
        """Send a request when it is its turn, unless something has stopped them all meanwhile.

        Its own errors stop nothing and are not judged yet.
        """
        async with self._rate_limiter.turn():
            if self._stopped_by is not None:
                raise self._stopped_by
            self.requests += 1
            try:
                answer = await request()
            except RetriableError as exc:
                if exc.retry_after_s is not None:
                    self._rate_limiter.pause(exc.retry_after_s)
                raise
        self._server.worked(method)
        return answer

    async def fail(self, exc: VteWatsError, method: str = "GET", *, is_again: bool = False) -> NoReturn:
        """Raise what a failed request means."""
        judged = await self.meaning_of(exc, method, is_again=is_again)
        if judged is exc:
            raise exc
        raise judged from exc

    async def meaning_of(self, exc: VteWatsError, method: str = "GET", *, is_again: bool = False) -> VteWatsError:
        """Return what a failed request means after all that is known of this WATS.

        A page in front of WATS, or WATS itself while it is serviced, answers with any status. At first contact such a
        status is about the address, the token or a right. It is an outage where the same just worked. After a post it
        is an outage, too, unless the same came again (``is_again``) while WATS answers everything else.
        """
        if isinstance(exc, FatalError) and exc.message in ELSEWHERE:
            what, _, _ = exc.detail.partition("; ")
            if method == "POST" and not (is_again and await self.is_answering()):
                method = "GET"
            if method == "POST" and exc.message in ABOUT_REPORT:
                detail = f"{what}, but WATS answers everything else: {VW347.meaning}. {VW347.advice}"
                return RejectedError(VW347, detail, f"wats: {_status_in(what)}")
            if self._server.worked_lately(method):
                return RetriableError(VW342, f"{what}; {VW342.meaning}: {VW342.advice}")
        if isinstance(exc, FatalError):
            self.stop(exc)
        return exc

    async def is_answering(self) -> bool:
        """Ask WATS for its version, once: whether it is there, and not something else in its place."""
        try:
            await self.once(self._version)
        except VteWatsError:
            return False
        return True

    async def version(self) -> str:
        """Return the version WATS says it has."""
        return (await self.retried(self._version))[:100].strip()

    async def list_of(self, route: str, query: queries.Query | None = None) -> list[Header]:
        """Fetch a list of objects, once; for :meth:`retried`, :meth:`once` and :meth:`rounds`."""
        answer = await self.transport.get(route, query)
        if not isinstance(answer.data, list) or not all(isinstance(item, dict) for item in answer.data):
            raise self.unexpected("GET", route)
        return answer.data

    async def _version(self) -> str:
        answer: Response = await self.transport.get(Routes.App.VERSION)
        if not isinstance(answer.data, str) or not answer.data[:1].isdigit():
            raise self.unexpected("GET", Routes.App.VERSION)
        return answer.data

    async def _judged(self, request: Callable[[], Awaitable[_T]], method: str) -> _T:
        try:
            return await self.once(request, method)
        except FatalError as exc:
            if exc is self._stopped_by:
                raise
            if method != "POST" or exc.message not in ELSEWHERE or not await self.is_answering():
                await self.fail(exc, method)
            first = exc
        try:  # a page in front of WATS may have gone between the post and the version
            return await self.once(request, method)
        except FatalError as exc:
            if exc is self._stopped_by:
                raise
            await self.fail(exc, method, is_again=exc.message is first.message)

    def _should_retry(self, state: RetryCallState) -> bool:
        return isinstance(_failure(state), RetriableError) and self._stopped_by is None

    def _wait_s(self, state: RetryCallState) -> float:
        """Back off; the rate limiter waits for a pause that WATS asked for, for all requests together."""
        exc = _failure(state)
        if isinstance(exc, RetriableError) and exc.retry_after_s is not None:
            return 0.0
        return self._backoff(state)

    def concurrently(self, items: Iterable[_T], action: Callable[[_T], Coroutine[Any, Any, _R]]) -> Iterator[_R]:
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
                done, in_flight = self.run(asyncio.wait(in_flight, return_when=asyncio.FIRST_COMPLETED))
                failures = [exc for task in done if (exc := task.exception()) is not None]
                failure = failure or next(iter(failures), None)
                yield from [task.result() for task in done if task.exception() is None]
            if failure is not None:
                raise failure
        finally:
            if in_flight:
                for task in in_flight:
                    task.cancel()
                self.run(asyncio.wait(in_flight))

    def run(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        """Turn the loop until the coroutine is done; Runner.run would install a signal handler each time, slowly."""
        return self._runner.get_loop().run_until_complete(coroutine)

    @contextmanager
    def reading(self, route: str) -> Iterator[None]:
        """Raise for an answer whose fields are missing or of another type: WATS does not answer so."""
        try:
            yield
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise self.unexpected("GET", route) from exc

    def unexpected(self, method: str, route: str) -> RetriableError | RejectedError | FatalError:
        """Return the error for an answer that is not what this call returns."""
        return as_error(
            UNEXPECTED_CONTENT, f"{method} {self.transport.where(route)}", "a success status, other content"
        )


def _status_in(what: str) -> str:
    status = re.search(r"HTTP \d+", what)
    return status[0] if status else ""


def _failure(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _log_next_try(state: RetryCallState) -> None:
    _log.info("Try %d failed, the next one follows: %s", state.attempt_number, _failure(state))
