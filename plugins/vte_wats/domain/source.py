"""What VTE's database answers: which one it is, when its runs are, and what the preflight looks at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from pydantic import NaiveDatetime

TEXT_TYPES = frozenset({"nvarchar", "nchar", "varchar", "char", "ntext", "text"})
"""The SQL types of text, as INFORMATION_SCHEMA names them."""

TIMESTAMP_TYPES = ("datetime", "datetime2", "smalldatetime")
"""The SQL types in which IndexData.Timestamp can be read, the documented one first."""


@dataclass(frozen=True, slots=True)
class RunTimes:
    """What one statement finds: the source's own clock, and how many runs each second of the ranges holds.

    ``seconds`` is ascending; seconds without runs are absent.
    """

    server_now_at: datetime
    seconds: tuple[tuple[datetime, int], ...]


@dataclass(frozen=True, slots=True)
class MinuteContent:
    """The runs of one wall-clock minute, as far as a cheap look shows; ``fingerprint`` changes when one of them does.

    Two contents may have one fingerprint: it saves reading, it proves nothing.
    """

    minute_local: datetime
    runs: int
    fingerprint: str


@dataclass(frozen=True, slots=True)
class StationTime:
    """When a station was busy with one run, as far as its row says."""

    index_guid: UUID
    testsystem_guid: UUID
    timestamp_local: datetime
    test_time_s: float | None


@dataclass(frozen=True, slots=True)
class SourceIdentity:
    """Which database the source is, and which columns it has.

    ``created_local`` is the server's wall clock when the database was created, restored or renamed. ``columns`` are
    those of ``Settings.columns_read`` that the login can see, with their SQL types.
    """

    server: str
    database: str
    created_local: NaiveDatetime
    columns: dict[str, str]

    def __str__(self) -> str:
        return f"{self.database} on {self.server}, created {self.created_local.isoformat(sep=' ')}"


@dataclass(frozen=True, slots=True)
class WaitingRuns:
    """What the monitor asks: the server's clock and version, how many runs the ranges hold, the newest of them."""

    server_now_at: datetime
    version: str
    runs: int
    newest_local: str | None


@dataclass(frozen=True, slots=True)
class TimeBounds:
    """Between which Timestamps the runs lie, and what the server's clock shows in UTC and on its wall."""

    server_now_at: datetime
    server_local: datetime
    oldest_local: datetime | None
    newest_local: datetime | None


@dataclass(frozen=True, slots=True)
class RunSteps:
    """How many steps a run has by now."""

    key: str
    timestamp_local: datetime
    steps: int


@dataclass(frozen=True, slots=True)
class StepKey:
    """How many steps of one kind have one key, of those that were looked at, and whether there is a run with it."""

    kind: str
    key: str
    steps: int
    has_run: bool


@dataclass(frozen=True, slots=True)
class RunGroup:
    """The runs of one product, test plan and station with one result, as their rows name them.

    ``first_runs`` are those of them that are the first of their unit under the test plan, within the ranges counted.
    """

    product_name: str | None
    testplan_name: str | None
    station_name: str | None
    result_code: int | None
    runs: int
    newest_local: datetime
    first_runs: int = 0


@dataclass(frozen=True, slots=True)
class Index:
    """An index of the source with its key columns in order, under the names it has there."""

    table: str
    name: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SourceFacts:
    """What the preflight looks at: the server, how this connection reads, and what may slow it down.

    ``version`` is SQL Server's, such as 15.0.4153.1. ``null_times`` counts runs without Timestamp, ``null_keys`` those
    without Index_GUID, ``duplicate_units`` the units with several serials, of which ``doubled_unit`` is one.
    ``encrypted`` says whether the connection insists on TLS, ``verifies_server`` whether the driver also checks who the
    server is.
    """

    version: str
    edition: str
    compatibility_level: int
    read_committed_snapshot: bool
    reads_snapshot: bool
    may_write: bool
    encrypted: bool
    verifies_server: bool
    indexes: tuple[Index, ...]
    null_times: int
    null_keys: int
    duplicate_units: int
    doubled_unit: str | None
