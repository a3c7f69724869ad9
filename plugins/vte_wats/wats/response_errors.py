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
from itertools import chain, islice
from typing import Any

import httpx

from vte_wats.domain.errors import FatalError, RejectedError, RetriableError
from vte_wats.domain.redaction import redact
from vte_wats.messages import VW342, Consequence, Message
from vte_wats.wats.responses import AnswerTooLargeError


class FailureClass(StrEnum):
    """What to do after a failure. Transient and ambiguous ones are both tried again: the report id is ours."""

    TRANSIENT = "transient"
    AMBIGUOUS = "ambiguous"
    REJECTED = "rejected"
    FATAL = "fatal"


@dataclass(frozen=True, slots=True)
class ResponseError:
    """One entry of the table: when it applies, what it means, and what the operator reads.

    ``statuses`` are HTTP statuses, of web pages alone where ``as_page``; ``exceptions`` what the transport raised. An
    entry with neither applies to the content of an answer.
    """

    message: Message
    failure_class: FailureClass
    statuses: Sequence[int] = ()
    exceptions: tuple[type[BaseException], ...] = ()
    as_page: bool = False


_RETRIED = "retried; nothing to do unless it persists"

UNEXPECTED_CONTENT = ResponseError(
    Message(
        "VW301",
        Consequence.RETRIED,
        "2xx that is not the JSON this call returns (HTML, empty, cut off, NaN)",
        "the answer is not what WATS answers",
        "retried; if it persists, check that the host of the connection is WATS and no login page or proxy "
        "answers in its place",
    ),
    FailureClass.AMBIGUOUS,
    exceptions=(RecursionError,),
)
WRONG_ID = ResponseError(
    Message(
        "VW302",
        Consequence.RETRIED,
        "2xx JSON that is not the result of one report, or names another id than the report's",
        "the answer does not confirm this report",
        "retried under the same id; if it persists, a WATS that renames reports needs existence_check = source_id; "
        "otherwise ask its administrator",
    ),
    FailureClass.AMBIGUOUS,
)

TOO_LARGE = ResponseError(
    Message(
        "VW343",
        Consequence.RETRIED,
        "an answer larger than 64 MB, compressed or not",
        "the answer is larger than any answer of WATS",
        "retried; if it persists, check that the host of the connection is WATS",
    ),
    FailureClass.AMBIGUOUS,
    exceptions=(AnswerTooLargeError,),
)
_NO_RIGHT = ResponseError(
    Message(
        "VW315",
        Consequence.STOPS,
        "HTTP 403",
        "the token lacks a right",
        "give its user the rights to read and submit reports in WATS",
    ),
    FailureClass.FATAL,
    statuses=(403,),
)
_REDIRECTED = ResponseError(
    Message(
        "VW316",
        Consequence.STOPS,
        "HTTP 3xx",
        "the server redirects elsewhere",
        "put the address it leads to, if that is WATS, into the host of the connection",
    ),
    FailureClass.FATAL,
    statuses=range(300, 400),
)
WRONG_PATH = ResponseError(
    Message(
        "VW317",
        Consequence.STOPS,
        "HTTP 404",
        "this is not the address of the WATS API",
        "check the host of the connection",
    ),
    FailureClass.FATAL,
    statuses=(404,),
)
_OTHER_STATUS = ResponseError(
    Message(
        "VW348",
        Consequence.STOPS,
        "any other HTTP status",
        "this is not the address of the WATS API, or something stands in between",
        "check the host of the connection and what the status means",
    ),
    FailureClass.FATAL,
    statuses=range(100, 1000),
)
_SERVER_ERROR = ResponseError(
    Message(
        "VW312",
        Consequence.RETRIED,
        "any other HTTP 5xx",
        "the server failed",
        "retried; ask the WATS administrator if it persists",
    ),
    FailureClass.AMBIGUOUS,
    statuses=range(500, 600),
)
_PAGE = ResponseError(
    Message(
        "VW547",
        Consequence.STOPS,
        "HTTP 400, 409, 413 or 422 as a web page",
        "something in front of WATS answers",
        "check the host of the connection and what stands in front of WATS",
    ),
    FailureClass.FATAL,
    statuses=(400, 409, 413, 422),
    as_page=True,
)
_LOGIN_PAGE = ResponseError(
    Message(
        "VW548",
        Consequence.STOPS,
        "HTTP 401 as a web page",
        "the credentials are refused, by WATS or by something in front of it",
        "renew the API token in the connection; if that does not help, check its host",
    ),
    FailureClass.FATAL,
    statuses=(401,),
    as_page=True,
)
_REFUSED_CONTENT = ResponseError(
    Message(
        "VW313",
        Consequence.DEAD,
        "HTTP 400, 409, 413, 422",
        "the server refuses the content",
        "correct the run or the settings, then redrive the dead letter",
    ),
    FailureClass.REJECTED,
    statuses=(400, 409, 413, 422),
)

