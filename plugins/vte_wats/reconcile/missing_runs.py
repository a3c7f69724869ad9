"""Which runs of VTE are not in WATS as they are now, nor a dead letter, however late they came or oddly they are dated.

The keys of millions of runs are staged in batches. Of each batch one task reads what WATS should hold, and another asks
WATS, for some seconds only, so that the sync goes first.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from more_itertools import chunked, flatten
from pydantic import TypeAdapter

from vte_wats.config.settings import OddTimestamps
from vte_wats.domain.ports import Wats
from vte_wats.domain.report import StoredReport
from vte_wats.domain.run import DeadLetterKind, is_comparable
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import FIRST, utc_offsets
from vte_wats.messages import VW541, VW543, VW544, VW553
from vte_wats.reconcile.compare import Expected, sample_of, staged_expected
from vte_wats.reconcile.keys import Key, staged_keys
from vte_wats.state.proof import Cause, DayProof, OddKind, OddRun, OddRuns, OpenRun, joined_days
from vte_wats.storage.staging import Staging
from vte_wats.storage.unseen_reports import UnseenReports

log = logging.getLogger(__name__)

Kinds = Mapping[UUID, DeadLetterKind]

MISSING, SHOWN, DAYS, ODD, SUSPECT = "missing", "shown", "days", "odd", "suspect"
_DIFFERING = (MISSING, Cause.VTE_CHANGED, Cause.MAPPING_CHANGED, Cause.UNKNOWN)
_PROVEN, _OTHER_CONTENT, _CHANGED, _NO_HASH = "proven", "other_content", "changed", "no_hash"
_OTHERWISE, _ALTERED = "listed_otherwise", "altered"
_REASONS = {
    MISSING: "not in WATS when it was compared; transferred again",
    _OTHER_CONTENT: "its report in WATS had other content; transferred again",
    _CHANGED: "its dead letter holds other data than VTE; transferred again",
}
_OPEN = _REASONS | {
    _NO_HASH: "WATS lists it without its hash, so it cannot be compared by hash here",
    _OTHERWISE: "WATS lists its report with another serial, part number, process, start or result",
    _ALTERED: "its report was altered in WATS when a comparison opened it",
}
# A line of what is staged
_DAY: TypeAdapter[tuple[date, DayProof]] = TypeAdapter(tuple[date, DayProof])
_ODD: TypeAdapter[tuple[OddKind, OddRuns]] = TypeAdapter(tuple[OddKind, OddRuns])
_SUSPECT: TypeAdapter[tuple[UUID, str]] = TypeAdapter(tuple[UUID, str])
_AT_ONCE = 2_000
_ALL_ALIKE = 10  # reports listed otherwise, and most of all: it is how this WATS lists them
_MOST_SUSPECTS = 100  # to be opened in one comparison
_LONGEST_TEST = timedelta(hours=1)  # reports of longer tests are asked for by id


@dataclass(frozen=True, slots=True)
class RunsToTransfer:
    """The runs to transfer, oldest first, and the Timestamps of those among them that came late.

    ``causes`` says how many of them have a report of other content, and why.
    """

    runs: list[UUID]
    times_local: list[datetime]
    causes: Mapping[Cause, int]


def compare(
    wats: Wats,
    staging: Staging,
    kinds: Kinds,
    zone: ZoneInfo,
    now_at: datetime,
    *,
    awaited: Collection[UUID] = (),
    excluded_runs: Collection[UUID] = (),
    altered: Collection[UUID] = (),
    equal_as_listed: Collection[str] = (),
) -> dict[str, int]:
    """Stage what a batch has to transfer, and the numbers of its days; return how many runs were compared and differ.

    ``kinds`` are those of the dead letters there are, ``zone`` is that of the Timestamps, ``awaited`` are runs
    that an earlier comparison missed. A run that VTE no longer has is skipped. A report with the right hash that WATS
    lists otherwise is a suspect: it is transferred by nobody, and to be compared value by value, unless
    ``equal_as_listed`` says that it was and is equal. Its day is open, as is that of ``altered`` reports; but the run
    is held if it is ``excluded_runs``.
    """
    expected = staged_expected(staging)
    counts: Counter[str] = Counter()
    days: dict[date, DayProof] = {}
    odd: dict[OddKind, OddRuns] = {}
    lists: dict[str, list[str]] = {name: [] for name in (*_DIFFERING, SHOWN, SUSPECT)}
    for keys in chunked(staged_keys(staging), _AT_ONCE):
        stored = wats.find_reports([key.guid for key in keys], _started(keys, zone))
        lists_hashes = any(report.source_hash for report in stored.values())
        suspects, are_most = _listed_otherwise(stored, expected, equal_as_listed)
        lists[SUSPECT] += (_SUSPECT.dump_json(suspect).decode() for suspect in suspects.items())
        doubtful = dict.fromkeys(() if are_most else suspects, _OTHERWISE) | dict.fromkeys(altered, _ALTERED)
        for key in keys:
            if key.guid not in expected:
                continue
            known = stored.get(key.guid)
            found = _judged(known, expected[key.guid], kinds.get(key.guid), lists_hashes=lists_hashes)
            if found == _PROVEN and key.guid in doubtful:
                found = DeadLetterKind.HELD.value if key.guid in excluded_runs else doubtful[key.guid]
            counts.update(("compared", found))
            part = _part_of_a_day(key, found, now_at)
            if key.odd is not None:
                odd[key.odd] = odd[key.odd].joined(_odd_run(key, part)) if key.odd in odd else _odd_run(key, part)
            elif key.timestamp_local is not None:
                day = key.timestamp_local.date()
                days[day] = days[day].joined(part) if day in days else part
            is_missed = key.guid in kinds or key.guid in awaited
            if (name := _list_for(found, known, expected[key.guid], is_missed=is_missed)) is not None:
                lists[name].append(str(key))
    for name, lines in lists.items():
        staging.write(name, lines)
    staging.write(DAYS, (_DAY.dump_json(day).decode() for day in days.items()))
    staging.write(ODD, (_ODD.dump_json(kind).decode() for kind in odd.items()))
    if counts[_NO_HASH]:
        log.warning("%s %d reports are in WATS, whose listing shows no hash of any of them", VW541, counts[_NO_HASH])
    differing = {str(name): len(lists[name]) for name in _DIFFERING}
    log.info("%d runs compared with WATS: %s", counts["compared"], differing)
    return {"compared": counts["compared"], **differing}


def _judged(stored: StoredReport | None, expected: Expected, kind: DeadLetterKind | None, *, lists_hashes: bool) -> str:
    """Return what is known of one run: proven, missing, of other content, or of which kind its dead letter is.

    Where WATS ``lists_hashes`` of no report at all, none differs for the want of one: it would do so every day.
    """
    if _has_its_hash(stored, expected):
        return _PROVEN
    if kind is not None:
        return _CHANGED if expected.is_changed else kind.value
    if stored is None:
        return MISSING
    return _OTHER_CONTENT if lists_hashes else _NO_HASH


def _has_its_hash(stored: StoredReport | None, expected: Expected | None) -> bool:
    """Return whether a report says that it was made of its run as it is now."""
    return (
        stored is not None
        and expected is not None
        and expected.source_hash is not None
        and stored.source_hash == expected.source_hash
    )


def _listed_otherwise(
    stored: Mapping[UUID, StoredReport], expected: Mapping[UUID, Expected], equal_as_listed: Collection[str]
) -> tuple[Mapping[UUID, str], bool]:
    """Return the runs whose report has the right hash under another header, as after a change in WATS.

    Each comes with a digest of how it is listed; those that were found equal so are left out. Also whether most headers
    are so: then it is how this WATS lists reports, and says nothing of any of them.
    """
    fields = {
        guid: run.header.differing(report.header)
        for guid, report in stored.items()
        if (run := expected.get(guid)) is not None
        and _has_its_hash(report, run)
        and run.header is not None
        and report.header is not None
    }
    otherwise = {guid: _as_listed(stored[guid]) for guid, names in fields.items() if names}
    are_most = len(otherwise) >= _ALL_ALIKE and 2 * len(otherwise) > len(fields)
    suspects = {guid: listed for guid, listed in otherwise.items() if listed not in equal_as_listed}
    if suspects:
        names = dict(Counter(flatten(fields[guid] for guid in suspects)))
        log.warning("%s %d reports are listed otherwise: %s", VW544 if are_most else VW543, len(suspects), names)
    return suspects, are_most


def _as_listed(report: StoredReport) -> str:
    """Return a digest of a report's hash and of how WATS lists it."""
    listed = f"{report.report_id} {report.source_hash} {report.header}"
    return hashlib.sha256(listed.encode(errors="surrogatepass")).hexdigest()[:16]


