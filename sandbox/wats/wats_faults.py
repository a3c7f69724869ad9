"""Failures that the server is set to produce, as data."""

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any


class FaultKind(StrEnum):
    """What goes wrong. Kinds named `store_then_…`, and those that only alter the answer, do store the report first."""

    STATUS = "status"
    """Any status code, with optional Retry-After and message."""
    HTML = "html"
    """200 with an HTML login page."""
    REDIRECT = "redirect"
    """302 to a page that answers 200."""
    EMPTY_200 = "empty_200"
    JSON_200 = "json_200"
    """200 with the JSON of `json`."""
    WRONG_ID = "wrong_id"
    """200 with an InsertReportResult of another report."""
    NO_STORE = "no_store"
    """200 with the right id, and nothing stored."""
    STORE_THEN_STATUS = "store_then_status"
    STORE_THEN_TIMEOUT = "store_then_timeout"
    """Stored; answered after `delay_s`, or never."""
    STORE_THEN_RESET = "store_then_reset"
    RESET = "reset"
    """Connection reset instead of an response."""
    CLOSE = "close"
    """Connection closed in good order instead of an response."""
    RESET_INSIDE = "reset_inside"
    """Half the answer, then a reset."""
    STALL = "stall"
    """The usual answer, `delay_s` late; never when that is None."""
    DRIP = "drip"
    """The usual answer in small parts, spread over `delay_s`."""
    DEAF = "deaf"
    """The body is never read, for `delay_s`; then the connection is reset. Matches no `body`."""
    TRUNCATED_JSON = "truncated_json"
    """The first half of the usual body, as if it were whole."""
    MAINTENANCE = "maintenance"
    """A page with any status in front of everything, credentials and limits included; matches no `body`."""
    QUARANTINE = "quarantine"
    """The usual answer; the report goes to quarantine."""


_STORES = frozenset(
    {
        *(FaultKind.STORE_THEN_STATUS, FaultKind.STORE_THEN_TIMEOUT, FaultKind.STORE_THEN_RESET, FaultKind.QUARANTINE),
        *(FaultKind.RESET_INSIDE, FaultKind.STALL, FaultKind.DRIP, FaultKind.TRUNCATED_JSON),
    }
)
_BEFORE_THE_BODY = frozenset({FaultKind.DEAF, FaultKind.MAINTENANCE})


@dataclass(frozen=True)
class Fault:
    """One scripted failure: what goes wrong, for which requests, how often.

    `path` is looked for in the request's path and decoded query, case ignored; `body` in the request's body, a report
    id for instance. The first `after` matching requests go unharmed, then `times` fail (None: all of them). The fault
    added first wins. With `duration_s` a fault ends by itself so long after it was armed.
    """

    kind: FaultKind | str
    method: str | None = None
    path: str | None = None
    body: str | None = None
    times: int | None = None
    after: int = 0
    status: int = 503
    retry_after: int | str | None = None
    message: str | None = None
    json: Any = None
    delay_s: float | None = None
    duration_s: float | None = None
    location: str = "/login"
    reason: str = "Quarantined by a scripted fault."
    store: bool | None = None
    """Whether the request still takes effect; None leaves it to the kind."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kind", FaultKind(self.kind))

    @property
    def takes_effect(self) -> bool:
        """Whether the request takes effect although its answer is altered."""
        return self.kind in _STORES if self.store is None else self.store

    def matches(self, method: str, target: str, body: bytes | None) -> bool:
        """Whether a request is meant; `body` is None as long as it has not been read."""
        return (
            (self.kind in _BEFORE_THE_BODY) == (body is None)
            and (self.method is None or self.method.upper() == method)
            and (self.path is None or self.path.lower() in target.lower())
            and (self.body is None or (body is not None and self.body.encode() in body))
        )


@dataclass
class _Armed:
    fault: Fault
    until_at: datetime | None
    seen: int = 0
    fired: int = 0


class Faults:
    """The faults of one server, in the order in which they were added. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._armed: dict[int, _Armed] = {}
        self._next_number = 1
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> int:
        """Arm a fault and return its number."""
        with self._lock:
            number = self._next_number
            self._next_number += 1
            duration = None if fault.duration_s is None else timedelta(seconds=fault.duration_s)
            self._armed[number] = _Armed(fault, None if duration is None else self._clock() + duration)
            return number

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()

    def remove(self, number: int) -> bool:
        """Disarm one fault; False if there is none of that number."""
        with self._lock:
            return self._armed.pop(number, None) is not None

    def fired(self, number: int) -> int:
        """Return how many requests an armed fault has struck."""
        with self._lock:
            return self._armed[number].fired

    def strike(self, method: str, target: str, body: bytes | None) -> Fault | None:
        """Return the fault that strikes this request, and count it. Asked first before the body is read, with None."""
        if not self._armed:
            return None
        with self._lock:
            for armed in self._armed.values():
                fault = armed.fault
                is_over = (fault.times is not None and armed.fired >= fault.times) or (
                    armed.until_at is not None and self._clock() >= armed.until_at
                )
                if is_over or not fault.matches(method, target, body):
                    continue
                armed.seen += 1
                if armed.seen > fault.after:
                    armed.fired += 1
                    return fault
        return None

    def listed(self) -> list[dict[str, Any]]:
        """Return the armed faults with their counts, for the admin interface."""
        with self._lock:
            return [
                {"number": number, "seen": armed.seen, "fired": armed.fired, **asdict(armed.fault)}
                for number, armed in self._armed.items()
            ]
