"""What an answer of WATS, or the lack of one, means: the one table from failure to class, and how to read it."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import Any

import httpx

from vte_wats.domain.errors import FatalError, RejectedError, RetriableError


class FailureClass(StrEnum):
    """What to do after a failure. Transient and ambiguous ones are both tried again: the report id is ours."""

    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"
    REJECTED = "rejected"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True)
class Failure:
    """One entry of the table: when it applies, what it means, and what the operator reads.

    ``statuses`` are HTTP statuses, ``exceptions`` what the transport raised; an entry with neither applies to the
    content of an answer.
    """

    code: str
    condition: str
    failure_class: FailureClass
    meaning: str
    advice: str
    statuses: Sequence[int] = ()
    exceptions: tuple[type[BaseException], ...] = ()


_RETRIED = "retried; nothing to do unless it stays"

UNEXPECTED_CONTENT = Failure(
    "VW301",
    "2xx that is not the JSON this call returns (HTML, empty, cut off, NaN)",
    FailureClass.AMBIGUOUS,
    "the answer is not what WATS answers",
    "retried; if it stays, check that the host of the connection is WATS and no login page or proxy stands before it",
)
WRONG_ID = Failure(
    "VW302",
    "2xx whose ID is missing or not the id of the report",
    FailureClass.AMBIGUOUS,
    "the answer does not confirm this report",
    "retried under the same id; if it stays, a WATS that renames reports needs existence_check = source_id, any other "
    "its administrator",
)

# The first entry that applies wins.
FAILURES: tuple[Failure, ...] = (
    Failure(
        "VW303",
        "TLS certificate not trusted",
        FailureClass.FATAL,
        "the certificate of the server is not trusted",
        "set ca_file of the connection to the certificate authority, or renew the certificate",
        exceptions=(ssl.SSLCertVerificationError,),
    ),
    Failure(
        "VW304",
        "host name not found (DNS)",
        FailureClass.TRANSIENT,
        "the name of the server cannot be resolved",
        "retried; check the host of the connection and DNS if it stays",
        exceptions=(socket.gaierror,),
    ),
    Failure(
        "VW305",
        "TLS handshake failed",
        FailureClass.TRANSIENT,
        "no TLS connection came about",
        "retried; check that the address of the connection says https and the right port if it stays",
        exceptions=(ssl.SSLError,),
    ),
    Failure(
        "VW306",
        "address unusable",
        FailureClass.FATAL,
        "the request cannot be formed",
        "check the host of the connection",
        exceptions=(httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError),  # IDNA names
    ),
    Failure(
        "VW307",
        "connection refused or unreachable",
        FailureClass.TRANSIENT,
        "no connection",
        "retried; check host, port, proxy and firewall if it stays",
        exceptions=(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    ),
    Failure(
        "VW308",
        "no complete answer within timeout_s",
        FailureClass.AMBIGUOUS,
        "no answer in time",
        "retried; raise timeout_s of the connection if it stays",
        exceptions=(httpx.TimeoutException, TimeoutError),
    ),
    Failure(
        "VW309",
        "connection lost before the whole answer was there",
        FailureClass.AMBIGUOUS,
        "the connection was lost",
        _RETRIED,
        exceptions=(httpx.TransportError, httpx.DecodingError),
    ),
    UNEXPECTED_CONTENT,
    WRONG_ID,
    Failure(
        "VW310", "HTTP 429", FailureClass.TRANSIENT, "too many requests", "all requests pause as asked", statuses=(429,)
    ),
    Failure(
        "VW311", "HTTP 408, 425, 503", FailureClass.TRANSIENT, "the server is busy", _RETRIED, statuses=(408, 425, 503)
    ),
    Failure(
        "VW312",
        "any other HTTP 5xx",
        FailureClass.AMBIGUOUS,
        "the server failed",
        "retried; ask the WATS administrator if it stays",
        statuses=range(500, 600),
    ),
    Failure(
        "VW313",
        "HTTP 400, 409, 413, 422",
        FailureClass.REJECTED,
        "the server refuses the content",
        "correct the run or the settings, then re-drive the dead letter",
        statuses=(400, 409, 413, 422),
    ),
    Failure(
        "VW314",
        "HTTP 401",
        FailureClass.FATAL,
        "the credentials are refused",
        "renew the API token in the connection",
        statuses=(401,),
    ),
    Failure(
        "VW315",
        "HTTP 403",
        FailureClass.FATAL,
        "the token lacks a right",
        "give its user the rights to read and submit reports in WATS",
        statuses=(403,),
    ),
    Failure(
        "VW316",
        "HTTP 3xx",
        FailureClass.FATAL,
        "the server redirects elsewhere",
        "put the address it leads to, if that is WATS, into the host of the connection",
        statuses=range(300, 400),
    ),
    Failure(
        "VW317",
        "HTTP 404 or any other status",
        FailureClass.FATAL,
        "this is not the address of the WATS API",
        "check the host of the connection",
        statuses=range(100, 1000),
    ),
    Failure(
        "VW318",
        "anything else that sending raises",
        FailureClass.FATAL,
        "the request could not be sent",
        "report it with the message",
        exceptions=(Exception,),
    ),
)


def failure_of_status(status: int) -> Failure | None:
    """Return the entry for a status, ``None`` for a 2xx."""
    if 200 <= status < 300:
        return None
    return next(failure for failure in FAILURES if status in failure.statuses)


def failure_of_exception(exc: Exception) -> Failure:
    """Return the entry for what pyWATS or the transport under it raised."""
    causes = tuple(_causes(exc))
    return next(failure for failure in FAILURES if any(isinstance(cause, failure.exceptions) for cause in causes))


def as_error(
    failure: Failure,
    where: str,
    reason: str,
    *,
    retry_after_s: float | None = None,
    known: Sequence[str] = (),
) -> RetriableError | RejectedError | FatalError:
    """Build the product's error. ``known`` are the texts of this one report that must not split a signature."""
    message = f"{failure.code} WATS: {failure.meaning} ({reason}) at {where}; {failure.advice}"
    match failure.failure_class:
        case FailureClass.FATAL:
            return FatalError(message)
        case FailureClass.REJECTED:
            return RejectedError(message, f"wats: {signature(reason, known)}")
        case FailureClass.TRANSIENT | FailureClass.AMBIGUOUS:
            return RetriableError(message, retry_after_s)


