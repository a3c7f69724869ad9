"""A day adds up: runs in VTE are proven, dead letters, held or open."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from vte_wats.state.proof import (
    Cause,
    DayProof,
    DayStatus,
    GoneRuns,
    OddKind,
    OddRuns,
    OpenRun,
    Proof,
    days_without_runs,
)

NOW_AT = datetime(2026, 6, 16, tzinfo=UTC)
FIRST = date(2026, 6, 1)
CAUSES = {Cause.VTE_CHANGED: 3}


def a_day(in_vte: int = 10, **numbers: int) -> DayProof:
    return DayProof(in_vte=in_vte, verified_at=NOW_AT, **({"proven": in_vte} | numbers))


def test_what_is_neither_proven_nor_a_dead_letter_is_open():
    assert a_day(dead=2, proven=7, held=1).open == 0
    assert a_day(dead=2, proven=7).open == 1


@pytest.mark.parametrize(
    ("numbers", "status"),
    [
        ({}, DayStatus.PROVEN),
        ({"proven": 9, "dead": 1}, DayStatus.DEAD_LETTERS),
        ({"proven": 9, "held": 1}, DayStatus.DEAD_LETTERS),
        ({"proven": 8, "dead": 1}, DayStatus.OPEN),
    ],
)
def test_what_is_open_weighs_more_than_what_is_a_dead_letter(numbers, status):
    assert a_day(**numbers).status is status


OSLO = ZoneInfo("Europe/Oslo")


def days(*numbers: dict[str, int] | None) -> Proof:
    """One compared day after another from the first on; none where there are no numbers."""
    found = {FIRST + timedelta(days=n): a_day(**given) for n, given in enumerate(numbers) if given is not None}
    return Proof(days=found)


@pytest.mark.parametrize(
    ("proof", "last"),
    [
        (days({}, {"proven": 9, "dead": 1}, {}), date(2026, 6, 3)),
        (days({}, {"proven": 9}, {}), date(2026, 6, 1)),
        (days({}, None, {}), date(2026, 6, 1)),
        (days({"proven": 9}, {}), None),
        (days(None, {}), None),
        (Proof(), None),
    ],
    ids=["all", "one open", "one not compared", "the first open", "the first not compared", "never compared"],
)
def test_proven_through_ends_before_the_first_day_that_is_open_or_not_compared(proof, last):
    assert proof.proven_through(FIRST, OSLO) == last


def test_a_day_that_was_compared_before_it_ended_in_the_plant_is_not_compared():
    ends_at = datetime(2026, 6, 1, 22, tzinfo=UTC)  # midnight in Oslo
    for verified_at, is_compared in ((ends_at - timedelta(seconds=1), False), (ends_at, True)):
        proof = Proof(days={FIRST: a_day().model_copy(update={"verified_at": verified_at})})
        assert (proof.compared_day(FIRST, OSLO) is not None) is is_compared
        assert (proof.proven_through(FIRST, OSLO) == FIRST) is is_compared


def test_a_day_without_runs_is_proven_once_it_was_compared():
    proof = Proof(days=days_without_runs([(FIRST, date(2026, 6, 4))], NOW_AT))
    assert proof.proven_through(FIRST, OSLO) == date(2026, 6, 3)


def test_the_parts_of_a_cycle_follow_one_another_and_leave_no_day_out():
    proof, end, seen = Proof(), FIRST + timedelta(days=100), []
    for _ in range(25):
        from_day, to_day = proof.rotating_part(FIRST, end, 30)
        seen += [from_day + timedelta(days=n) for n in range((to_day - from_day).days)]
        proof = proof.ended(NOW_AT, NOW_AT.date(), 0, to_day)
    assert seen == [FIRST + timedelta(days=n) for n in range(100)]
    assert proof.rotating_part(FIRST, end, 30) == (FIRST, FIRST + timedelta(days=4))
    assert Proof(cycle_day=end).rotating_part(FIRST, end + timedelta(days=1), 30) == (end, end + timedelta(days=1))


def test_without_a_cycle_or_without_history_there_is_no_part():
    assert Proof().rotating_part(FIRST, FIRST + timedelta(days=9), 0) is None
    assert Proof().rotating_part(FIRST, FIRST, 30) is None


def test_days_that_were_not_compared_keep_their_numbers():
    before = Proof(days={FIRST: a_day()}).with_days({}, FIRST, {Cause.UNKNOWN: 5}, {})
    after = before.with_days({date(2026, 6, 2): a_day(proven=4)}, FIRST, CAUSES, {}).ended(NOW_AT, FIRST, 1, None)
    assert after.days == {FIRST: a_day(), date(2026, 6, 2): a_day(proven=4)}
    assert after.days[date(2026, 6, 2)].open == 6
    assert after.differences == {FIRST: {Cause.VTE_CHANGED: 3, Cause.WATS_CHANGED: 1}}
    assert after.compared_at == NOW_AT


def test_altered_reports_stand_until_each_was_opened_again_and_is_not_altered():
    one, two, three, gone = (UUID(int=n) for n in range(1, 5))
    proof = Proof().looked_into([one, two, three, gone], [one, two, gone], [])
    assert (proof.altered, proof.altered_runs) == (3, (one, two, gone))
    assert proof.looked_into([three], [], []) == proof  # the sample of the next day
    proof = proof.looked_into([one, two], [one], [two])  # WATS has other content of one of them
    assert proof.altered_runs == (gone, two, one)
    proof = proof.looked_into([one, gone], [], [])  # equal, put right, left out, or no longer in VTE
    assert (proof.altered, proof.altered_runs) == (1, (two,))
    assert Proof.model_validate({"compared_at": NOW_AT, "altered": 3}).altered_runs == ()  # of an earlier version


def test_of_many_altered_reports_those_are_next_that_were_opened_longest_ago():
    guids = [UUID(int=n) for n in range(1_500)]
    proof = Proof().looked_into(guids, guids, [])
    assert (proof.altered, len(proof.altered_runs)) == (1_000, 1_000)
    first = proof.altered_runs[:100]
    assert proof.looked_into(first, first, []).altered_runs[-100:] == first


def test_what_an_earlier_version_stored_of_differences_is_read_with_its_meaning():
    proof = Proof.model_validate({"differences": {"2026-06-01": {"outdated": 3, "altered": 1}}})
    assert proof.differences == {FIRST: {Cause.UNKNOWN: 3, Cause.WATS_CHANGED: 1}}


def test_the_variable_stays_small():
    examples = tuple(OpenRun(index_guid=str(n), reason="not in WATS") for n in range(20))
    day = a_day(proven=0).model_copy(update={"open_runs": examples})
    days = {FIRST + timedelta(days=n): day for n in range(5_000)}
    kept = Proof().with_days(days, FIRST, {}, {})
    assert len(kept.days) == 4_000
    assert max(kept.days) == max(days)
    assert sum(len(kept_day.open_runs) for kept_day in kept.days.values()) == 500
    assert kept.days[max(days)].open_runs == examples
    guids = [UUID(int=n) for n in range(5_000)]
    kept = kept.looked_into(guids, guids, []).found_equal([], (f"{n:016x}" for n in range(5_000)))
    assert (len(kept.altered_runs), len(kept.equal_as_listed)) == (1_000, 3_000)
    assert kept.equal_as_listed[-1] == f"{4_999:016x}"
    assert len(kept.model_dump_json(exclude_defaults=True)) < 700_000


def test_a_day_of_the_history_grows_against_what_was_counted_first():
    other = FIRST + timedelta(days=1)
    assert Proof().grown_days({FIRST: 5}) == {}
    proof = Proof().with_history({FIRST: 5})
    later = {FIRST: 7, other: 2}
    assert proof.grown_days(later) == {FIRST: 5, other: 0}
    assert proof.with_history(later).grown_days(later) == {FIRST: 5, other: 0}  # until they are in WATS, or gone again
    assert proof.with_history({FIRST: 4}).grown_days({FIRST: 5}) == {FIRST: 4}
    assert proof.with_history({}).never_synced == {}
    assert Proof().with_history({}).grown_days({FIRST: 1}) == {FIRST: 0}
    assert Proof.model_validate({"history": {}}).grown_days({FIRST: 1}) == {}  # it did not count all of that time


def test_runs_that_were_there_before_the_others_on_their_day_are_not_open():
    odd = {
        kind: OddRuns(numbers=a_day(proven=7), known=known) for kind, known in zip(OddKind, (0, 2, 3, 9), strict=True)
    }
    proof = Proof().with_days({}, FIRST, {}, odd)
    assert list(proof.odd_open.values()) == [3, 1]
    assert proof.with_days({}, FIRST, {}, {}).odd_open == {}


def test_what_was_open_is_proven_once_its_report_was_opened_and_says_the_same():
    guids = [UUID(int=n) for n in range(3)]
    day = a_day(proven=7).model_copy(
        update={"open_runs": tuple(OpenRun(index_guid=str(guid), reason="listed otherwise") for guid in guids[:2])}
    )
    proof = Proof(days={FIRST: day}, odd={OddKind.FUTURE: OddRuns(numbers=day)}).found_equal(guids[1:])
    for found in (proof.days[FIRST], proof.odd[OddKind.FUTURE].numbers):
        assert (found.proven, found.open) == (8, 2)
        assert [run.index_guid for run in found.open_runs] == [str(guids[0])]
    assert proof.found_equal(guids[1:]) == proof  # however often it is said


def test_few_examples_are_kept_of_each_kind():
    runs = OddRuns(numbers=a_day(1), examples=({"index_guid": "1", "timestamp_local": None},))
    for _ in range(100):
        runs = runs.joined(OddRuns(numbers=a_day(1), examples=runs.examples[:1]))
    assert (runs.numbers.in_vte, len(runs.examples)) == (101, 20)


def test_what_wats_does_not_list_is_gone_by_the_number_of_runs_that_a_day_lost():
    def compared(proof: Proof, in_vte: int) -> Proof:
        return proof.with_days({FIRST: a_day(in_vte)}, FIRST, {}, {})

    proof = compared(compared(Proof(), 10), 8)
    assert proof.gone == {FIRST: GoneRuns(runs=2, is_listed=False)}
    assert compared(proof, 7).gone == {FIRST: GoneRuns(runs=3, is_listed=False)}
    assert compared(proof, 12).gone == {FIRST: GoneRuns(runs=0, is_listed=False)}
    listed = proof.with_gone([FIRST], {FIRST: GoneRuns(runs=1, examples=("1",))})
    assert compared(listed, 5).gone == listed.gone
    assert listed.with_gone([FIRST], {}).gone == {}
    assert listed.with_gone([FIRST + timedelta(days=1)], {}).gone == listed.gone