def _list_for(found: str, stored: StoredReport | None, expected: Expected, *, is_missed: bool) -> str | None:
    """Return in which list a run belongs; ``is_missed``: it is a dead letter, or an earlier comparison missed it."""
    if found in _REASONS:
        return MISSING if stored is None else _cause(stored, expected)
    return SHOWN if found == _PROVEN and is_missed else None


def _cause(stored: StoredReport, expected: Expected) -> Cause:
    """Return why a report has other content than is made of its run now."""
    if stored.source_hash is None or not is_comparable(stored.run_hash, expected.run_hash):
        return Cause.UNKNOWN
    return Cause.MAPPING_CHANGED if stored.run_hash == expected.run_hash else Cause.VTE_CHANGED


def _part_of_a_day(key: Key, found: str, now_at: datetime) -> DayProof:
    """Return what one run adds to its day."""
    return DayProof(
        in_vte=1,
        proven=int(found == _PROVEN),
        dead=int(found == DeadLetterKind.DEAD),
        held=int(found == DeadLetterKind.HELD),
        verified_at=now_at,
        open_runs=(OpenRun(index_guid=str(key.guid), reason=_OPEN[found]),) if found in _OPEN else (),
    )


def note_missing(batches: Sequence[Staging], dropped: UnseenReports) -> None:
    """Note which runs :func:`compare` missed, so that their posts are counted, and forget those that it found again."""
    dropped.forget({key.guid for batch in batches for key in batch.parsed(SHOWN, Key.parse)})
    dropped.wait_for(key.guid for batch in batches for key in batch.parsed(MISSING, Key.parse))