_LONGEST_PAUSE_S = 86_400.0
_DETAIL_KEYS = ("message", "title", "detail", "error", "messagedetail", "exceptionmessage", "modelstate", "errors")


def server_message(content: Any) -> str:
    """Return what the server says about a failure, in one short line; content is parsed JSON or text."""
    if isinstance(content, Mapping):
        lower = {str(key).lower(): value for key, value in content.items()}
        text = " ".join(_flat(lower[key]) for key in _DETAIL_KEYS if lower.get(key))
    elif isinstance(content, str):
        title = re.search(r"<title>(.*?)</title>", content, re.IGNORECASE | re.DOTALL)
        text = title[1] if title else re.sub(r"<[^>]*>", " ", content)
    else:
        text = ""
    return _one_line(text, 200)


def signature(reason: str, known: Sequence[str] = ()) -> str:
    """Return the reason without what differs from report to report, so that equal causes have equal text."""
    for text in sorted((t for t in known if t), key=len, reverse=True):
        reason = re.sub(rf"(?<!\w){re.escape(text)}(?!\w)", "…", reason, flags=re.IGNORECASE)
    status, _, told = reason.partition(":")  # HTTP 400 is part of the cause, not a number in it
    told = re.sub(r"\{?[\w+-]*\d[\w.:+-]*\}?", "…", told)
    return _one_line(f"{status}:{told}" if told else status, 200)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a Retry-After header asks for, as number or as HTTP date by the server's own clock.

    A day at most: what asks for more is a mistake that would stand still unseen.
    """
    asked = headers.get("retry-after", "").strip()
    if re.fullmatch(r"\d{1,9}(\.\d+)?", asked):
        return min(float(asked), _LONGEST_PAUSE_S)
    until_at = _http_date(asked)
    if until_at is None:
        return None
    now_at = _http_date(headers.get("date", "")) or datetime.now(UTC)
    return min(max(0.0, (until_at - now_at).total_seconds()), _LONGEST_PAUSE_S)


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Walk from an error to what caused it; pyWATS keeps the transport's error as context only."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return " ".join(f"{key}: {_flat(one)}" for key, one in value.items())
    if isinstance(value, list):
        return " ".join(_flat(one) for one in value)
    return str(value)


def _one_line(text: str, length: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