_NO_ANSWER = ResponseError(
    Message(
        "VW308",
        Consequence.RETRIED,
        "no complete answer within timeout_s",
        "no answer in time",
        "retried; raise timeout_s of the connection if it persists",
    ),
    FailureClass.AMBIGUOUS,
    exceptions=(httpx.TimeoutException, TimeoutError),
)
_LOST = ResponseError(
    Message(
        "VW309",
        Consequence.RETRIED,
        "connection lost before the whole answer was there",
        "the connection was lost",
        _RETRIED,
    ),
    FailureClass.AMBIGUOUS,
    exceptions=(httpx.TransportError, httpx.DecodingError),
)
_BUSY = ResponseError(
    Message("VW311", Consequence.RETRIED, "HTTP 408, 425, 503", "the server is busy", _RETRIED),
    FailureClass.TRANSIENT,
    statuses=(408, 425, 503),
)

ELSEWHERE = frozenset(
    failure.message for failure in (_NO_RIGHT, _REDIRECTED, WRONG_PATH, _OTHER_STATUS, _PAGE, _LOGIN_PAGE)
)
"""What says that this is not a usable WATS, and is said by a page in front of a usable one, too."""

ABOUT_REPORT = frozenset({WRONG_PATH.message, _PAGE.message})
"""What of it may be about one report: IIS, or something else in front of WATS, refuses a body so."""

REFUSED_QUERY = frozenset(
    failure.message for failure in (_REFUSED_CONTENT, _SERVER_ERROR, _NO_RIGHT, WRONG_PATH, _OTHER_STATUS, _PAGE)
)
"""What a server may say about a form of query that it does not understand."""

FAILED_FOR_REPORT = frozenset(
    {VW342, *(failure.message for failure in (_SERVER_ERROR, _BUSY, _NO_ANSWER, _LOST, UNEXPECTED_CONTENT))}
)
"""What a report may have caused that WATS or something in front of it cannot cope with."""

# The first entry that applies wins.
RESPONSE_ERRORS: tuple[ResponseError, ...] = (
    TOO_LARGE,
    ResponseError(
        Message(
            "VW303",
            Consequence.STOPS,
            "TLS certificate not trusted",
            "the certificate of the server is not trusted",
            "set ca_file of the connection to the certificate authority, or renew the certificate",
        ),
        FailureClass.FATAL,
        exceptions=(ssl.SSLCertVerificationError,),
    ),
    ResponseError(
        Message(
            "VW304",
            Consequence.RETRIED,
            "host name not found (DNS)",
            "the name of the server cannot be resolved",
            "retried; check the host of the connection and DNS if it persists",
        ),
        FailureClass.TRANSIENT,
        exceptions=(socket.gaierror,),
    ),
    ResponseError(
        Message(
            "VW305",
            Consequence.RETRIED,
            "TLS handshake failed",
            "no TLS connection could be made",
            "retried; check that the address of the connection says https and the right port if it persists",
        ),
        FailureClass.TRANSIENT,
        exceptions=(ssl.SSLError,),
    ),
    ResponseError(
        Message(
            "VW306",
            Consequence.STOPS,
            "address unusable",
            "the request cannot be formed",
            "check the host of the connection",
        ),
        FailureClass.FATAL,
        exceptions=(httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL, UnicodeError),
    ),
    ResponseError(
        Message(
            "VW307",
            Consequence.RETRIED,
            "connection refused or unreachable",
            "no connection",
            "retried; check host, port, proxy and firewall if it persists",
        ),
        FailureClass.TRANSIENT,
        exceptions=(httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError),
    ),
    _NO_ANSWER,
    _LOST,
    UNEXPECTED_CONTENT,
    WRONG_ID,
    ResponseError(
        Message("VW310", Consequence.RETRIED, "HTTP 429", "too many requests", "all requests pause as asked"),
        FailureClass.TRANSIENT,
        statuses=(429,),
    ),
    _BUSY,
    _SERVER_ERROR,
    _PAGE,
    _LOGIN_PAGE,
    _REFUSED_CONTENT,
    ResponseError(
        Message(
            "VW314",
            Consequence.STOPS,
            "HTTP 401",
            "the credentials are refused",
            "renew the API token in the connection",
        ),
        FailureClass.FATAL,
        statuses=(401,),
    ),
    _NO_RIGHT,
    _REDIRECTED,
    WRONG_PATH,
    _OTHER_STATUS,
    ResponseError(
        Message(
            "VW318",
            Consequence.STOPS,
            "anything else that sending raises",
            "the request could not be sent",
            "report it with the message",
        ),
        FailureClass.FATAL,
        exceptions=(Exception,),
    ),
)


