"""What the core needs from the outside world.

The folders ``vte`` and ``wats`` implement these; tests bring fakes with real behaviour.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from vte_wats.domain.report import (
    KeyHit,
    KnownBehaviour,
    ListedReport,
    NaturalKey,
    Report,
    RequestStats,
    StoredReport,
    Submission,
)
from vte_wats.domain.run import VteTestRun
from vte_wats.domain.source import MinuteContent, RunTimes, SourceIdentity, StationTime, WaitingRuns
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import LocalRange


class RunSource(Protocol):
    """The VTE database, read only."""

    def identity(self) -> tuple[SourceIdentity, datetime]:
        """Return which database this is, in one statement, with the server's own clock (aware UTC)."""

    def identity_and_run_counts(self, ranges: Sequence[LocalRange]) -> tuple[SourceIdentity, RunTimes]:
        """Return which database this is, and count the runs per second of the ranges, in one statement."""

    def run_times(self, ranges: Sequence[LocalRange]) -> RunTimes:
        """Count the runs per second of the ranges, in one statement, with the server's own clock (aware UTC)."""

    def waiting_runs(self, ranges: Sequence[LocalRange]) -> WaitingRuns:
        """Count the runs of the ranges, in one statement, with the server's own clock (aware UTC) and version."""

    def day_counts(self, ranges: Sequence[LocalRange]) -> dict[tuple[str, int | None], int]:
        """Count the runs of the ranges by product name and result code, in one statement."""

    def run_hours(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[datetime, int]]:
        """Count the runs per hour of the ranges, ascending, in one statement; hours without runs are absent."""

    def run_keys(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[UUID, datetime | None]]:
        """Stream GUID and Timestamp of the runs whose Timestamp lies in the ranges, or is missing, in one statement.

        The oldest come first. Rows without a GUID have the placeholders of their dead letters.
        """

    def existing(self, guids: Sequence[UUID]) -> frozenset[UUID]:
        """Return which of these runs there are, in one statement; at most 1,000 are asked for."""

    def testsystems(self) -> frozenset[UUID]:
        """Return the test systems of this database, in one statement."""

    def minute_contents(self, ranges: Sequence[LocalRange]) -> Sequence[MinuteContent]:
        """Return what each minute of the ranges holds, ascending, in one statement; minutes without runs are absent."""

    def station_times(self, ranges: Sequence[LocalRange]) -> Iterator[StationTime]:
        """Stream when known stations were busy, by the runs whose Timestamp lies in the ranges, in one statement."""

    def runs_between(self, ranges: Sequence[LocalRange]) -> Iterator[VteTestRun]:
        """Stream the runs whose Timestamp lies in the ranges, complete with steps or with a defect."""

    def runs_by_guid(self, guids: Sequence[UUID]) -> Iterator[VteTestRun]:
        """Stream the named runs, complete with steps or with a defect. Absent GUIDs yield nothing.

        A placeholder yields the row without a GUID that it stands for.
        """


class Wats(Protocol):
    """The WATS server, as far as the upload needs it. Every call may raise RetriableError or FatalError."""

    def process_codes(self) -> frozenset[int]:
        """Return the codes of the test operations that WATS knows."""

    def processes(self) -> Mapping[int, str]:
        """Return the names of the test operations by their codes."""

    def last_taken_at_s(self) -> float | None:
        """Ask WATS for its version, once; return when it last took a report, in seconds since 1970, 0.0 if not known.

        ``None`` if it does not answer, or something else does in its place.
        """

    def behaviour(self) -> KnownBehaviour:
        """Return what is known of this WATS and decides about runs; nothing is sent."""

    def showed_late(self) -> None:
        """Remember that a report took longer to show than was waited for; nothing is sent."""

    def find_reports(self, ids: Sequence[UUID], started: Interval | None = None) -> dict[UUID, StoredReport]:
        """Look up reports by the id of the run they were made from; absent ones are not in the answer.

        ``started`` is when most of the runs started, if their reports are expected to be there: fewer requests do then.
        """

    def find_natural_keys(
        self, keys: Sequence[NaturalKey], own: Collection[UUID] = ()
    ) -> dict[NaturalKey, tuple[KeyHit, ...]]:
        """Look up which reports have these natural keys, or differ in the fraction of the second alone.

        Of reports of the runs in ``own`` it does not matter whether they are equal exactly.
        """

    def listed_reports(self, started: Interval) -> list[ListedReport] | None:
        """List the reports that start in an interval and say from which run of which VTE test system they were made.

        ``None``: this WATS lists no ranges, or not what a report says of its run.
        """

    def fetch(self, ids: Sequence[UUID]) -> dict[UUID, Mapping[str, Any]]:
        """Fetch whole reports by the ids WATS keeps them under, parsed WSJF; absent ones are not in the answer."""

    def submit(self, reports: Iterable[Report]) -> Iterator[Submission]:
        """Post reports side by side, in any order; one submission per report, a bad one never stops the others."""

    def request_stats(self) -> RequestStats:
        """Return what the session has cost so far."""
