"""Which runs of VTE are not in WATS as they are now, nor a dead letter, however late they came or oddly they are dated.

The keys of millions of runs are staged in batches. Of each batch one task reads what WATS should hold, and another asks
WATS, for some seconds only, so that the sync goes first.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from more_itertools import chunked

from vte_wats.domain.outcome import DeadLetterKind
from vte_wats.domain.ports import Wats
from vte_wats.domain.report import StoredReport
from vte_wats.intervals.dst import utc_offsets
from vte_wats.intervals.interval import Interval
from vte_wats.reconcile.expected import Expected, staged_expected
from vte_wats.reconcile.keys import KEYS
from vte_wats.state.proof import DayProof, OpenRun, joined_days
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import Staging

log = logging.getLogger(__name__)

Kinds = Mapping[UUID, DeadLetterKind]

TO_TRANSFER, DAYS = "to_transfer", "days"
MISSING, OUTDATED = "missing", "outdated"
_PROVEN, _CHANGED = "proven", "changed"
_DEAD, _HELD = DeadLetterKind.DEAD.value, DeadLetterKind.HELD.value
_REASONS = {
    MISSING: "not in WATS when it was compared; transferred again",
    OUTDATED: "its report in WATS had other content; transferred again",
    _CHANGED: "its dead letter holds other data than VTE; transferred again",
}
_AT_ONCE = 2_000
_LONGEST_TEST = timedelta(hours=1)  # reports of longer tests are asked for by id


@dataclass(frozen=True, slots=True)
class MissingRuns:
    """The runs to transfer, oldest first, and the Timestamps of those among them that came late.

    ``outdated`` is how many of them have a report of other content.
    """

    runs: list[UUID]
    times_local: list[datetime]
    outdated: int = 0


def compare(wats: Wats, staging: Staging, kinds: Kinds, zone: ZoneInfo, now_at: datetime) -> dict[str, int]:
    """Stage what a batch has to transfer, and the numbers of its days; return how many runs were compared and differ.

    ``kinds`` are those of the dead letters there are, ``zone`` is that of the Timestamps. A run that VTE no longer has
    is left out.
    """
    expected = staged_expected(staging)
    counts: Counter[str] = Counter(compared=0, missing=0, outdated=0)
    days: dict[date, DayProof] = {}

    def lines_to_transfer() -> Iterator[str]:
        for lines in chunked(staging.read(KEYS), _AT_ONCE):
            runs = [(UUID(guid), datetime.fromisoformat(local)) for guid, _, local in map(_parts, lines)]
            times_local = [local for _, local in runs]
            stored = wats.find_reports([guid for guid, _ in runs], _started(min(times_local), max(times_local), zone))
            for guid, local in runs:
                if guid not in expected:
                    continue
                found = _judged(stored.get(guid), expected[guid], kinds.get(guid))
                counts.update({"compared": 1, found: 1})
                part = _day_of(guid, found, now_at)
                days[local.date()] = days[local.date()].joined(part) if local.date() in days else part
                if found in {MISSING, OUTDATED, _CHANGED}:
                    yield f"{guid} {local.isoformat()} {OUTDATED if guid in stored else MISSING}"

    staging.write(TO_TRANSFER, lines_to_transfer())
    staging.write(DAYS, (f"{day.isoformat()} {proof.model_dump_json()}" for day, proof in days.items()))
    log.info("%(compared)d runs compared with WATS: %(missing)d are not there, %(outdated)d have other content", counts)
    return {name: counts[name] for name in ("compared", MISSING, OUTDATED)}


def _judged(stored: StoredReport | None, expected: Expected, kind: DeadLetterKind | None) -> str:
    """Return what is known of one run: proven, missing, outdated, or of which kind its dead letter is."""
    if stored is not None and expected.source_hash is not None and stored.source_hash == expected.source_hash:
        return _PROVEN
    if kind is not None:
        return _CHANGED if expected.is_changed else kind.value
    return MISSING if stored is None else OUTDATED


def _day_of(guid: UUID, found: str, now_at: datetime) -> DayProof:
    """Return what one run adds to its day."""
    return DayProof(
        in_vte=1,
        proven=found == _PROVEN,
        dead=found == _DEAD,
        held=found == _HELD,
        verified_at=now_at,
        open_runs=(OpenRun(index_guid=str(guid), reason=_REASONS[found]),) if found in _REASONS else (),
    )


def days_of(batches: Iterable[Staging]) -> dict[date, DayProof]:
    """Return the numbers of each day that :func:`compare` staged."""
    lines = (line.partition(" ") for batch in batches for line in batch.read(DAYS))
    return joined_days((date.fromisoformat(day), DayProof.model_validate_json(proof)) for day, _, proof in lines)


def _started(first_local: datetime, last_local: datetime, zone: ZoneInfo) -> Interval | None:
    """Return when runs with Timestamps from the first to the last started, whichever fold their clocks were in.

    It is ``None`` at the ends of the calendar, where runs with odd clocks are.
    """
    try:
        from_at = first_local.replace(tzinfo=UTC) - max(utc_offsets(first_local, zone))
        to_at = last_local.replace(tzinfo=UTC) - min(utc_offsets(last_local, zone))
        return Interval(from_at - _LONGEST_TEST, to_at + timedelta(seconds=1))
    except OverflowError:
        return None


def runs_to_transfer(batches: Iterable[Staging], dead_letters: DeadLetters) -> MissingRuns:
    """Return the runs to transfer: those that differ, then held ones from outside the ranges.

    What a held run waits for may be there by now; dead letters whose run did not change stay where they are.
    """
    kinds = {header.index_guid: header.kind for header in dead_letters.headers()}
    lines = [_parts(line) for batch in batches for line in batch.read(TO_TRANSFER)]
    runs = [UUID(guid) for guid, _, _ in lines]
    held = {guid for guid, kind in kinds.items() if kind is DeadLetterKind.HELD}
    late = [datetime.fromisoformat(local) for guid, what, local in lines if what == MISSING and UUID(guid) not in kinds]
    outdated = sum(what == OUTDATED for _, what, _ in lines)
    log.info("%d runs to transfer, %d of them have an older report in WATS", len(runs), outdated)
    return MissingRuns([*runs, *sorted(held - set(runs))], late, outdated)


def _parts(line: str) -> tuple[str, str, str]:
    """Return a run, what is known of it, and its Timestamp."""
    guid, local, *what = line.split(" ")
    return guid, what[0] if what else "", local