def failure_of_status(status: int, *, is_page: bool = False) -> ResponseError | None:
    """Return the entry for a status, ``None`` for a 2xx."""
    if 200 <= status < 300:
        return None
    return next(
        failure for failure in RESPONSE_ERRORS if status in failure.statuses and (is_page or not failure.as_page)
    )


def failure_of_exception(exc: Exception) -> ResponseError:
    """Return the entry for what pyWATS or the transport under it raised."""
    causes = tuple(_causes(exc))
    return next(
        failure for failure in RESPONSE_ERRORS if any(isinstance(cause, failure.exceptions) for cause in causes)
    )


def as_error(
    failure: ResponseError,
    where: str,
    reason: str,
    *,
    retry_after_s: float | None = None,
    known: Sequence[str] = (),
) -> RetriableError | RejectedError | FatalError:
    """Build the product's error. ``known`` are the texts of this one report that must not split a signature."""
    message = failure.message
    detail = f"WATS: {message.meaning} ({reason}) at {where}; {message.advice}"
    match failure.failure_class:
        case FailureClass.FATAL:
            return FatalError(message, detail)
        case FailureClass.REJECTED:
            return RejectedError(message, detail, f"wats: {signature(reason, known)}")
        case FailureClass.TRANSIENT | FailureClass.AMBIGUOUS:
            return RetriableError(message, detail, retry_after_s)


_LONGEST_PAUSE_S = 86_400.0
_MOST_READ = 4_000  # characters, of which a line of 200 is made
_MOST_PARTS = 100
_DEEPEST = 8
_DETAIL_KEYS = ("message", "title", "detail", "error", "messagedetail", "exceptionmessage", "modelstate", "errors")


def server_message(content: Any, *secrets: str) -> str:
    """Return what the server says about a failure, in one short line; content is parsed JSON or text.

    A server may repeat what it was sent: ``secrets`` are taken out before the line is cut.
    """
    if isinstance(content, str):
        content = redact(content, *secrets)[:_MOST_READ]  # a page says what it is at its beginning
        title = re.search(r"<title>([^<]*)", content, re.IGNORECASE)
        text = title[1] if title else re.sub(r"<[^<>]*>", " ", content)
    elif isinstance(content, Mapping):
        lower = {str(key).lower(): value for key, value in content.items()}
        parts = islice(chain.from_iterable(_flat(lower[key]) for key in _DETAIL_KEYS if lower.get(key)), _MOST_PARTS)
        text = " ".join(redact(part, *secrets)[:_MOST_READ] for part in parts)
    else:
        text = ""
    return _one_line(redact(text, *secrets), 200)  # again: parts that were apart may say more together


def signature(reason: str, known: Sequence[str] = ()) -> str:
    """Return the reason without what differs from report to report, so that equal causes have equal text."""
    reason = reason[:_MOST_READ]
    for known_text in sorted(filter(None, known), key=len, reverse=True):
        reason = re.sub(rf"(?<!\w){re.escape(known_text)}(?!\w)", "…", reason, flags=re.IGNORECASE)
    reason = re.sub(r"[^\s'\"]{3,}(?=…|\.\.\.)", lambda cut: _unless_known(cut[0], known), reason)
    status, _, text = reason.partition(":")  # HTTP 400 is part of the cause, not a number in it
    text = re.sub(r"\{?[\w+-]*\d[\w.:+-]*\}?", "…", text)
    return _one_line(f"{status}:{text}" if text else status, 200)


def _unless_known(cut: str, known: Sequence[str]) -> str:
    """Return what a server cut, unless it is the beginning of a known text."""
    return "" if any(known_text.lower().startswith(cut.lower()) for known_text in known) else cut


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a Retry-After header asks for, as number or as HTTP date by the server's own clock.

    A day at most: a longer one is a mistake that would stop everything unseen.
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
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _causes(exc: BaseException | None) -> Iterator[BaseException]:
    """Walk from an error to what caused it; pyWATS keeps the transport's error as context only."""
    seen: set[int] = set()
    while exc is not None and id(exc) not in seen:
        seen.add(id(exc))
        yield exc
        exc = exc.__cause__ or exc.__context__


def _flat(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield the texts inside, as far down as a message of a server goes."""
    if depth > _DEEPEST:
        return
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield f"{str(key)[:_MOST_READ]}:"
            yield from _flat(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            yield from _flat(item, depth + 1)
    else:
        yield str(value)


def _one_line(text: str, length: int) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"
