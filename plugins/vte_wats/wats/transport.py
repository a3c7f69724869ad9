"""One request to WATS over pyWATS's low-level client, which here only moves bytes and the token.

The HTTP client obeys variables of the environment; what is wrong with one it cannot use is said by name.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import os
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

import httpx
from pywats.core.async_client import AsyncHttpClient
from pywats.core.client import Response
from pywats.core.retry import RetryConfig

from vte_wats.config.connection_fields import page_in_airflow
from vte_wats.domain.errors import FatalError
from vte_wats.domain.redaction import redact
from vte_wats.messages import VW109, VW115
from vte_wats.wats.response_errors import (
    as_error,
    failure_of_exception,
    failure_of_status,
    retry_after_s,
    server_message,
)
from vte_wats.wats.responses import ENCODING, bound
from vte_wats.wats.wats_connection import WatsConnection

_PROXIES = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")


@dataclass(frozen=True, slots=True)
class ClientError:
    """One row of the table: what opening the client raised, which variables cause it, and their rule."""

    exceptions: tuple[type[Exception], ...]
    variables: tuple[str, ...]
    rule: str


# The first row that applies wins; the last one applies to everything.
ENVIRONMENT_ERRORS: tuple[ClientError, ...] = (
    ClientError(
        (ImportError,),
        _PROXIES,
        "a proxy of this kind needs a package that is not installed (SOCKS: socksio); name an http:// proxy, or "
        "install it",
    ),
    ClientError(
        (OSError,),  # ssl.SSLError is one
        ("SSL_CERT_FILE", "SSL_CERT_DIR"),
        "must name certificates in PEM form that exist on every machine that runs tasks",
    ),
    ClientError(
        (httpx.InvalidURL, ValueError),
        ("NO_PROXY", *_PROXIES),
        "a proxy must be an address such as http://proxy.example:3128; NO_PROXY holds host names and addresses "
        "separated by commas, no networks of IPv6 and no brackets",
    ),
    ClientError(
        (Exception,),
        ("NO_PROXY", *_PROXIES, "SSL_CERT_FILE", "SSL_CERT_DIR"),
        "the client to WATS does not understand it",
    ),
)


@contextmanager
def usable_environment() -> Iterator[None]:
    """Raise :class:`FatalError` for whatever opening a client raises; it names the variable, never its value."""
    try:
        yield
    except FatalError:
        raise
    except Exception as exc:
        row = next(row for row in ENVIRONMENT_ERRORS if isinstance(exc, row.exceptions))
        names = suspects(row.variables, os.environ) or row.variables
        raise FatalError(
            VW115,
            f"the client to WATS cannot be opened ({type(exc).__name__}): check {' and '.join(names)} in the "
            f"environment of Airflow's tasks: {row.rule}",
        ) from exc


def suspects(variables: tuple[str, ...], environment: Mapping[str, str]) -> tuple[str, ...]:
    """Return which of the variables are set, as they are spelled there: lower case counts, too."""
    return tuple(
        name for variable in variables for name in (variable, variable.lower()) if environment.get(name, "").strip()
    )


_CONNECT_TIMEOUT_S = 10.0
_TOO_MANY_REQUESTS = 429
_DEFAULT_PAUSE_S = 5.0  # all tasks together sent too many, even when WATS does not say for how long to pause
_VERBOSE_LOGGERS = ("httpx", "httpcore", "pywats")


class PlainHttpClient(AsyncHttpClient):
    """pyWATS's client without a cache, rate limit, retry or circuit breaker of its own, and without redirects.

    It keeps one HTTP/1.1 connection and holds one request at a time.
    """

    def __init__(self, connection: WatsConnection, *, verification: ssl.SSLContext | bool) -> None:
        super().__init__(
            base_url=connection.url,
            token=connection.token.get_secret_value(),
            timeout=connection.timeout_s,
            enable_throttling=False,
            retry_config=RetryConfig(enabled=False),
            enable_cache=False,
            enable_circuit_breaker=False,
        )
        self._verification = verification

    async def _get_client(self) -> httpx.AsyncClient:
        """Open the transport on first use; pyWATS offers no switch for any of this."""
        if self._client is None:
            with usable_environment():
                self._client = httpx.AsyncClient(
                    base_url=self.base_url,
                    headers={**self._headers, "Accept-Encoding": ENCODING},
                    timeout=httpx.Timeout(self.timeout, connect=min(self.timeout / 2, _CONNECT_TIMEOUT_S)),
                    verify=self._verification,
                    follow_redirects=False,
                    limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
                    event_hooks={"response": [bound]},
                )
        return self._client


class Transport:
    """Sends one request at a time per caller and raises what the failure table says. Belongs to one event loop.

    Every request in flight has a client of its own: a reset costs one request, not all of them.
    A client for all would look at each of its connections, with a system call, whenever a request begins or ends.
    """

    def __init__(self, connection: WatsConnection) -> None:
        for name in _VERBOSE_LOGGERS:  # they log addresses with serial numbers in them
            logger = logging.getLogger(name)
            logger.setLevel(max(logger.level, logging.WARNING))
        self._connection = connection
        self._secrets = _secrets(connection.token.get_secret_value())
        self._clients: list[PlainHttpClient] = []
        self._idle: list[PlainHttpClient] = []

    async def get(self, route: str, query: Mapping[str, str] | None = None, *, absent: int | None = None) -> Response:
        """Fetch, never from a cache; ``absent`` is the status that says there is no such thing, which is no failure."""
        return await self._exchange("GET", route, query=query, absent=absent)

    async def post(self, route: str, body: bytes, known: Sequence[str] = ()) -> Response:
        """Post a finished JSON document."""
        return await self._exchange("POST", route, body=body, known=known)

    async def close(self) -> None:
        """Close every connection."""
        for client in self._clients:
            await client.close()

    def where(self, route: str) -> str:
        """Return the address of a route, without query."""
        return f"{self._connection.url}{route}"

    async def _exchange(
        self,
        method: str,
        route: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        known: Sequence[str] = (),
        absent: int | None = None,
    ) -> Response:
        answer = await self.exchange(method, route, query=query, body=body)
        failure = failure_of_status(answer.status_code, is_page=is_page(answer))
        if failure is not None and answer.status_code != absent:
            text = server_message(answer.data, *self._secrets)
            reason = f"HTTP {answer.status_code}: {text}" if text else f"HTTP {answer.status_code}"
            wait_s = retry_after_s(answer.headers)
            if wait_s is None and answer.status_code == _TOO_MANY_REQUESTS:
                wait_s = _DEFAULT_PAUSE_S
            raise as_error(failure, f"{method} {self.where(route)}", reason, retry_after_s=wait_s, known=known)
        return answer

    async def exchange(
        self, method: str, route: str, *, query: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> Response:
        """Send one request and return its answer, whatever the status; only no answer at all is raised."""
        where = f"{method} {self.where(route)}"
        timeout_s = self._connection.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                with self._client() as client:
                    if method == "POST":
                        answer = await client.post(route, data=body)
                    else:
                        answer = await client.get(route, params=dict(query or {}), cache=False)
        except TimeoutError as exc:
            raise as_error(failure_of_exception(exc), where, f"within {timeout_s:g} s") from exc
        except FatalError:  # the client could not be opened
            raise
        except Exception as exc:  # pyWATS's own says little; what the transport raised is its context
            raise as_error(failure_of_exception(exc), where, _name_and_text(exc, *self._secrets)) from exc
        return answer

    @contextmanager
    def _client(self) -> Iterator[PlainHttpClient]:
        """Lend the client that was used last, whose connection is surely open, or a new one when all are busy."""
        if self._idle:
            client = self._idle.pop()
        else:
            client = PlainHttpClient(self._connection, verification=self._verification)
            self._clients.append(client)
        try:
            yield client
        finally:
            self._idle.append(client)

    @cached_property
    def _verification(self) -> ssl.SSLContext | bool:
        """Trust is loaded once for all clients, when it is first needed."""
        return _verification(self._connection)

    def redacted(self, text: str) -> str:
        """Return a text in which nobody can read the token, nor the password in it."""
        return redact(text, *self._secrets)


def is_page(answer: Response) -> bool:
    """Return whether an answer is a web page, which IIS and whatever stands in front of WATS send, but not WATS."""
    return isinstance(answer.data, str) and answer.data.lstrip()[:9].lower().startswith(("<!doctype", "<html"))


def _secrets(token: str) -> tuple[str, ...]:
    """Return the token and the password in it."""
    try:
        return token, base64.b64decode(token, validate=True).decode().partition(":")[2]
    except ValueError:
        return (token,)


def _name_and_text(exc: Exception, *secrets: str) -> str:
    cause = exc.__context__ or exc
    text = " ".join(redact(str(cause), *secrets).split())[:200]
    return f"{type(cause).__name__}: {text}" if text else type(cause).__name__


def _verification(connection: WatsConnection) -> ssl.SSLContext | bool:
    if not connection.verify_tls:
        return False
    if connection.ca_file is None:
        with usable_environment():
            return httpx.create_ssl_context()
    try:
        context = ssl.create_default_context(cafile=connection.ca_file)
    except OSError as exc:  # ssl.SSLError is one
        raise FatalError(
            VW109,
            f"ca_file: must hold certificates in PEM form, given {connection.ca_file!r}. Change it: "
            f"{page_in_airflow(connection.conn_id)}",
        ) from exc
    # Python 3.13 began to refuse the authorities of many companies for missing key identifiers (RFC 5280, 4.2.1.1).
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
