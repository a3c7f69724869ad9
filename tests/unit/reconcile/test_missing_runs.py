"""Which runs the daily comparison transfers: what WATS does not have as VTE has it, except dead letters."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from upath import UPath

from tests.unit.builders import NOON_LOCAL, a_report, a_run, a_settings, guid_of
from tests.unit.fakes import FakeSource, FakeWats
from vte_wats.config.settings import OddTimestamps
from vte_wats.domain.report import Report
from vte_wats.domain.run import DeadLetterKind, Defect, VteTestRun
from vte_wats.intervals.wall_clock import FIRST, LocalRange, everything_until
from vte_wats.mapping.report_builder import map_run
from vte_wats.reconcile.compare import stage_expected
from vte_wats.reconcile.keys import OutsideWindows, stage_keys
from vte_wats.reconcile.missing_runs import (
    RunsToTransfer,
    compare,
    days_of,
    note_missing,
    odd_of,
    runs_to_transfer,
    suspects_of,
)
from vte_wats.state.proof import Cause, DayProof, OddKind, OddRun, Proof
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import Staging, staging_of
from vte_wats.storage.unseen_reports import DROPPED, Tries, UnseenReports

NOW_AT = datetime(2026, 6, 16, tzinfo=UTC)
ALL = [LocalRange(NOON_LOCAL - timedelta(days=1), NOON_LOCAL + timedelta(days=1))]


OUTSIDE = OutsideWindows(NOON_LOCAL + timedelta(days=2))


@pytest.fixture
def dead_letters(tmp_path) -> DeadLetters:
    return DeadLetters(UPath(tmp_path))


def mapped(run: VteTestRun) -> Report:
    report = map_run(run, a_settings(), None)
    assert isinstance(report, Report)
    return report


def compared(
    source,
    wats,
    dead_letters,
    tmp_path,
    ranges=ALL,
    batch=2_000,
    outside=OUTSIDE,
    settings=None,
    dropped=None,
    excluded_runs=(),
    **known,
) -> list[Staging]:
    """Do what the tasks of the daily comparison do, one after another."""

    def staging(name):
        return staging_of(UPath(tmp_path), "reconcile", "run", name)

    batches = [staging(name) for name in stage_keys(source, staging, ranges, outside, batch)]
    kinds = {header.index_guid: header.kind for header in dead_letters.headers()}
    awaited = dropped.tries() if dropped else ()
    for staged in batches:
        stage_expected(source, staged, dead_letters, a_settings(**settings or {}))
        compare(
            wats, staged, kinds, ZoneInfo("Europe/Oslo"), NOW_AT, awaited=awaited, excluded_runs=excluded_runs, **known
        )
    return batches


def find_missing(source, wats, dead_letters, ranges, tmp_path, batch=2_000, confirmed=()) -> RunsToTransfer:
    batches = compared(source, wats, dead_letters, tmp_path, ranges, batch)
    return runs_to_transfer(batches, kinds_of(dead_letters), OddTimestamps.TRANSFER, confirmed=confirmed)


def kinds_of(dead_letters):
    return {header.index_guid: header.kind for header in dead_letters.headers()}


def test_a_run_that_wats_does_not_have_is_transferred_and_one_it_has_is_not(dead_letters, tmp_path):
    missing = find_missing(
        FakeSource(a_run(1), a_run(2), a_run(3)), FakeWats(mapped(a_run(2))), dead_letters, ALL, tmp_path
    )
    assert missing.runs == [guid_of(1), guid_of(3)]


def test_dead_letters_stay_and_held_runs_are_tried_again(dead_letters, tmp_path):
    dead_letters.put(a_run(1), DeadLetterKind.DEAD, "serial is blank", "serial is blank", NOW_AT)
    dead_letters.put(a_run(2), DeadLetterKind.HELD, "process 7 is not in WATS", "process 7 is not in WATS", NOW_AT)
    assert find_missing(FakeSource(a_run(1), a_run(2)), FakeWats(), dead_letters, ALL, tmp_path).runs == [guid_of(2)]
    assert dead_letters.guids() == {guid_of(1), guid_of(2)}


def test_a_held_run_older_than_the_comparison_is_tried_again_too(dead_letters, tmp_path):
    dead_letters.put(a_run(7, timestamp_local=datetime(1999, 1, 1)), DeadLetterKind.HELD, "no map", "no map", NOW_AT)
    assert find_missing(FakeSource(a_run(1)), FakeWats(), dead_letters, ALL, tmp_path).runs == [guid_of(1), guid_of(7)]


def test_the_times_of_missing_runs_are_known_but_not_those_of_held_ones(dead_letters, tmp_path):
    dead_letters.put(a_run(2), DeadLetterKind.HELD, "process 7 is not in WATS", "process 7 is not in WATS", NOW_AT)
    missing = find_missing(
        FakeSource(a_run(1), a_run(2), a_run(3)), FakeWats(mapped(a_run(3))), dead_letters, ALL, tmp_path
    )
    assert missing.runs == [guid_of(1), guid_of(2)]
    assert missing.times_local == [a_run(1).timestamp_local]


def test_a_run_that_wats_confirmed_and_does_not_show_yet_did_not_come_late(dead_letters, tmp_path):
    source = FakeSource(a_run(1), a_run(2))
    missing = find_missing(source, FakeWats(), dead_letters, ALL, tmp_path, confirmed={guid_of(2)})
    assert missing.runs == [guid_of(1), guid_of(2)]  # its upload knows that it was posted
    assert missing.times_local == [a_run(1).timestamp_local]


def test_one_statement_reads_the_keys_however_many_there_are(dead_letters, tmp_path):
    source = FakeSource(*(a_run(number) for number in range(1, 2502)))
    wats = FakeWats()
    assert len(find_missing(source, wats, dead_letters, ALL, tmp_path).runs) == 2501
    assert source.statements.count("select_run_keys") == 1
    assert source.statements.count("select_runs") == 2 + 1  # for two thousand runs and for the rest
    assert wats.asked == [2000, 501]


def test_everything_reaches_from_the_first_day_a_column_can_hold_to_now_and_not_into_the_near_future(
    dead_letters, tmp_path
):
    ancient = a_run(1, timestamp_local=datetime(1970, 1, 1))
    future = a_run(2, timestamp_local=datetime(2026, 6, 16, 2, 0, 1))
    ranges = everything_until(NOW_AT, ZoneInfo("Europe/Oslo"))
    assert find_missing(FakeSource(ancient, future), FakeWats(), dead_letters, ranges, tmp_path).runs == [guid_of(1)]
    assert ranges[0].from_local == FIRST


def test_a_run_that_changed_after_its_upload_is_transferred_again_and_is_not_late(dead_letters, tmp_path):
    wats = FakeWats(mapped(a_run(1)), mapped(a_run(2, result_code=0)), a_report(3))
    found = find_missing(FakeSource(a_run(1), a_run(2), a_run(3)), wats, dead_letters, ALL, tmp_path)
    assert found == RunsToTransfer([guid_of(2), guid_of(3)], [], {Cause.VTE_CHANGED: 1, Cause.UNKNOWN: 1})


def with_info(report: Report, description: str, text: str) -> Report:
    """The report with another misc info of this description."""
    document = json.loads(report.body)
    document["miscInfos"] = [info for info in document["miscInfos"] if info["description"] != description]
    document["miscInfos"] += [{"description": description, "text": text}] if text else []
    return replace(report, document=json.dumps(document).encode())


@pytest.mark.parametrize(
    ("stored", "now", "settings", "cause"),
    [
        pytest.param(a_run(1, operator="Kari"), a_run(1, operator="Ola"), {}, Cause.MAPPING_CHANGED, id="operator"),
        pytest.param(a_run(1, exit_code=1), a_run(1), {}, Cause.VTE_CHANGED, id="run"),
        pytest.param(a_run(1), a_run(1, serial=""), {}, Cause.VTE_CHANGED, id="no report now"),
        pytest.param(a_run(1), a_run(1), {"purpose": "Pilot"}, Cause.MAPPING_CHANGED, id="setting"),
        pytest.param(a_run(1), a_run(1), {"process_map": {"Other": 100}}, Cause.MAPPING_CHANGED, id="held now"),
        pytest.param(a_run(1, exit_code=1), a_run(1), {"purpose": "Pilot"}, Cause.VTE_CHANGED, id="both"),
        pytest.param(
            a_run(1),
            a_run(1, defect=Defect(reason="VW232 too large", signature="too large")),
            {},
            Cause.UNKNOWN,
            id="not read",
        ),
    ],
)
def test_what_differs_is_counted_by_its_cause(stored, now, settings, cause, dead_letters, tmp_path):
    staged = compared(FakeSource(now), FakeWats(mapped(stored)), dead_letters, tmp_path, settings=settings)
    assert runs_to_transfer(staged, {}, OddTimestamps.TRANSFER).causes == {cause: 1}


@pytest.mark.parametrize("known", ["", "0:0123456789abcdef"], ids=["none", "of another format"])
def test_a_report_of_before_differs_by_an_unknown_cause_and_is_not_posted_for_the_want_of_a_hash(
    known, dead_letters, tmp_path
):
    wats = FakeWats(
        with_info(mapped(a_run(1)), "run_hash", known), with_info(mapped(a_run(2, exit_code=1)), "run_hash", known)
    )
    found = find_missing(FakeSource(a_run(1), a_run(2)), wats, dead_letters, ALL, tmp_path)
    assert (found.runs, found.causes) == ([guid_of(2)], {Cause.UNKNOWN: 1})


def test_a_dead_letter_is_tried_again_once_its_run_changed(dead_letters, tmp_path):
    for number in (1, 2):
        dead_letters.put(a_run(number, serial=""), DeadLetterKind.DEAD, "serial is blank", "serial is blank", NOW_AT)
    source = FakeSource(a_run(1, serial=""), a_run(2, serial="SN-2"))
    assert find_missing(source, FakeWats(), dead_letters, ALL, tmp_path).runs == [guid_of(2)]


def test_the_dead_letter_of_a_run_that_wats_shows_after_all_is_removed_by_its_upload(dead_letters, tmp_path):
    for number in (1, 2):
        dead_letters.put(a_run(number), DeadLetterKind.DEAD, "WATS does not show it", "not shown", NOW_AT)
    found = find_missing(FakeSource(a_run(1), a_run(2)), FakeWats(mapped(a_run(1))), dead_letters, ALL, tmp_path)
    assert found.runs == [guid_of(1)]
    assert found.causes == {}


def test_what_a_comparison_missed_is_awaited_until_wats_shows_it_as_it_is(dead_letters, tmp_path):
    source, dropped = FakeSource(a_run(1), a_run(2), a_run(3)), UnseenReports(UPath(tmp_path), DROPPED)

    def look(*reports: Report) -> dict[UUID, Tries]:
        note_missing(compared(source, FakeWats(*reports), dead_letters, tmp_path, dropped=dropped), dropped)
        return dropped.tries()

    third = mapped(a_run(3))
    assert look(third) == {guid_of(1): Tries(0), guid_of(2): Tries(0)}
    dropped.add("upload.json", {guid_of(n): Tries(1, mapped(a_run(n)).source_hash) for n in (1, 2)})
    other_content = mapped(a_run(2, exit_code=9))
    assert look(third, mapped(a_run(1)), other_content) == {guid_of(2): Tries(1, mapped(a_run(2)).source_hash)}
    assert look(third, mapped(a_run(2))) == {guid_of(1): Tries(0)}


def without_hash(run: VteTestRun) -> Report:
    return replace(mapped(run), source_hash=None)  # type: ignore[arg-type]


def test_a_wats_that_lists_no_hash_makes_no_run_differ_and_proves_none(dead_letters, tmp_path, caplog):
    source = FakeSource(a_run(1), a_run(2), a_run(3))
    wats = FakeWats(without_hash(a_run(1)), without_hash(a_run(2)))
    staged = compared(source, wats, dead_letters, tmp_path)
    assert runs_to_transfer(staged, {}, OddTimestamps.TRANSFER).runs == [guid_of(3)]
    (day,) = days_of(staged).values()
    assert (day.in_vte, day.proven, day.open) == (3, 0, 3)
    reasons = {run.index_guid: run.reason for run in day.open_runs}
    assert "cannot be compared by hash here" in reasons[str(guid_of(1))]
    assert "not in WATS" in reasons[str(guid_of(3))]
    assert "VW541 2 reports" in caplog.text


def test_a_report_without_a_hash_is_replaced_where_wats_lists_those_of_others(dead_letters, tmp_path):
    wats = FakeWats(without_hash(a_run(1)), mapped(a_run(2)))
    found = find_missing(FakeSource(a_run(1), a_run(2)), wats, dead_letters, ALL, tmp_path)
    assert (found.runs, found.causes) == ([guid_of(1)], {Cause.UNKNOWN: 1})


def listed_as(run: VteTestRun, result: str = "P", **key: Any) -> Report:
    """The report of a run as WATS lists it after somebody changed it there: with the hashes it was posted with."""
    report = mapped(run)
    return replace(report, result=result, natural_key=replace(report.natural_key, **key))


ALTERED = {
    "result": {"result": "F"},
    "serial": {"serial": "another"},
    "part_number": {"part_number": "another"},
    "process_code": {"process_code": 7},
    "start": {"start_at": datetime(2026, 6, 15, 9, tzinfo=UTC)},
}


@pytest.mark.parametrize(("field", "change"), ALTERED.items(), ids=ALTERED)
def test_a_header_that_was_changed_in_wats_makes_its_run_a_suspect_and_its_day_open(
    field, change, dead_letters, tmp_path, caplog
):
    wats = FakeWats(listed_as(a_run(1), **change), mapped(a_run(2)))
    staged = compared(FakeSource(a_run(1), a_run(2)), wats, dead_letters, tmp_path)
    assert list(suspects_of(staged, "today")) == [guid_of(1)]
    assert runs_to_transfer(staged, {}, OddTimestamps.TRANSFER).runs == []  # its hash is right: no upload repairs it
    (day,) = days_of(staged).values()
    assert (day.proven, day.open) == (1, 1)
    assert "WATS lists its report with another" in day.open_runs[0].reason
    assert f"VW543 1 reports are listed otherwise: {{'{field}': 1}}" in caplog.text


def test_a_header_that_was_changed_in_wats_makes_a_run_that_is_left_out_a_held_one(dead_letters, tmp_path):
    wats = FakeWats(listed_as(a_run(1), "F"), mapped(a_run(2)))
    staged = compared(
        FakeSource(a_run(1), a_run(2)), wats, dead_letters, tmp_path, excluded_runs={guid_of(1), guid_of(2)}
    )
    (day,) = days_of(staged).values()
    assert (day.proven, day.held, day.open) == (1, 1, 0)


def test_a_report_of_other_content_is_transferred_and_no_suspect_whatever_its_header_says(dead_letters, tmp_path):
    wats = FakeWats(mapped(a_run(1, result_code=0)), replace(without_hash(a_run(2)), result="F"), mapped(a_run(3)))
    staged = compared(FakeSource(*map(a_run, (1, 2, 3))), wats, dead_letters, tmp_path)
    assert suspects_of(staged, "today") == {}
    assert runs_to_transfer(staged, {}, OddTimestamps.TRANSFER).runs == [guid_of(1), guid_of(2)]


@pytest.mark.parametrize(("otherwise", "proven", "code"), [(10, 19, "VW544"), (9, 8, "VW543")])
def test_where_most_headers_differ_it_is_how_wats_lists_them_and_holds_no_day_open(
    otherwise, proven, code, dead_letters, tmp_path, caplog
):
    runs = [a_run(number) for number in range(1, 20 if otherwise == 10 else 18)]
    wats = FakeWats(*(listed_as(run, "F") for run in runs[:otherwise]), *map(mapped, runs[otherwise:]))
    staged = compared(FakeSource(*runs), wats, dead_letters, tmp_path)
    (day,) = days_of(staged).values()
    assert day.proven == proven
    assert len(suspects_of(staged, "today")) == otherwise
    assert code in caplog.text


def test_of_many_suspects_a_hundred_are_chosen_each_day_others(dead_letters, tmp_path):
    runs = [a_run(number) for number in range(1, 121)]
    wats = FakeWats(*(listed_as(run, "F") for run in runs))
    staged = compared(FakeSource(*runs), wats, dead_letters, tmp_path)
    today, tomorrow = suspects_of(staged, "today"), suspects_of(staged, "tomorrow")
    assert len(today) == len(tomorrow) == 100
    assert set(today) != set(tomorrow)


def test_a_day_is_proven_after_as_many_comparisons_as_it_takes_to_open_each_suspect(dead_letters, tmp_path):
    runs = [a_run(number) for number in range(1, 521)]
    wats = FakeWats(*(listed_as(run, "F") for run in runs[:250]), *map(mapped, runs[250:]))
    proof, proven = Proof(), []
    for night in range(4):
        as_listed = proof.equal_as_listed
        staged = compared(FakeSource(*runs), wats, dead_letters, tmp_path, equal_as_listed=as_listed)
        suspects = suspects_of(staged, f"night {night}")
        (day,) = days_of(staged).values()
        proven.append(day.proven)
        proof = proof.found_equal(suspects, suspects.values())  # each was opened and is equal
    assert proven == [270, 370, 470, 520]
    changed = FakeWats(*(wats.reports | {guid_of(1): listed_as(runs[0], "E")}).values())
    staged = compared(FakeSource(*runs), changed, dead_letters, tmp_path, equal_as_listed=proof.equal_as_listed)
    assert list(suspects_of(staged, "later")) == [guid_of(1)]


@pytest.mark.parametrize(("excluded_runs", "held", "still_open"), [((), 0, 1), ((guid_of(1),), 1, 0)])
def test_a_report_that_is_known_to_be_altered_keeps_its_day_open_unless_its_run_is_left_out(
    excluded_runs, held, still_open, dead_letters, tmp_path
):
    wats = FakeWats(mapped(a_run(1)), mapped(a_run(2)))
    staged = compared(
        FakeSource(a_run(1), a_run(2)), wats, dead_letters, tmp_path, excluded_runs=excluded_runs, altered={guid_of(1)}
    )
    (day,) = days_of(staged).values()
    assert (day.proven, day.held, day.open) == (1, held, still_open)
    assert [run.reason for run in day.open_runs] == [
        "its report was altered in WATS when a comparison opened it"
    ] * still_open


def test_the_numbers_of_a_day_add_up_and_name_what_is_open(dead_letters, tmp_path):
    dead_letters.put(a_run(1), DeadLetterKind.DEAD, "rejected", "rejected", NOW_AT)
    dead_letters.put(a_run(2), DeadLetterKind.HELD, "no map", "no map", NOW_AT)
    next_day = a_run(6, timestamp_local=NOON_LOCAL + timedelta(hours=13))
    source = FakeSource(*(a_run(number) for number in range(1, 6)), next_day)
    wats = FakeWats(mapped(a_run(3)), mapped(a_run(4, result_code=0)), mapped(next_day))
    days = days_of(
        compared(source, wats, dead_letters, tmp_path, [LocalRange(NOON_LOCAL, NOON_LOCAL + timedelta(days=1))], 2)
    )
    today = days[date(2026, 6, 15)]
    assert (today.in_vte, today.proven, today.dead, today.held, today.open) == (5, 1, 1, 1, 2)
    assert [(run.index_guid, run.reason.partition(";")[0]) for run in today.open_runs] == [
        (str(guid_of(4)), "its report in WATS had other content"),
        (str(guid_of(5)), "not in WATS when it was compared"),
    ]
    assert days[date(2026, 6, 16)] == DayProof(in_vte=1, proven=1, verified_at=NOW_AT)


def test_runs_that_no_window_holds_are_transferred_and_counted_apart_until_they_are_in_wats(
    dead_letters, tmp_path, caplog
):
    reset, ahead = a_run(1, timestamp_local=datetime(1970, 1, 1)), a_run(2, timestamp_local=datetime(2031, 1, 1))
    old, known = (a_run(n, timestamp_local=datetime(2016, 6, 15, n)) for n in (3, 4))
    source = FakeSource(reset, ahead, old, known, a_run(5))
    source.timeless = [guid_of(6)]
    grown = {date(2016, 6, 15): 1}
    day = LocalRange(datetime(2016, 6, 15), datetime(2016, 6, 16))
    outside = OutsideWindows(NOON_LOCAL + timedelta(days=2), (day,))

    def look(wats: FakeWats):
        batches = compared(source, wats, dead_letters, tmp_path, outside=outside)
        odd = odd_of(batches, grown)
        return batches, {kind: (runs.numbers.in_vte, runs.open) for kind, runs in odd.items()}, odd

    batches, numbers, odd = look(FakeWats(mapped(a_run(5))))
    assert numbers == {
        OddKind.RESET_CLOCK: (1, 1),
        OddKind.BEFORE_START: (2, 1),
        OddKind.FUTURE: (1, 1),
    }  # the run without Timestamp cannot be read in this double
    assert odd[OddKind.FUTURE].examples == (OddRun(index_guid=str(guid_of(2)), timestamp_local=datetime(2031, 1, 1)),)
    assert days_of(batches) == {NOON_LOCAL.date(): DayProof(in_vte=1, proven=1, verified_at=NOW_AT)}
    transfer = runs_to_transfer(batches, kinds_of(dead_letters), OddTimestamps.TRANSFER)
    assert set(transfer.runs) == {guid_of(1), guid_of(2), guid_of(3), guid_of(4)}
    held_back = runs_to_transfer(batches, kinds_of(dead_letters), OddTimestamps.HOLD)
    assert set(held_back.runs) == {guid_of(1), guid_of(2)}  # which the upload holds; the day before the start stays
    assert "VW553 runs that no window holds are neither in WATS nor a dead letter: 1 dated before 2002" in caplog.text
    caplog.clear()
    _, numbers, _ = look(FakeWats(*map(mapped, (reset, ahead, old, a_run(5)))))
    assert "VW553" not in caplog.text
    assert [still_open for _, still_open in numbers.values()] == [0, 0, 0]
