"""What the verbs need from the outside world. The edges implement these; tests bring fakes with real behaviour."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from vte_wats.domain.errors import RejectedError, RetriableError
from vte_wats.domain.run import VteTestRun


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Source wall-clock time ``[from_local, to_local)``: naive, whole seconds, half-open."""

    from_local: datetime
    to_local: datetime


@dataclass(frozen=True, slots=True)
class RunTimes:
    """What one glance at the source shows: its own clock, and how many runs each second of the ranges holds.

    ``seconds`` is ascending; seconds without runs are absent.
    """

    server_now_at: datetime
    seconds: tuple[tuple[datetime, int], ...]


@dataclass(frozen=True, slots=True)
class StationTime:
    """When a station was busy with one run, as far as its row says."""

    index_guid: UUID
    testsystem_guid: UUID
    timestamp_local: datetime
    test_time_s: float | None


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """Which database the source is, and how what is read of it looks.

    ``created_local`` is the server's wall clock when the database was created, restored or renamed. ``columns`` are
    those of ``Settings.columns_read`` that the login can see, with their SQL types.
    """

    server: str
    database: str
    created_local: datetime
    columns: dict[str, str]

    def __str__(self) -> str:
        return f"{self.database} on {self.server}, created {self.created_local.isoformat(sep=' ')}"


@dataclass(frozen=True, slots=True)
class WaitingRuns:
    """One glance of the monitor: the server's clock and version, how many runs the ranges hold, the newest of them."""

    server_now_at: datetime
    version: str
    runs: int
    newest_local: str | None


@dataclass(frozen=True, slots=True)
class Index:
    """An index of the source with its key columns in order, under the names it has there."""

    table: str
    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What the preflight looks at: the server, how this connection reads, and what may slow it down.

    ``version`` is SQL Server's, such as 15.0.4153.1. ``null_times`` counts runs without Timestamp. ``encrypted`` says
    whether the connection insists on TLS.
    """

    version: str
    edition: str
    compatibility_level: int
    allows_snapshot: bool
    read_committed_snapshot: bool
    reads_snapshot: bool
    may_write: bool
    encrypted: bool
    indexes: tuple[Index, ...]
    null_times: int


class RunSource(Protocol):
    """The VTE database, read only."""

    def identity(self) -> tuple[SourceIdentity, datetime]:
        """Tell which database this is, in one statement, with the server's own clock (aware UTC)."""

    def identity_and_run_counts(self, ranges: Sequence[TimeRange]) -> tuple[SourceIdentity, RunTimes]:
        """Tell which database this is, and count the runs per second of the ranges, in one statement."""

    def run_times(self, ranges: Sequence[TimeRange]) -> RunTimes:
        """Count the runs per second of the ranges, in one statement, with the server's own clock (aware UTC)."""

    def waiting_runs(self, ranges: Sequence[TimeRange]) -> WaitingRuns:
        """Count the runs of the ranges, in one statement, with the server's own clock (aware UTC) and version."""

    def day_counts(self, ranges: Sequence[TimeRange]) -> dict[tuple[str, int | None], int]:
        """Count the runs of the ranges by product name and result code, in one statement."""

    def run_hours(self, ranges: Sequence[TimeRange]) -> Iterator[tuple[datetime, int]]:
        """Count the runs per hour of the ranges, ascending, in one statement; hours without runs are absent."""

    def run_keys(self, ranges: Sequence[TimeRange]) -> Iterator[tuple[UUID, datetime]]:
        """Stream GUID and Timestamp of the runs whose Timestamp lies in the ranges, in one statement."""

    def station_times(self, ranges: Sequence[TimeRange]) -> Iterator[StationTime]:
        """Stream when known stations were busy, by the runs whose Timestamp lies in the ranges, in one statement."""

    def runs_between(self, ranges: Sequence[TimeRange]) -> Iterator[VteTestRun]:
        """Stream the runs whose Timestamp lies in the ranges, complete with steps: two statements in all."""

    def runs_by_guid(self, guids: Sequence[UUID]) -> Iterator[VteTestRun]:
        """Stream the named runs, complete with steps: two statements in all. Absent GUIDs yield nothing."""


@dataclass(frozen=True, slots=True)
class NaturalKey:
    """What WATS takes for the identity of a test beside the report id; an equal key overwrites."""

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
class StoredReport:
    """What WATS says about a report it has. ``source_hash`` is ``None`` when the report carries none.

    ``report_id`` is that of the run, ``stored_as`` the one that WATS keeps the report under: a server may rename it.
    """

    report_id: UUID
    stored_as: UUID
    source_hash: str | None
    receive_count: int


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer to one posted report: ``error`` is ``None`` only when WATS is known to hold this very report."""

    report: Report
    error: RetriableError | RejectedError | None = None


@dataclass(frozen=True, slots=True)
class RequestStats:
    """What a conversation with WATS has cost: requests of the budget, and posts by the upper edge of their latency."""

    requests: int
    budget_per_minute: int
    latency_ms: Mapping[int, int]


class Wats(Protocol):
    """The WATS server, as far as the upload needs it. Every call may raise RetriableError or FatalError."""

    def process_codes(self) -> frozenset[int]:
        """Return the codes of the test operations that WATS knows."""

    def find_reports(self, ids: Sequence[UUID]) -> dict[UUID, StoredReport]:
        """Look up reports by the id of the run they were made from; absent ones are not in the answer."""

    def find_natural_keys(self, keys: Sequence[NaturalKey]) -> dict[NaturalKey, UUID]:
        """Look up which reports already stand under these natural keys."""

    def fetch(self, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
        """Fetch whole reports by the ids WATS keeps them under, parsed WSJF; absent ones are not in the answer."""

    def submit(self, reports: Iterable[Report]) -> Iterator[Submission]:
        """Post reports side by side, in any order; one submission per report, a bad one never stops the others."""

    def request_stats(self) -> RequestStats:
        """Tell what the conversation has cost so far."""
