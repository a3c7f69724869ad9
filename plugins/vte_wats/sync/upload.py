"""Upload: every staged report is compared with WATS and posted, replaced or left; each run gets one outcome."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar
from uuid import UUID

from pydantic import TypeAdapter

from vte_wats.config.settings import OddTimestamps, Settings
from vte_wats.domain.errors import FatalError, HeldError, RejectedError, RetriableError
from vte_wats.domain.ports import Wats
from vte_wats.domain.report import (
    SOURCE_HASH,
    KnownBehaviour,
    NaturalKey,
    Refusal,
    Report,
    StoredReport,
    Submission,
    misc_info,
)
from vte_wats.domain.run import EXCLUDED, Outcome, VteTestRun
from vte_wats.intervals.wall_clock import AHEAD, OLDEST_CLOCK
from vte_wats.messages import VW340, VW341, VW344, VW404, VW418, VW504, VW505, VW506, VW540, VW551, VW552, VW622
from vte_wats.storage.dead_letter_index import DeadLetterIndex, DeadLetterSummary
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.in_flight_keys import InFlightKeys
from vte_wats.storage.staging import StagedFileError, Staging
from vte_wats.storage.unseen_reports import NO_TRIES, Tries
from vte_wats.sync.extract import RUNS
from vte_wats.sync.report_content import differences, largest_parts
from vte_wats.sync.staged_reports import stage_mapped, staged_mappings

log = logging.getLogger(__name__)

_T = TypeVar("_T")

OUTCOMES = "outcomes"
FAILURES = "failures"
AGAIN = "again"
REFUSED = "refused"
Tried = Callable[[Report], int]
"""How often WATS confirmed a report with this content and did not show it later."""

ReadAgain = Callable[[Sequence[UUID]], Iterable[Report | Refusal]]
_REFUSAL: TypeAdapter[Refusal] = TypeAdapter(Refusal)
_DONE: TypeAdapter[tuple[UUID, str, Outcome]] = TypeAdapter(tuple[UUID, str, Outcome])
_FAILED: TypeAdapter[tuple[UUID, int]] = TypeAdapter(tuple[UUID, int])
_AT_ONCE = 200  # reports held in memory: enough for five existence checks
_BYTES_AT_ONCE = 8_000_000  # of their documents, and the rest of the last one


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """How this upload was asked for. ``force`` posts unchanged reports again, ``dry_run`` posts and writes nothing.

    ``now_at`` (aware UTC) dates the dead letters.
    """

    now_at: datetime
    force: bool = False
    dry_run: bool = False


@dataclass(slots=True)
class _Progress:
    """The outcomes so far, and what still has to become a dead letter.

    ``done`` says which content of a run WATS holds by now, as its hash, and ``failures`` how often WATS failed for a
    report itself; both over all tries of this task. ``posted`` is what this try posted, and ``suspects`` what WATS
    failed for in it.
    """

    done: dict[UUID, tuple[str, Outcome]] = field(default_factory=dict)
    failures: Counter[UUID] = field(default_factory=Counter)
    outcomes: dict[UUID, Outcome] = field(default_factory=dict)
    refusals: dict[UUID, Refusal] = field(default_factory=dict)
    retriable: dict[UUID, RetriableError] = field(default_factory=dict)
    suspects: dict[UUID, str] = field(default_factory=dict)
    rejections: Counter[str] = field(default_factory=Counter)
    posted: dict[UUID, str] = field(default_factory=dict)

    def refuse(self, refusal: Refusal) -> None:
        self.refusals[refusal.index_guid] = refusal
        self.outcomes[refusal.index_guid] = Outcome(refusal.kind)

    def counts_as_done(self, mapped: Report | Refusal) -> bool:
        """Return whether an earlier try achieved this very content, and count it as it was counted then."""
        if isinstance(mapped, Refusal):
            return False
        source_hash, outcome = self.done.get(mapped.report_id, (None, Outcome.UNCHANGED))
        if source_hash != mapped.source_hash:
            return False
        self.outcomes[mapped.report_id] = outcome
        return True

    def achieve(self, report: Report, outcome: Outcome) -> None:
        self.outcomes[report.report_id] = outcome
        self.done[report.report_id] = report.source_hash, outcome
        self.failures.pop(report.report_id, None)

    @property
    def others_went_through(self) -> bool:
        """Whether WATS took any report of this slice, in this try or an earlier one."""
        return any(outcome is not Outcome.UNCHANGED for _, outcome in self.done.values())


def upload(
    staging: Staging,
    wats: Wats,
    dead_letters: DeadLetters,
    settings: Settings,
    options: UploadOptions,
    *,
    read: int,
    in_flight: InFlightKeys,
    read_again: ReadAgain,
) -> dict[str, int]:
    """Bring every staged run to an outcome and return ``{"read": runs, "redriven": dead letters, outcome: runs, …}``.

    ``read`` is how many runs were extracted; they and the outcomes balance. ``read_again`` reads named runs from the
    source and maps them: those that WATS has with other content. ``redriven`` counts the dead letters that are removed
    because their run reached WATS after all. Reports that WATS confirmed and does not show are posted again; after so
    many times they become dead letters.

    The other reports go on when one fails. Raises RetriableError after all were tried when some may succeed later: the
    next try knows what this one achieved. Raises FatalError at once when a person must act; nothing becomes a dead
    letter then. Dead letters are on disk before this returns.
    """
    progress = _Progress(done=_done_earlier(staging), failures=_failed_earlier(staging))
    outdated = _outdated(staging, dead_letters)
    confirmed, unseen, dropped = in_flight.confirmed(), in_flight.unseen.tries(), in_flight.dropped.tries()
    tried = partial(_tried, (unseen, dropped))
    add_keys = partial(in_flight.add, persist=not options.dry_run)
    limit = settings.rejections_that_stop(read)
    try:
        codes = wats.process_codes()
        # All keys first: of two runs with one key, neither is posted because the other is in a later batch.
        add_keys(_reports(staged_mappings(staging)))
        for mapped in in_batches(staged_mappings(staging)):
            still_open = [run for run in mapped if _guid(run) in outdated or not progress.counts_as_done(run)]
            stored = _stored(wats, confirmed, {_guid(run): run for run in still_open})
            batches = _latest(
                staging, still_open, stored, outdated, partial(_staged_again, staging, read_again, add_keys)
            )
            del mapped, still_open  # or they would stand beside what is read again
            for latest in batches:
                held = [_or_held_back(run, stored, settings, options) for run in latest]
                reports = list(_postable(held, codes, wats.behaviour().max_body_bytes, progress))
                reports = list(_shown_or_worth_a_try(reports, stored, tried, settings.unseen_tries, progress))
                to_post = _compared(
                    reports, stored, tried, wats=wats, options=options, progress=progress, in_flight=in_flight
                )
                if options.dry_run:
                    _try_out(to_post, progress)
                else:
                    for submission in wats.submit(report for report in reports if report.report_id in to_post):
                        _judge(submission, to_post, limit, progress, in_flight)
                        del submission
                del latest, held, reports  # or they would stand beside the next ones
        _give_up_on_failing(progress, settings.failing_report_tries, dead_letters, wats, in_flight)
    finally:
        if not options.dry_run:
            _note_progress(staging, progress)
            again = {guid: dropped[guid].again(posted) for guid, posted in progress.posted.items() if guid in dropped}
            in_flight.dropped.add(in_flight.name, again)
    if progress.retriable:
        raise _gathered(list(progress.retriable.values()))
    if options.dry_run:
        _note_refused(staging, progress)
    redriven = 0 if options.dry_run else _write_dead_letters(staging, dead_letters, progress, options.now_at)
    if not options.dry_run:
        refused, late = progress.refusals.keys(), unseen.keys() & _unchanged(progress, confirmed)
        if late:  # they were not there when WATS was asked, and are now, although nobody posted them again
            log.info("WATS showed %d reports later than was waited for", len(late))
            wats.showed_late()
        in_flight.unseen.forget(late | (unseen.keys() & refused))
        in_flight.dropped.forget(dropped.keys() & refused)
        in_flight.failing.forget(progress.outcomes.keys())
    return _balanced(read, progress.outcomes) | {"redriven": redriven}


def refused_runs(staging: Staging) -> Iterator[Refusal]:
    """Yield the runs that a dry run of :func:`upload` would have made dead letters of."""
    return staging.parsed(REFUSED, _REFUSAL.validate_json)


def in_batches(mapped: Iterable[Report | Refusal]) -> Iterator[tuple[Report | Refusal, ...]]:
    """Yield what was mapped in batches of a bounded number and size, so that memory does not grow with the runs.

    A batch ends with the report that fills it: none is held beside the batch, however large it is. Who gets a batch
    holds it alone.
    """
    batch: list[Report | Refusal] = []
    size_bytes = 0
    for run in mapped:
        batch.append(run)
        size_bytes += _size_bytes(run)
        del run  # or it would stand beside the next one
        if len(batch) == _AT_ONCE or size_bytes >= _BYTES_AT_ONCE:
            yield _emptied(batch)
            size_bytes = 0
    if batch:
        yield _emptied(batch)


def _emptied(batch: list[Report | Refusal]) -> tuple[Report | Refusal, ...]:
    """Return what is in a batch, which holds none of it any more."""
    taken = tuple(batch)
    batch.clear()
    return taken


def _size_bytes(mapped: Report | Refusal) -> int:
    return len(mapped.document) if isinstance(mapped, Report) else len(mapped.reason)


def _guid(mapped: Report | Refusal) -> UUID:
    return mapped.report_id if isinstance(mapped, Report) else mapped.index_guid


def _outdated(staging: Staging, dead_letters: DeadLetters) -> frozenset[UUID]:
    """Return the staged runs whose dead letter holds other data: another task has read them, and maybe later."""
    guids = dead_letters.guids()
    runs = staging.parsed(RUNS, VteTestRun.model_validate_json) if guids else ()
    known = ((run, dead_letters.get(run.index_guid)) for run in runs if run.index_guid in guids)
    return frozenset(run.index_guid for run, known_as in known if known_as is not None and known_as.run != run)


def _stored(
    wats: Wats, confirmed: Mapping[UUID, StoredReport], mapped: Mapping[UUID, Report | Refusal]
) -> dict[UUID, StoredReport]:
    """Return what WATS has of these runs; what it confirmed a moment ago counts although it may not show it yet.

    Reports whose hash WATS does not list are fetched, for it stands in them. Where WATS has never shown misc infos of
    any report, one without them that is equal otherwise counts as if it had its hash: each pass would replace it.
    """
    known = {guid: confirmed[guid] for guid in mapped if guid in confirmed}
    unknown = [guid for guid in mapped if guid not in known]
    found = wats.find_reports(unknown) if unknown else {}
    without_hash = [report for report in found.values() if report.source_hash is None]
    fetched = wats.fetch([report.stored_as for report in without_hash]) if without_hash else {}
    for report in without_hash:
        document, run = fetched.get(report.stored_as, {}), mapped[report.report_id]
        source_hash = misc_info(document, SOURCE_HASH)
        if (
            document
            and not document.get("miscInfos")
            and isinstance(run, Report)
            and not wats.behaviour().lists_misc_infos
        ):
            source_hash = run.source_hash if _is_equal_otherwise(run, document) else None
        found[report.report_id] = replace(report, source_hash=source_hash)
    return known | found


def _is_equal_otherwise(report: Report, document: Mapping[str, Any]) -> bool:
    """Return whether a report in WATS says what would be posted, misc infos and its id there left out."""
    posted = json.loads(report.document)
    return not any(differences({**posted, "id": document.get("id"), "miscInfos": document.get("miscInfos")}, document))


def _or_held_back(
    mapped: Report | Refusal, stored: Mapping[UUID, StoredReport], settings: Settings, options: UploadOptions
) -> Report | Refusal:
    """Return what was mapped, or why a setting keeps it from being posted; what WATS has already stays there."""
    guid = _guid(mapped)
    if guid in stored and not _differs(mapped, stored) and not options.force:
        return mapped
    if (excluded_runs := settings.excluded_runs.get(guid)) is not None:
        why = f"{excluded_runs.by} left the run out (setting excluded_runs): {excluded_runs.reason}"
        return Refusal.of(guid, HeldError(VW552, why, EXCLUDED))
    if isinstance(mapped, Refusal):
        return mapped
    start_at = mapped.natural_key.start_at
    if start_at > options.now_at + AHEAD:
        when, rule = "in the future", "must not be more than a day ahead: WATS quarantines such a report"
    elif start_at < OLDEST_CLOCK.replace(tzinfo=UTC) and settings.odd_timestamps is OddTimestamps.HOLD:
        when, rule = "before 2002", "must not be before 2002 while odd_timestamps is hold"
    else:
        return mapped
    why = f"the start {rule}; given {start_at.isoformat()}. {VW551.advice}"
    return Refusal.of(guid, HeldError(VW551, why, f"the start is {when}"))


def _postable(
    mapped: Sequence[Report | Refusal], codes: frozenset[int], max_body_bytes: int, progress: _Progress
) -> Iterator[Report]:
    """Yield the reports that WATS has a process for and is large enough for; refuse the others."""
    for run in mapped:
        if isinstance(run, Refusal):
            progress.refuse(run)
        elif (code := run.natural_key.process_code) not in codes:
            detail = f"WATS has no test operation with process code {code}; add it in WATS or correct process_map"
            held = HeldError(VW404, detail, f"process code {code} is not in WATS")
            progress.refuse(Refusal.of(run.report_id, held))
        elif (size_bytes := len(run.document)) > max_body_bytes:
            detail = (
                f"the report has {size_bytes:,} bytes, the largest body is {max_body_bytes:,} (max_body_bytes of the "
                f"connection). Its largest parts: {', '.join(largest_parts(run.document))}. {VW341.advice}"
            )
            progress.refuse(Refusal.of(run.report_id, RejectedError(VW341, detail, "the report is too large")))
        else:
            yield run


def _latest(
    staging: Staging,
    mapped: Sequence[Report | Refusal],
    stored: Mapping[UUID, StoredReport],
    outdated: frozenset[UUID],
    read_again: ReadAgain,
) -> Iterator[Sequence[Report | Refusal]]:
    """Yield what was mapped, in batches; a run that WATS or a dead letter has with other content is read again first.

    It may have been staged long ago, and another sync may have read more of a run since. The uploads of one slot
    follow one another, so what is read here is never older than what WATS has.
    """
    doubtful = {
        guid for run in mapped if (guid := _guid(run)) in outdated or (guid in stored and _differs(run, stored))
    }
    if not doubtful:
        yield mapped
        return
    log.info("%d runs are in WATS or a dead letter with other content and are read again", len(doubtful))
    mapped = [run for run in mapped if _guid(run) not in doubtful]  # the others would stand beside what they are by now
    again = read_again(list(doubtful))
    yield mapped
    del mapped
    for batch in in_batches(again):
        doubtful.difference_update(map(_guid, batch))
        yield batch
        del batch
    if doubtful:  # they are not in VTE any more
        yield from in_batches(run for run in staged_mappings(staging) if _guid(run) in doubtful)


def _staged_again(
    staging: Staging, read_again: ReadAgain, add_keys: Callable[[Iterable[Report]], object], guids: Sequence[UUID]
) -> Iterator[Report | Refusal]:
    """Read and map runs again, whatever they hold by now, and add the keys of all before yielding the first."""
    stage_mapped(staging, read_again(guids), AGAIN)
    add_keys(_reports(staged_mappings(staging, AGAIN)))
    return staged_mappings(staging, AGAIN)


def _reports(mapped: Iterable[Report | Refusal]) -> Iterator[Report]:
    return (run for run in mapped if isinstance(run, Report))


def _differs(mapped: Report | Refusal, stored: Mapping[UUID, StoredReport]) -> bool:
    return isinstance(mapped, Refusal) or stored[mapped.report_id].source_hash != mapped.source_hash


def _tried(known: Iterable[Mapping[UUID, Tries]], report: Report) -> int:
    """Return how often WATS confirmed this report and did not show it later."""
    return max(tries.get(report.report_id, NO_TRIES).of(report.source_hash) for tries in known)


def _unchanged(progress: _Progress, confirmed: Mapping[UUID, StoredReport]) -> frozenset[UUID]:
    """Return the runs whose report WATS shows as it is; one that was just posted may not be shown again."""
    unchanged = (guid for guid, outcome in progress.outcomes.items() if outcome is Outcome.UNCHANGED)
    return frozenset(guid for guid in unchanged if guid not in confirmed)


def _shown_or_worth_a_try(
    reports: Sequence[Report],
    stored: Mapping[UUID, StoredReport],
    tried: Tried,
    most: int,
    progress: _Progress,
) -> Iterator[Report]:
    """Yield the reports but those that WATS confirmed so many times and does not show as they are; refuse these."""
    for report in reports:
        count = tried(report)
        if count < most or (report.report_id in stored and not _differs(report, stored)):
            yield report
            continue
        detail = (
            f"WATS confirmed this report {count} times and does not show it, or showed it for a time only (setting "
            f"unseen_tries): it may be in quarantine there. {VW540.advice}"
        )
        progress.refuse(Refusal.of(report.report_id, RejectedError(VW540, detail, "WATS does not show the report")))
        log.warning("%s Run %s: %s", VW540, report.report_id, detail)


def _compared(
    reports: Sequence[Report],
    stored: Mapping[UUID, StoredReport],
    tried: Tried,
    *,
    wats: Wats,
    options: UploadOptions,
    progress: _Progress,
    in_flight: InFlightKeys,
) -> dict[UUID, Outcome]:
    """Compare reports with what WATS has; return which are to be posted, with the outcome a success will be."""
    to_post: dict[UUID, Outcome] = {}
    for report in reports:
        found = stored.get(report.report_id)
        if found is not None and not _differs(report, stored) and not options.force:
            log.info("Run %s already uploaded, skipping", report.report_id)
            progress.achieve(report, Outcome.UNCHANGED)
        else:
            is_new = found is None and not tried(report)
            to_post[report.report_id] = Outcome.UPLOADED if is_new else Outcome.REPLACED
    open_reports = [report for report in reports if report.report_id in to_post]
    for refusal in _collisions(open_reports, stored, wats, in_flight, options):
        progress.refuse(refusal)
        del to_post[refusal.index_guid]
    return to_post


def _try_out(to_post: Mapping[UUID, Outcome], progress: _Progress) -> None:
    """Count reports as if they were posted, and log each."""
    progress.outcomes |= to_post
    for guid, outcome in to_post.items():
        log.info("Run %s would be %s", guid, outcome)


def _note_refused(staging: Staging, progress: _Progress) -> None:
    """Keep for :func:`refused_runs` what would become a dead letter, and log each."""
    staging.write(REFUSED, (_REFUSAL.dump_json(refusal).decode() for refusal in progress.refusals.values()))
    for guid, refusal in progress.refusals.items():
        log.info("Run %s would be %s: %s", guid, refusal.kind, refusal.reason)


def _judge(
    submission: Submission,
    successes: Mapping[UUID, Outcome],
    rejection_limit: int,
    progress: _Progress,
    in_flight: InFlightKeys,
) -> None:
    report, error = submission.report, submission.error
    guid = report.report_id
    if error is None:
        progress.achieve(report, successes[guid])
        progress.posted[guid] = report.source_hash
        in_flight.confirm(StoredReport(guid, submission.stored_as or guid, report.source_hash))
        log.info("Run %s %s", guid, successes[guid])
    elif isinstance(error, RetriableError):
        progress.retriable[guid] = error
        if submission.failed_itself:
            progress.suspects[guid] = report.source_hash
    else:
        _reject(guid, error, rejection_limit, progress)


def _give_up_on_failing(
    progress: _Progress, most: int, dead_letters: DeadLetters, wats: Wats, in_flight: InFlightKeys
) -> None:
    """Refuse the reports for which WATS failed in so many tries of this task, if it took others meanwhile.

    One that is a dead letter already stays one. Where nothing else shows that it is about the report, it is refused
    after as many DAG runs, between which WATS took others. A try in which WATS was down, or down for all, counts
    against none.
    """
    if not progress.suspects or progress.retriable.keys() - progress.suspects.keys():
        return
    taken_at_s = wats.last_taken_at_s()
    if taken_at_s is None:
        return
    given_up_before, failing = dead_letters.guids(), in_flight.failing.tries()
    progress.failures.update(progress.suspects.keys())
    in_dag_runs = {  # each counts once
        guid: known.again(source_hash, taken_at_s) if progress.failures[guid] == 1 and is_later else known
        for guid, source_hash in progress.suspects.items()
        for known in [failing.get(guid, NO_TRIES)]
        for is_later in [not known.of(source_hash) or taken_at_s > known.taken_at_s]
    }
    in_flight.failing.add(in_flight.name, in_dag_runs)
    for guid, source_hash in sorted(progress.suspects.items()):
        is_about_it = progress.others_went_through or guid in given_up_before
        tries = max(progress.failures[guid] if is_about_it else 0, in_dag_runs[guid].of(source_hash))
        if tries < most:
            continue
        error = progress.retriable.pop(guid)
        detail = (
            f"WATS failed for this report in {tries} tries of the upload while it answered everything else (setting "
            f"failing_report_tries); last: {error}. {VW344.advice}"
        )
        progress.refuse(Refusal.of(guid, RejectedError(VW344, detail, f"WATS fails for the report: {error.code}")))
        log.warning("%s Run %s is given up: %s", VW344, guid, detail)


def _reject(guid: UUID, error: RejectedError, limit: int, progress: _Progress) -> None:
    """Count a rejection by WATS; too many equal ones have another cause than the runs, and stop everything."""
    progress.refuse(Refusal.of(guid, error))
    progress.rejections[error.signature] += 1
    log.warning("%s Run %s rejected by WATS: %s", error.message, guid, error.detail)
    if progress.rejections[error.signature] >= limit:
        raise FatalError(
            VW505,
            f"WATS rejected {limit} runs of one slice for the same reason, so the runs "
            f"are not the cause: {error}. No dead letter was written; correct the cause and clear the task "
            "(setting rejection_limit)",
        )


def _collisions(
    reports: Sequence[Report],
    stored: Mapping[UUID, StoredReport],
    wats: Wats,
    in_flight: InFlightKeys,
    options: UploadOptions,
) -> Iterator[Refusal]:
    """Yield the reports that WATS would take for another run's: equal serial, part, process and start.

    The keys are added before WATS is asked, so what another upload posts is seen in one of the two places. Starts are
    equal when they are so in the fraction of the second, too; where only that differs, both runs are kept, unless this
    WATS is known to keep the last one alone.
    """
    if not reports:
        return
    guids_of = in_flight.add(reports, persist=not options.dry_run)
    own_ids = frozenset(report.report_id for report in reports)
    at_second: dict[object, set[UUID]] = {}
    for identity, guids in guids_of.items():
        at_second.setdefault(NaturalKey.second_of(identity), set()).update(guids)
    keys = list(dict.fromkeys(report.natural_key for report in reports))
    for key, hits in wats.find_natural_keys(keys, own_ids).items():
        guids_of[key.identity] |= {hit.guid for hit in hits if hit.is_exact}
        at_second[key.second] |= {hit.guid for hit in hits}
    for report in reports:
        known = stored.get(report.report_id)
        own = {report.report_id} if known is None else {report.report_id, known.stored_as}
        key = report.natural_key
        refusal = _collision(report, guids_of[key.identity] - own, at_second[key.second] - own, wats.behaviour())
        if refusal is not None:
            yield refusal


def _collision(report: Report, equal: set[UUID], near: set[UUID], behaviour: KnownBehaviour) -> Refusal | None:
    key = report.natural_key
    unit = f"the same serial {key.serial!r}, part number {key.part_number!r}, process code {key.process_code}"
    if equal or (near and behaviour.merges_within_second):
        start = f"start {key.start_at.isoformat()}" if equal else f"second of the start {key.start_at.isoformat()}"
        return Refusal.of(
            report.report_id,
            RejectedError(
                VW418,
                f"run {min(equal or near)} has {unit} and {start}; WATS would overwrite one with the other. Correct "
                "one of them in VTE",
                "another run has the same serial, part number, process and start",
            ),
        )
    if near and behaviour.merges_within_second is None:
        log.warning(
            "%s Run %s starts in the same second as run %s and has %s. That keeps neither back; whether WATS keeps "
            "both is not known until an acceptance run has tried it",
            VW340, report.report_id, min(near), unit,
        )  # fmt: skip
    return None


def _write_dead_letters(staging: Staging, dead_letters: DeadLetters, progress: _Progress, now_at: datetime) -> int:
    """Write refused runs as dead letters; remove and count those of runs that reached WATS after all."""
    written = []
    if progress.refusals:
        for run in staging.parsed(RUNS, VteTestRun.model_validate_json):
            refusal = progress.refusals.get(run.index_guid)
            if refusal is not None:
                put = dead_letters.put(run, refusal.kind, refusal.reason, refusal.signature, now_at)
                written.append(DeadLetterSummary.of(put))
    DeadLetterIndex(dead_letters.storage).add(written)
    redriven = dead_letters.guids() & progress.outcomes.keys() - progress.refusals.keys()
    for guid in redriven:
        dead_letters.remove(guid)
        log.info("Run %s reached WATS; its dead letter is removed", guid)
    return len(redriven)


def _balanced(read: int, outcomes: Mapping[UUID, Outcome]) -> dict[str, int]:
    """Count, and compare with what was read: a run without an outcome is a run lost."""
    counts = Counter(outcomes.values())
    if read != counts.total():
        raise FatalError(VW504, f"{read} runs were read, but {counts.total()} have an outcome: {dict(counts)}")
    return {"read": read} | {outcome.value: counts[outcome] for outcome in Outcome}


def _note_progress(staging: Staging, progress: _Progress) -> None:
    """Keep what this try achieved and what failed for the next one; refusals are judged again."""
    staging.write(OUTCOMES, (_DONE.dump_json((guid, *last)).decode() for guid, last in progress.done.items()))
    staging.write(FAILURES, (_FAILED.dump_json(failed).decode() for failed in progress.failures.items()))


def _done_earlier(staging: Staging) -> dict[UUID, tuple[str, Outcome]]:
    """Return what an earlier try of this task achieved, so that it is neither done nor counted again.

    The slice may have been planned and read again since then; by its hash, a run that changed does not count as done.
    """
    return {guid: (source_hash, outcome) for guid, source_hash, outcome in _noted(staging, OUTCOMES, _DONE)}


def _failed_earlier(staging: Staging) -> Counter[UUID]:
    """Return in how many tries of this task WATS failed for a report itself."""
    return Counter(dict(_noted(staging, FAILURES, _FAILED)))


def _noted(staging: Staging, name: str, line: TypeAdapter[_T]) -> list[_T]:
    """Return what an earlier try noted about runs.

    A damaged file counts as none, for WATS is asked about every run that it does not name.
    """
    if not staging.holds(name):
        return []
    try:
        return list(staging.parsed(name, line.validate_json))
    except StagedFileError as exc:
        log.warning("%s what an earlier try noted cannot be read, so WATS is asked again: %s", VW622, exc)
        return []


def first_achieved(staging: Staging) -> UUID | None:
    """Return the first run of a slice that WATS holds by now, for a link to its report."""
    return next(iter(_done_earlier(staging)), None)


def _gathered(errors: Sequence[RetriableError]) -> RetriableError:
    """Return one error for many, with the longest wait that any of them asked for."""
    waits = [error.retry_after_s for error in errors if error.retry_after_s is not None]
    return RetriableError(
        VW506, f"{len(errors)} reports could not be uploaded now; first: {errors[0]}", max(waits, default=None)
    )
