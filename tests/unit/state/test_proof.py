"""A day adds up: runs in VTE are proven, dead letters, held or open."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from vte_wats.state.proof import DayProof, Differences, OpenRun, Proof

NOW_AT = datetime(2026, 6, 16, tzinfo=UTC)
FIRST = date(2026, 6, 1)


def a_day(in_vte: int = 10, **numbers: int) -> DayProof:
    return DayProof(in_vte=in_vte, verified_at=NOW_AT, **({"proven": in_vte} | numbers))


def test_what_is_neither_proven_nor_a_dead_letter_is_open():
    assert a_day(dead=2, proven=7, held=1).open == 0
    assert a_day(dead=2, proven=7).open == 1


def test_the_parts_of_a_cycle_follow_one_another_and_leave_no_day_out():
    proof, end, seen = Proof(), FIRST + timedelta(days=100), []
    for _ in range(25):
        from_day, to_day = proof.rotating_part(FIRST, end, 30)
        seen += [from_day + timedelta(days=n) for n in range((to_day - from_day).days)]
        proof = proof.ended(NOW_AT, NOW_AT.date(), 0, to_day)
    assert seen == [FIRST + timedelta(days=n) for n in range(100)]
    assert proof.rotating_part(FIRST, end, 30) == (FIRST, FIRST + timedelta(days=4))


def test_without_a_cycle_or_without_history_there_is_no_part():
    assert Proof().rotating_part(FIRST, FIRST + timedelta(days=9), 0) is None
    assert Proof().rotating_part(FIRST, FIRST, 30) is None


def test_days_that_were_not_compared_keep_their_numbers():
    before = Proof(days={FIRST: a_day()}).with_days({}, FIRST, 3)
    after = before.with_days({date(2026, 6, 2): a_day(proven=4)}, FIRST, 3).ended(NOW_AT, FIRST, 1, None)
    assert after.days == {FIRST: a_day(), date(2026, 6, 2): a_day(proven=4)}
    assert after.days[date(2026, 6, 2)].open == 6
    assert after.differences == {FIRST: Differences(outdated=3, altered=1)}
    assert after.compared_at == NOW_AT


def test_the_variable_stays_small():
    examples = tuple(OpenRun(index_guid=str(n), reason="not in WATS") for n in range(20))
    day = a_day(proven=0).model_copy(update={"open_runs": examples})
    days = {FIRST + timedelta(days=n): day for n in range(5_000)}
    kept = Proof().with_days(days, FIRST, 0)
    assert len(kept.days) == 4_000
    assert max(kept.days) == max(days)
    assert sum(len(kept_day.open_runs) for kept_day in kept.days.values()) == 500
    assert kept.days[max(days)].open_runs == examples
    assert len(kept.model_dump_json(exclude_defaults=True)) < 600_000
