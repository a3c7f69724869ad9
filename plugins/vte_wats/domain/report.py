"""The WATS document made from one run, and what WATS says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from vte_wats.domain.errors import HeldError, RejectedError, RetriableError
from vte_wats.domain.outcome import DeadLetterKind


@dataclass(frozen=True, slots=True)
class NaturalKey:
    """What identifies a test in WATS beside the report id; a report with an equal key overwrites."""

    serial: str
    part_number: str
    process_code: int
    start_at: datetime

    @property
    def identity(self) -> tuple[str, str, int, str]:
        """What is compared: the instant of the start, and the texts without regard to case, as a database may do."""
        return (
            self.serial.casefold(),
            self.part_number.casefold(),
            self.process_code,
            self.start_at.astimezone(UTC).isoformat(),
        )


@dataclass(frozen=True, slots=True)
class Report:
    """One run, ready to be posted. ``body`` is the WSJF document, ``source_hash`` covers all of it but itself."""

    report_id: UUID
    source_hash: str
    natural_key: NaturalKey
    body: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A run that cannot become a report now: the kind, reason and signature of its dead letter."""

    index_guid: UUID
    kind: DeadLetterKind
    reason: str
    signature: str

    @classmethod
    def of(cls, guid: UUID, error: RejectedError) -> Refusal:
        """Return the refusal that an error stands for."""
        kind = DeadLetterKind.HELD if isinstance(error, HeldError) else DeadLetterKind.DEAD
        return cls(guid, kind, str(error), error.signature)


@dataclass(frozen=True, slots=True)
class StoredReport:
    """What WATS says about a report it has. ``source_hash`` is ``None`` when the report has none.

    ``report_id`` is that of the run, ``stored_as`` the one that WATS keeps the report under: a server may rename it.
    """

    report_id: UUID
    stored_as: UUID
    source_hash: str | None


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer to one posted report: ``error`` is ``None`` only when WATS is known to hold this very report."""

    report: Report
    error: RetriableError | RejectedError | None = None


@dataclass(frozen=True, slots=True)
class RequestStats:
    """What a session with WATS has cost: requests of the budget, and posts by the upper edge of their latency."""

    requests: int
    budget_per_minute: int
    latency_ms: Mapping[int, int]
