"""Faults as data: what the server shall do wrong, where, and how often."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from typing import Literal

from sandbox.sqlserver.errors import SqlServerError, well_known

FaultKind = Literal["refuse", "login_failed", "drop", "stall", "error", "deadlock", "lock_timeout"]

_NUMBERS = {"deadlock": 1205, "lock_timeout": 1222, "login_failed": 18456}


@dataclass(frozen=True)
class Fault:
    """One thing to go wrong.

    `refuse` closes the connection at accept; `login_failed` answers the login with an error (18456 unless `number`
    says another, such as 18401; with 4060 a server also says 18456, and master stays open); `drop` breaks the
    connection; `stall` waits `seconds`; `error` answers with `number`; `deadlock` and `lock_timeout` are `error` with
    1205 and 1222.

    `match` is a regular expression searched in the SQL text, in any case (None: every statement). `times` is how often
    the fault strikes (None: until it is removed). `after_rows=0` strikes before the result, N after that many of its
    rows (a result with fewer rows is left alone and the fault stays armed), None after the whole result has been sent
    (only `drop`).
    """

    kind: FaultKind
    match: str | None = None
    times: int | None = 1
    after_rows: int | None = 0
    seconds: float = 0.0
    number: int | None = None
    message: str | None = None

    def problem(self) -> SqlServerError:
        number = self.number or _NUMBERS.get(self.kind)
        if number is None:
            raise ValueError(f"Fault(kind={self.kind!r}) needs number=, the SQL Server error to answer with")
        known = well_known(number)
        if self.message is None:
            return known
        return SqlServerError(number, self.message, known.severity, known.state, known.aborts_transaction)

    def matches(self, sql: str) -> bool:
        return self.match is None or re.search(self.match, sql, re.IGNORECASE) is not None


@dataclass
class Faults:
    """The faults a server is armed with. Thread-safe; the first fault that matches strikes."""

    _armed: list[tuple[Fault, int | None]] = field(default_factory=list)
    _struck: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> Fault:
        if fault.kind in {"error", "deadlock", "lock_timeout"}:
            fault.problem()
        with self._lock:
            self._armed.append((fault, fault.times))
        return fault

    def remove(self, fault: Fault) -> None:
        with self._lock:
            self._armed = [(armed, left) for armed, left in self._armed if armed is not fault]

    def clear(self) -> None:
        with self._lock:
            self._armed.clear()

    @property
    def armed(self) -> tuple[Fault, ...]:
        with self._lock:
            return tuple(fault for fault, _ in self._armed)

    @property
    def struck(self) -> tuple[Fault, ...]:
        """Every strike so far, oldest first."""
        with self._lock:
            return tuple(self._struck)

    def find(self, kinds: frozenset[str], sql: str = "") -> Fault | None:
        """Return the first armed fault of these kinds that matches, without using it up."""
        with self._lock:
            return next((fault for fault, _ in self._armed if fault.kind in kinds and fault.matches(sql)), None)

    def strike(self, fault: Fault) -> bool:
        """Use the fault up once; False when another connection was faster and nothing is left of it."""
        with self._lock:
            for index, (armed, left) in enumerate(self._armed):
                if armed is fault:
                    if left is not None and left <= 1:
                        del self._armed[index]
                    else:
                        self._armed[index] = (armed, None if left is None else left - 1)
                    self._struck.append(fault)
                    return True
        return False
