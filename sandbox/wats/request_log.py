"""What was asked of the server, and how fast: the request log and the request budget."""

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

MINUTE_S = 60.0


@dataclass
class Request:
    """One request under `/api`. `status` stays None when the connection ended without an answer."""

    at: datetime
    method: str
    path: str
    query: str
    body_size_bytes: int
    report_id: str | None = None
    status: int | None = None
    duration_s: float = 0.0
    fault: str | None = None


class RequestLog:
    """The latest requests, in order of arrival, and counts over all of them. Safe to use from several threads."""

    def __init__(self, capacity: int = 50_000) -> None:
        self._lock = threading.Lock()
        self._capacity = capacity
        self.clear()

    def clear(self) -> None:
        with self._lock:
            self._requests: deque[Request] = deque(maxlen=self._capacity)
            self._last_minute: deque[float] = deque()
            self._worst_minute = 0
            self.total = 0

    def add(self, request: Request) -> None:
        """Note a request as it arrives; its answer is filled in later."""
        arrived = request.at.timestamp()
        with self._lock:
            self._requests.append(request)
            self.total += 1
            minute = self._last_minute
            minute.append(arrived)
            while minute[0] <= arrived - MINUTE_S:
                minute.popleft()
            self._worst_minute = max(self._worst_minute, len(minute))

    def __len__(self) -> int:
        return len(self._requests)

    def __iter__(self) -> Iterator[Request]:
        with self._lock:
            return iter(list(self._requests))

    def __getitem__(self, index: int) -> Request:
        return self._requests[index]

    def find(
        self,
        method: str | None = None,
        path: str | None = None,
        status: int | None = None,
        report_id: str | None = None,
    ) -> list[Request]:
        """Return the kept requests that match all that is given; `path` is looked for within the path, case ignored."""
        return [
            request
            for request in self
            if (method is None or request.method == method)
            and (path is None or path.lower() in request.path.lower())
            and (status is None or request.status == status)
            and (report_id is None or request.report_id == report_id.lower())
        ]

    def counts(self) -> Counter[str]:
        """Return the kept requests counted by method, path and status, such as `POST /api/Report/WSJF 200`."""
        return Counter(f"{request.method} {request.path} {request.status}" for request in self)

    def requests_in_worst_minute(self) -> int:
        """Return the highest number of requests that arrived within any 60 seconds, refused ones included."""
        return self._worst_minute


class RequestBudget:
    """A sliding window of one minute. `requests_per_minute` of None switches it off."""

    def __init__(self, requests_per_minute: int | None, clock: Callable[[], datetime]) -> None:
        self.requests_per_minute = requests_per_minute
        self._clock = clock
        self._admitted: deque[float] = deque()

    def clear(self) -> None:
        """Forget the requests admitted so far."""
        self._admitted.clear()

    def wait_s(self) -> float | None:
        """Admit a request and return None, or return the seconds until one will be admitted."""
        if self.requests_per_minute is None:
            return None
        now = self._clock().timestamp()
        while self._admitted and self._admitted[0] <= now - MINUTE_S:
            self._admitted.popleft()
        if len(self._admitted) < self.requests_per_minute:
            self._admitted.append(now)
            return None
        return self._admitted[0] + MINUTE_S - now if self._admitted else MINUTE_S
