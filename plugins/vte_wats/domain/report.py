"""The WATS document made from one run, and what WATS says about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC
from typing import Any, Self
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, NaiveDatetime

from vte_wats.domain.errors import HeldError, RejectedError, RetriableError
from vte_wats.domain.run import DeadLetterKind, Outcome

SOURCE_HASH, RUN_HASH = "source_hash", "run_hash"
"""The misc infos with the hash of the report, and with that of the run it was made from."""


def misc_info(document: Mapping[str, Any], description: str) -> str | None:
    """Return the text of the first misc info of this description in a report as it was posted."""
    infos = document.get("miscInfos") or ()
    return next((info.get("text") for info in infos if info.get("description") == description), None)


@dataclass(frozen=True, slots=True)
class NaturalKey:
    """What identifies a test in WATS beside the report id; a report with an equal key overwrites."""

    serial: str
    part_number: str
    process_code: int
    start_at: AwareDatetime

    @property
    def second(self) -> tuple[str, str, int, str]:
        """The identity with the start cut to whole seconds, as the headers of WATS show it."""
        return self.second_of(self.identity)

    @staticmethod
    def second_of(identity: tuple[str, str, int, str]) -> tuple[str, str, int, str]:
        """Return an identity with its start cut to whole seconds."""
        return (*identity[:3], identity[3][:19])

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
class ReportHeader:
    """What WATS lists of a report without opening it: texts without regard to case, the start in whole seconds.

    ``result`` is as in a report: P, F, E or T.
    """

    serial: str
    part_number: str
    process_code: int
    start: str
    result: str

    @classmethod
    def of(cls, key: NaturalKey, result: str) -> Self:
        """Return the header of a report with this natural key and result."""
        return cls(*key.second, result)

    def differing(self, other: ReportHeader) -> list[str]:
        """Return the names of the fields in which another header differs."""
        return [field.name for field in fields(self) if getattr(self, field.name) != getattr(other, field.name)]


@dataclass(frozen=True, slots=True)
class Report:
    """One run, ready to be posted. ``document`` is the WSJF, ``source_hash`` covers all of it but the hashes.

    ``result`` is P, F, E or T. The document is bytes, for one character beyond Latin-1 makes a text twice as large in
    memory, and an emoji four times.
    """

    report_id: UUID
    source_hash: str
    natural_key: NaturalKey
    result: str
    document: bytes

    @property
    def body(self) -> str:
        """The document as text."""
        return self.document.decode()

    @property
    def header(self) -> ReportHeader:
        """What WATS lists of it."""
        return ReportHeader.of(self.natural_key, self.result)


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
    """What WATS says about a report it has. A hash is ``None`` when the report has none.

    ``source_hash`` is over the report as it was made, ``run_hash`` over the run that it was made from. ``report_id``
    is that of the run, ``stored_as`` the one that WATS keeps the report under: a server may rename it. ``header`` is
    ``None`` where WATS does not list all of it.
    """

    report_id: UUID
    stored_as: UUID
    source_hash: str | None
    run_hash: str | None = None
    header: ReportHeader | None = None


@dataclass(frozen=True, slots=True)
class ListedReport:
    """What a report of WATS says about its run: the GUID, the test system, and the Timestamp."""

    run: UUID
    testsystem_guid: UUID
    timestamp_local: NaiveDatetime


@dataclass(frozen=True, slots=True)
class KeyHit:
    """A report in WATS with the serial, part number, process and second of a run.

    ``guid`` is its run where it names one, else the id that WATS keeps it under. ``is_exact`` says that the starts are
    equal in the fraction, too, or that nothing says they are not.
    """

    guid: UUID
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class KnownBehaviour:
    """What decides about runs and differs from WATS to WATS.

    ``merges_within_second`` is ``None`` while nobody knows whether two reports of one unit that start within one second
    overwrite each other. ``shown_after_s`` is after how long a confirmed report is surely found by a query.
    ``lists_misc_infos``: it has listed some, in this session or an earlier one.
    """

    max_body_bytes: int
    merges_within_second: bool | None
    shown_after_s: float
    lists_misc_infos: bool


@dataclass(frozen=True, slots=True)
class Submission:
    """The answer to one posted report: without ``error`` WATS has confirmed this very report.

    ``stored_as`` is then the id that WATS keeps it under. A confirmed report may show in queries later.
    ``failed_itself`` says of an error that WATS had this very report and failed; it may be about all reports, too.
    """

    report: Report
    error: RetriableError | RejectedError | None = None
    stored_as: UUID | None = None
    failed_itself: bool = False


@dataclass(frozen=True, slots=True)
class RequestStats:
    """What a session with WATS has cost: requests of the budget, and posts by the upper edge of their latency."""

    requests: int
    budget_per_minute: int
    latency_ms: Mapping[int, int]


class UploadResult(BaseModel):
    """What the upload of one slice returns: runs read, dead letters that went, each outcome, and ``RequestStats``."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    read: int
    redriven: int
    uploaded: int
    unchanged: int
    replaced: int
    dead: int
    held: int
    requests: int = 0
    budget_per_minute: int = 0
    latency_ms: dict[int, int] = {}

    @property
    def outcomes(self) -> dict[Outcome, int]:
        """How many runs have each outcome."""
        return {outcome: getattr(self, outcome.value) for outcome in Outcome}