def suspects_of(batches: Iterable[Staging], seed: str) -> dict[UUID, str]:
    """Return the suspects that :func:`compare` staged with how they are listed, of many some chosen by ``seed``."""
    suspects = dict(suspect for batch in batches for suspect in batch.parsed(SUSPECT, _SUSPECT.validate_json))
    return {guid: suspects[guid] for guid in sample_of(suspects, _MOST_SUSPECTS, seed)}


def days_of(batches: Iterable[Staging]) -> dict[date, DayProof]:
    """Return the numbers of each day that :func:`compare` staged."""
    return joined_days(part for batch in batches for part in batch.parsed(DAYS, _DAY.validate_json))


def odd_of(batches: Iterable[Staging], grown: Mapping[date, int]) -> dict[OddKind, OddRuns]:
    """Return the runs outside every window that :func:`compare` staged; ``grown`` says what days held before."""
    odd: dict[OddKind, OddRuns] = {}
    for kind, runs in (part for batch in batches for part in batch.parsed(ODD, _ODD.validate_json)):
        odd[kind] = odd[kind].joined(runs) if kind in odd else runs
    if (before := odd.get(OddKind.BEFORE_START)) is not None:
        odd[OddKind.BEFORE_START] = before.model_copy(update={"known": sum(grown.values())})
    if still_open := {kind: runs.open for kind, runs in odd.items() if runs.open}:
        listed = "; ".join(f"{runs} {kind.words}" for kind, runs in still_open.items())
        log.warning("%s runs that no window holds are neither in WATS nor a dead letter: %s", VW553, listed)
    return odd


def _odd_run(key: Key, part: DayProof) -> OddRuns:
    return OddRuns(numbers=part, examples=(OddRun(index_guid=str(key.guid), timestamp_local=key.timestamp_local),))


def _started(keys: Iterable[Key], zone: ZoneInfo) -> Interval | None:
    """Return when runs started that some window holds, whichever fold their clocks were in; ``None`` without any."""
    times_local = [key.timestamp_local for key in keys if key.odd is None and key.timestamp_local is not None]
    if not times_local:
        return None
    first_local, last_local = min(times_local), max(times_local)
    try:
        from_at = first_local.replace(tzinfo=UTC) - max(utc_offsets(first_local, zone))
        to_at = last_local.replace(tzinfo=UTC) - min(utc_offsets(last_local, zone))
        return Interval(from_at - _LONGEST_TEST, to_at + timedelta(seconds=1))
    except OverflowError:
        return None


def runs_to_transfer(
    batches: Sequence[Staging], kinds: Kinds, odd_timestamps: OddTimestamps, *, confirmed: Collection[UUID] = ()
) -> RunsToTransfer:
    """Return the runs to transfer: those that differ, then held ones from outside the ranges.

    ``kinds`` are those of the dead letters there are. What a held run waits for may be there by now; dead letters whose
    run did not change stay where they are. Of ``confirmed`` runs none came late: WATS does not show them yet. Of time
    that was never synced nothing is transferred where odd runs are to be held: most of it is history.
    """
    stays = OddKind.BEFORE_START if odd_timestamps is OddTimestamps.HOLD else None
    keys = {
        name: [
            key for batch in batches for key in batch.parsed(name, Key.parse) if key.odd is None or key.odd is not stays
        ]
        for name in (*_DIFFERING, SHOWN)
    }
    keys[SHOWN] = [key for key in keys[SHOWN] if key.guid in kinds]  # their upload removes the dead letter
    missing, causes = keys[MISSING], {cause: len(keys[cause]) for cause in Cause if keys.get(cause)}
    runs = [key.guid for key in sorted(flatten(keys.values()), key=lambda key: key.timestamp_local or FIRST)]
    held = {guid for guid, kind in kinds.items() if kind is DeadLetterKind.HELD}
    differing = ", ".join(f"{runs} {cause.words}" for cause, runs in causes.items()) or "none with other content"
    log.info("%d runs are not in WATS, %s, %d are held", len(missing), differing, len(held))
    known = kinds.keys() | set(confirmed)
    late = [key.timestamp_local for key in missing if key.guid not in known and key.timestamp_local is not None]
    return RunsToTransfer([*runs, *sorted(held - set(runs))], late, causes)
