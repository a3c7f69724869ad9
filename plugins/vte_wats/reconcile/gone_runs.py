"""Gone: reports in WATS of runs that VTE no longer has. They are counted and named; nothing is ever deleted in WATS.

And dead letters of rows without a GUID that are gone: such a row has its GUID by now, and is another run.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from more_itertools import chunked
from pydantic import TypeAdapter

from vte_wats.domain.ports import RunSource, Wats
from vte_wats.domain.report import ListedReport
from vte_wats.domain.run import WITHOUT_KEY
from vte_wats.intervals.interval import Interval
from vte_wats.messages import VW554, VW555
from vte_wats.state.proof import GoneRuns
from vte_wats.storage.dead_letter_index import DeadLetterSummary
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import Staging

log = logging.getLogger(__name__)

_REPORTS = "listed"
_LISTED: TypeAdapter[list[ListedReport] | None] = TypeAdapter(list[ListedReport] | None)
_AT_ONCE = 1_000  # runs that one statement asks for
_MOST_EXAMPLES = 100  # of each day
_EXAMPLES_KEPT = 1_000  # of all days of one comparison
_LONGEST_TEST = timedelta(hours=1)  # before the first of the days


def whole_days(ranges: Iterable[tuple[date, date]]) -> list[date]:
    """Return every day from each first one up to its end."""
    return [first + timedelta(days=n) for first, end in ranges for n in range((end - first).days)]


def stage_listed(wats: Wats, staging: Staging, ranges: Sequence[tuple[date, date]], zone: ZoneInfo) -> int:
    """Stage the reports of these days that WATS lists, a line for each day; return how many days were asked for.

    One request is sent for some thousand reports. The last line is ``null`` where WATS lists none.
    """

    def lines() -> Iterator[str]:
        for first, end in ranges:
            for day in whole_days([(first, end)]):
                listed = wats.listed_reports(_started(day, zone, is_first=day == first))
                yield _LISTED.dump_json(listed).decode()
                if listed is None:
                    return

    return staging.write(_REPORTS, lines())


def find_gone(source: RunSource, staging: Staging, ranges: Sequence[tuple[date, date]]) -> dict[date, GoneRuns] | None:
    """Return the runs of these days, by their Timestamps, that WATS listed and VTE does not have; ``None``: it did not.

    Only reports of test systems that VTE has are looked at: a WATS may have those of other databases. One statement is
    sent for each thousand.
    """
    systems, asked = source.testsystems(), frozenset(whole_days(ranges))
    gone: dict[date, set[UUID]] = defaultdict(set)
    for listed in staging.parsed(_REPORTS, _LISTED.validate_json):
        if listed is None:
            log.warning("%s %s: %s", VW555, VW555.symptom, VW555.meaning)
            return None
        ours = [report for report in listed if report.testsystem_guid in systems and _day(report) in asked]
        for part in chunked(ours, _AT_ONCE):
            existing = source.existing([report.run for report in part])
            for report in part:
                if report.run not in existing:
                    gone[_day(report)].add(report.run)
    if gone:
        log.warning("%s %d runs are in WATS and no longer in VTE", VW554, sum(map(len, gone.values())))
    return _numbers(gone)


def remove_without_row(source: RunSource, dead_letters: DeadLetters, summaries: Iterable[DeadLetterSummary]) -> int:
    """Remove the dead letters of rows without a GUID that are there no more; return how many were removed."""
    stand_ins = [summary.index_guid for summary in summaries if summary.signature == WITHOUT_KEY]
    removed = 0
    for part in chunked(stand_ins, _AT_ONCE):
        for guid in set(part) - {run.index_guid for run in source.runs_by_guid(part)}:
            dead_letters.remove(guid)
            removed += 1
            log.info("Run %s: its row has a GUID by now, or is gone; the dead letter is removed", guid)
    return removed


def _day(report: ListedReport) -> date:
    return report.timestamp_local.date()


def _started(day: date, zone: ZoneInfo, *, is_first: bool) -> Interval:
    """Return when runs of a day started; those of the first day may have started before it."""
    from_at, to_at = (
        datetime.combine(edge, time(), tzinfo=zone).astimezone(UTC) for edge in (day, day + timedelta(days=1))
    )
    return Interval(from_at - _LONGEST_TEST if is_first else from_at, to_at)


def _numbers(gone: Mapping[date, set[UUID]]) -> dict[date, GoneRuns]:
    """Return the number of each day; of the newest days with examples."""
    numbers: dict[date, GoneRuns] = {}
    room = _EXAMPLES_KEPT
    for day in sorted(gone, reverse=True):
        examples = tuple(str(guid) for guid in sorted(gone[day])[: min(_MOST_EXAMPLES, room)])
        room -= len(examples)
        numbers[day] = GoneRuns(runs=len(gone[day]), examples=examples)
    return numbers
