"""In-process doubles of VTE and WATS that behave as the real ones do, as far as the verbs can see."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any
from uuid import UUID

from vte_wats.domain.errors import RejectedError, RetriableError, VteWatsError
from vte_wats.domain.report import KeyHit, KnownBehaviour, ListedReport, NaturalKey, Report, StoredReport, Submission
from vte_wats.domain.run import VteTestRun
from vte_wats.domain.source import RunTimes, SourceIdentity, StationTime
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.messages import VW342, VW392


class FakeSource:
    """A VTE database in memory; ``statements`` names what was sent to it, in order."""

    def __init__(self, *runs: VteTestRun, now_at: datetime = datetime(2030, 1, 1, tzinfo=UTC)) -> None:
        self.runs = sorted(runs, key=lambda run: (run.timestamp_local, run.index_guid))
        self.now_at = now_at
        self.statements: list[str] = []
        self.timeless: list[UUID] = []

    def identity(self) -> tuple[SourceIdentity, datetime]:
        self.statements.append("select_source_identity")
        return SourceIdentity("PLANT-1", "VTE9_3", datetime(2020, 1, 1), {}), self.now_at

    def identity_and_run_counts(self, ranges: Sequence[LocalRange]) -> tuple[SourceIdentity, RunTimes]:
        identity, times = self.identity()[0], self.run_times(ranges)
        self.statements[-2:] = ["select_identity_and_run_counts"]
        return identity, times

    def run_times(self, ranges: Sequence[LocalRange]) -> RunTimes:
        self.statements.append("select_run_times")
        seconds = Counter(run.timestamp_local.replace(microsecond=0) for run in self._within(ranges))
        return RunTimes(self.now_at, tuple(sorted(seconds.items())))

    def run_hours(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[datetime, int]]:
        self.statements.append("select_run_hours")
        hours = Counter(run.timestamp_local.replace(minute=0, second=0, microsecond=0) for run in self._within(ranges))
        return iter(sorted(hours.items()))

    def run_keys(self, ranges: Sequence[LocalRange]) -> Iterator[tuple[UUID, datetime | None]]:
        self.statements.append("select_run_keys")
        return chain(
            ((guid, None) for guid in self.timeless),
            ((run.index_guid, run.timestamp_local) for run in self._within(ranges)),
        )

    def existing(self, guids: Sequence[UUID]) -> frozenset[UUID]:
        self.statements.append("select_run_keys")
        assert len(guids) <= 1_000, "more than one statement asks for"
        return frozenset(run.index_guid for run in self.runs if run.index_guid in guids)

    def testsystems(self) -> frozenset[UUID]:
        self.statements.append("select_testsystems")
        return frozenset(run.testsystem_guid for run in self.runs if run.testsystem_guid is not None)

    def station_times(self, ranges: Sequence[LocalRange]) -> Iterator[StationTime]:
        self.statements.append("select_station_times")
        return (
            StationTime(run.index_guid, run.testsystem_guid, run.timestamp_local, run.test_time_s)
            for run in self._within(ranges)
            if run.testsystem_guid is not None
        )

    def runs_between(self, ranges: Sequence[LocalRange]) -> Iterator[VteTestRun]:
        self.statements += ["select_runs", "select_steps"]
        return iter(self._within(ranges))

    def runs_by_guid(self, guids: Sequence[UUID]) -> Iterator[VteTestRun]:
        self.statements += ["select_runs", "select_steps"]
        return (run for run in self.runs if run.index_guid in guids)

    def _within(self, ranges: Sequence[LocalRange]) -> list[VteTestRun]:
        return [run for run in self.runs if any(r.from_local <= run.timestamp_local < r.to_local for r in ranges)]


class FakeWats:
    """A WATS server in memory: a report replaces the one with its id, and the one with its natural key.

    ``fail_next`` lists, per report, the errors its next posts get. ``receipts`` counts what was stored, however the
    answer went; ``posted`` is every post, in order. ``renamed`` are ids of WATS's own, by that of the run. What is
    posted while it ``hides`` shows in queries once it does not any more.
    """

    def __init__(self, *stored: Report, codes: Iterable[int] = (100,)) -> None:
        self.codes = frozenset(codes)
        self.reports: dict[UUID, Report] = {}
        self.receipts: Counter[UUID] = Counter()
        self.posted: list[UUID] = []
        self.asked: list[int] = []
        self.fail_next: dict[UUID, list[RetriableError | RejectedError]] = {}
        self.lose_answers_of: set[UUID] = set()
        self.swallow: set[UUID] = set()
        self.renamed: dict[UUID, UUID] = {}
        self.out_of_order: VteWatsError | None = None
        self.known = KnownBehaviour(30_000_000, merges_within_second=None, shown_after_s=120.0, lists_misc_infos=True)
        self.hides = False
        self.answers = True
        self.taken_at_s = 0.0
        self.late = 0
        self.lists_ranges = self.lists_misc_infos = self.keeps_misc_infos = True
        self._shown: dict[UUID, Report] = {}
        for report in stored:
            self._store(report)

    def process_codes(self) -> frozenset[int]:
        if self.out_of_order is not None:
            raise self.out_of_order
        return self.codes

    def last_taken_at_s(self) -> float | None:
        return self.taken_at_s if self.answers else None

    def showed_late(self) -> None:
        self.late += 1

    def processes(self) -> dict[int, str]:
        return {code: f"Process {code}" for code in self.process_codes()}

    def behaviour(self) -> KnownBehaviour:
        return self.known

    def find_reports(self, ids: Sequence[UUID], started: Interval | None = None) -> dict[UUID, StoredReport]:
        self.asked.append(len(ids))
        shown = self._queried()
        found = [shown[guid] for guid in ids if guid in shown]
        return {
            r.report_id: StoredReport(
                r.report_id,
                self.renamed.get(r.report_id, r.report_id),
                r.source_hash if self.lists_misc_infos else None,
                _misc_infos(r).get("run_hash") if self.lists_misc_infos else None,
                r.header,
            )
            for r in found
        }

    def listed_reports(self, started: Interval) -> list[ListedReport] | None:
        if not self.lists_ranges:
            return None
        return [
            ListedReport(run, UUID(infos["source_system"]), datetime.fromisoformat(infos["source_timestamp"]))
            for run, report in self.reports.items()
            if report.natural_key.start_at in started
            for infos in [_misc_infos(report)]
        ]

    def find_natural_keys(
        self, keys: Sequence[NaturalKey], own: Collection[UUID] = ()
    ) -> dict[NaturalKey, tuple[KeyHit, ...]]:
        shown = self._queried().values()
        hits = {
            key: tuple(
                KeyHit(report.report_id, report.natural_key == key)
                for report in shown
                if report.natural_key.second == key.second
            )
            for key in keys
        }
        return {key: found for key, found in hits.items() if found}

    def _queried(self) -> dict[UUID, Report]:
        if not self.hides:
            self._shown = dict(self.reports)
        return self._shown

    def fetch(self, ids: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
        run_of = {name: guid for guid, name in self.renamed.items()}
        runs = {stored_as: run_of.get(stored_as, stored_as) for stored_as in ids if stored_as not in self.renamed}
        return {
            stored_as: json.loads(self.reports[run].body)
            | {"id": str(stored_as)}
            | ({} if self.keeps_misc_infos else {"miscInfos": []})
            for stored_as, run in runs.items()
            if run in self.reports
        }

    def submit(self, reports: Iterable[Report]) -> Iterator[Submission]:
        for report in reversed(list(reports)):  # posts run side by side, so answers come in any order
            self.posted.append(report.report_id)
            if report.report_id in self.swallow:
                continue
            errors = self.fail_next.get(report.report_id)
            if errors:
                error = errors.pop(0)
                yield Submission(report, error, failed_itself=error.message is VW342)
                continue
            self._store(report)
            if report.report_id in self.lose_answers_of:
                self.lose_answers_of.discard(report.report_id)
                yield Submission(report, RetriableError(VW392, "the answer did not come"))
                continue
            yield Submission(report, stored_as=self.renamed.get(report.report_id, report.report_id))

    def _store(self, report: Report) -> None:
        same = (known.report_id for known in self.reports.values() if known.natural_key == report.natural_key)
        same_test = next(same, None)
        if same_test is not None:
            del self.reports[same_test]
        self.reports[report.report_id] = report
        self.receipts[report.report_id] += 1


def _misc_infos(report: Report) -> dict[str, str]:
    infos = json.loads(report.body).get("miscInfos", ()) if report.body.startswith("{") else ()
    return {info["description"]: info["text"] for info in infos}
