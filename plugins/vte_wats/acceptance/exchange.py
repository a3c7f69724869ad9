"""What the acceptance run needs from outside: a WATS that is asked one thing at a time, and a clock to wait by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from vte_wats.intervals.interval import Interval


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, judged by nobody. ``status`` is ``None`` when none came; ``text`` then says why.

    ``content`` is the parsed JSON, ``text`` its beginning or what the server says about a failure, without secrets.
    ``tries_before`` are the answers, such as a 429, after which the same was asked again.
    """

    status: int | None
    content: Any = None
    text: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    took_ms: float = 0.0
    tries_before: tuple[str, ...] = ()

    @property
    def is_success(self) -> bool:
        """Whether the status is a 2xx."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def objects(self) -> tuple[Mapping[str, Any], ...]:
        """The objects of a list that was answered with success; none of anything else."""
        if not self.is_success or not isinstance(self.content, list):
            return ()
        return tuple(item for item in self.content if isinstance(item, dict))

    def __str__(self) -> str:
        """Say status and text, as evidence."""
        status = "no answer" if self.status is None else str(self.status)
        return f"{status} {self.text}".rstrip()


class WatsUnderTest(Protocol):
    """A WATS whose every answer counts, refusals included. Asks as the package asks, and stays within the budget.

    Raises FatalError when the server cannot be reached for a reason that a person must solve.
    """

    @property
    def id_forms(self) -> Sequence[str]:
        """The forms in which report ids can be written in a query, in the order in which the package tries them."""

    def post(self, body: bytes) -> Answer:
        """Post a document as a report."""

    def ids_of(self, answer: Answer) -> tuple[UUID, UUID] | None:
        """Return the id of the report and the id it is kept under, as the answer to a post says, or ``None``."""

    def headers_by_id(self, form: str, ids: Sequence[UUID]) -> Answer:
        """Ask for headers with misc infos by report id, the ids written in this form."""

    def headers_by_range(self, started: Interval) -> Answer:
        """Ask for all headers with misc infos that start in an interval of whole seconds."""

    def headers_by_serial(self, serial: str, part_number: str, process_code: int, start_at: datetime) -> Answer:
        """Ask for the headers with this natural key, as the package looks for equal ones."""

    def headers_by_source_id(self, source_id: str) -> Answer:
        """Ask for the headers with this text in the misc info ``source_id``."""

    def headers_of_part(self, part_number: str, *, with_limit: bool, skip: int = 0) -> Answer:
        """Ask for headers with misc infos of a part number; without a limit WATS returns the first few."""

    def report(self, report_id: UUID) -> Answer:
        """Ask for one whole report."""


class Clock(Protocol):
    """Time passes; in a test as fast as the test wants."""

    def now_s(self) -> float:
        """Return seconds that never run backwards."""

    def wait(self, seconds: float) -> None:
        """Return when so much time has passed."""
