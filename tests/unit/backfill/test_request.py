"""What a person may ask a backfill for, and how it is cut into parts."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from upath import UPath

from tests.unit.builders import a_run, a_settings, guid_of
from vte_wats.backfill.request import (
    BackfillPlan,
    BackfillPlans,
    GuidRange,
    Part,
    PartReference,
    estimated_s,
    named_runs,
    parts_of_guids,
    parts_of_time,
    read_request,
)
from vte_wats.domain.errors import FatalError
from vte_wats.domain.run import DeadLetterKind
from vte_wats.intervals.interval import Interval
from vte_wats.intervals.wall_clock import local_ranges
from vte_wats.storage.dead_letters import DeadLetters

NOW_AT = datetime(2026, 6, 16, 12, 0, 0, 500_000, tzinfo=UTC)
BLANK = {"from": None, "to": None, "guids": [], "dead_letters": None, "batch_size": None}
FROM, TO = "2026-06-01T00:00:00Z", "2026-06-02T00:00:00+02:00"


def asked(**form):
    return read_request(BLANK | form, NOW_AT, a_settings())


# ------------------------------------------------------------------------------------------------------------ the form
def test_an_interval_of_time_is_taken_in_any_zone():
    window = asked(**{"from": FROM, "to": TO}).window
    assert window == Interval(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, 22, tzinfo=UTC))


def test_an_interval_until_now_ends_where_runs_are_complete():
    window = asked(**{"from": FROM, "to": NOW_AT.isoformat()}).window
    assert window.to_at == datetime(2026, 6, 16, 11, 59, tzinfo=UTC)


def test_named_runs_are_taken_however_their_guids_are_written():
    assert asked(guids=[f" {str(guid_of(9)).upper()} ", f"{{{guid_of(2)}}}"]).guids == (
        str(guid_of(9)),
        str(guid_of(2)),
    )


def test_the_batch_size_is_that_of_the_form_or_of_the_settings():
    assert asked(dead_letters="all").batch_size == 1_000
    assert asked(dead_letters="all", batch_size=7).batch_size == 7


@pytest.mark.parametrize(
    ("form", "reasons"),
    [
        ({}, ["nothing is chosen"]),
        ({"dead_letters": "  "}, ["nothing is chosen"]),
        ({"from": FROM}, ["to: required"]),
        ({"to": TO}, ["from: required"]),
        ({"from": TO, "to": FROM}, ["from: must lie before to"]),
        ({"from": FROM, "to": FROM}, ["from: must lie before to"]),
        ({"from": FROM, "to": "2026-06-16T12:00:01Z"}, ["to: must not lie in the future"]),
        ({"from": "2026-06-16T11:59:30Z", "to": "2026-06-16T12:00:00Z"}, ["from: must lie before", "settle_delay_s"]),
        ({"from": "2026-06-01T00:00:00", "to": TO}, ["from: needs a time zone", "'2026-06-01T00:00:00'"]),
        ({"from": "yesterday", "to": TO}, ["from: date and time in ISO 8601", "'yesterday'"]),
        ({"guids": ["SN-1", str(guid_of(1))]}, ["guids: each is the Index_GUID of a run, given 'SN-1'"]),
        ({"from": FROM, "to": TO, "dead_letters": "all"}, ["from and to, dead_letters are given: choose one"]),
        ({"guids": [str(guid_of(1))], "dead_letters": "all"}, ["guids, dead_letters are given: choose one"]),
        ({"dead_letters": "all", "batch_size": 1_001}, ["batch_size: a whole number from 1 to 1,000, given 1001"]),
        ({"from": "x", "to": "y", "guids": ["z"]}, ["from: ", "to: ", "guids: ", "choose one"]),
    ],
)
def test_a_wrong_form_is_refused_with_every_reason(form, reasons):
    with pytest.raises(FatalError, match="nothing was started") as refused:
        asked(**form)
    assert all(reason in str(refused.value) for reason in reasons)


# --------------------------------------------------------------------------------------------------------------- parts
def hours_of(runs, zone):
    return sorted(
        Counter(run.astimezone(zone).replace(minute=0, second=0, tzinfo=None, fold=0) for run in runs).items()
    )


instants = st.datetimes(datetime(2026, 3, 10), datetime(2026, 4, 20)).map(
    lambda at: at.replace(microsecond=0, tzinfo=UTC)
)


@settings(deadline=None, max_examples=50)
@given(
    edges=st.lists(instants, min_size=2, max_size=2, unique=True),
    runs=st.lists(instants, max_size=60),
    zone=st.sampled_from(["Europe/Oslo", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]).map(ZoneInfo),
    size=st.integers(1, 30),
)
def test_parts_follow_one_another_without_a_gap_and_hold_every_run_once(edges, runs, zone, size):
    window = Interval(*sorted(edges))
    inside = [at for at in runs if window.from_at <= at < window.to_at]
    parts = parts_of_time(window, hours_of(inside, zone), zone, size)
    windows = [part.interval for part in parts]
    assert (windows[0].from_at, windows[-1].to_at) == (window.from_at, window.to_at)
    assert all(left.to_at == right.from_at for left, right in pairwise(windows))
    assert sum(part.runs for part in parts) == len(inside)
    for at in inside:  # where no clock changes, in exactly one part; where one does, in at least one
        local = at.astimezone(zone).replace(tzinfo=None, fold=0)
        holding = [w for w in windows if any(r.from_local <= local < r.to_local for r in local_ranges(w, zone))]
        assert holding


def test_parts_hold_about_what_was_asked_and_empty_nights_cost_none():
    begin = datetime(2026, 6, 1)
    hours = [(begin + timedelta(days=day, hours=hour), 100) for day in range(10) for hour in range(6, 14)]
    window = Interval(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
    parts = parts_of_time(window, hours, ZoneInfo("Europe/Oslo"), 1_000)
    assert [part.runs for part in parts] == [1_000] * 8


def test_an_interval_without_runs_is_one_part_that_covers_it():
    window = Interval(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
    (part,) = parts_of_time(window, [], ZoneInfo("UTC"), 100)
    assert (part.interval, part.runs) == (window, 0)


@given(numbers=st.lists(st.integers(0, 2**128 - 1), max_size=50), size=st.integers(1, 20))
def test_named_runs_are_in_exactly_one_part_each(numbers, size):
    guids = [guid_of(number) for number in numbers]
    parts = parts_of_guids(guids, size)
    transferred = [guid for part in parts for guid in part.guids_among(set(guids))]
    assert sorted(transferred) == sorted(set(guids))
    assert [part.runs for part in parts] == [len(part.guids_among(set(guids))) for part in parts]
    assert all(part.runs <= size for part in parts)


def test_the_estimate_counts_every_request_against_the_budget():
    assert estimated_s(10_000, 100, 500) == pytest.approx((10_000 + 200 + 167 + 100) * 60 / 500, abs=1)
    assert estimated_s(0, 100, 500) == 0


# ------------------------------------------------------------------------------------------------------- dead letters
@pytest.fixture
def dead_letters(tmp_path) -> DeadLetters:
    found = DeadLetters(UPath(tmp_path))
    for number, signature in [(1, "serial is blank"), (2, "serial is blank"), (3, "part number is blank")]:
        found.put(a_run(number), DeadLetterKind.DEAD, signature, signature, NOW_AT)
    return found


def redriven(dead_letters, signature):
    return named_runs(asked(dead_letters=signature), lambda: list(dead_letters.headers()))


@pytest.mark.parametrize(
    ("signature", "expected"), [("all", [1, 2, 3]), ("serial is blank", [1, 2])], ids=["all", "one-group"]
)
def test_runs_are_found_by_the_signature_of_their_dead_letters(dead_letters, signature, expected):
    assert redriven(dead_letters, signature) == [guid_of(number) for number in expected]


def test_a_signature_nobody_has_is_refused_with_those_there_are(dead_letters):
    with pytest.raises(FatalError, match=r"serial is blank \(2 runs\); part number is blank \(1 runs\)"):
        redriven(dead_letters, "serial")


def test_all_of_no_dead_letters_is_no_mistake(tmp_path):
    assert redriven(DeadLetters(UPath(tmp_path)), "all") == []


def test_the_runs_in_the_dead_letters_are_not_read(dead_letters, tmp_path):
    for path in (tmp_path / "dead_letters").iterdir():
        head, before_run, _ = path.read_bytes().partition(b'"run":')
        path.write_bytes(head + before_run + b"{")
    assert redriven(dead_letters, "serial is blank") == [guid_of(1), guid_of(2)]


AT = datetime(2026, 6, 1, 10, tzinfo=UTC)
FIRST = PartReference.first("vte_wats_backfill", "manual__1", AT)
PLAN = BackfillPlan(
    dag_run_id="manual__1",
    asked="dead letters: {{ conn.wats_default.password }}",
    batch_size=200,
    parts=tuple(Part(runs=1, guids=GuidRange(first=guid_of(n), last=guid_of(n))) for n in (1, 2)),
    runs=(guid_of(1), guid_of(2)),
)


@pytest.fixture
def plans(tmp_path) -> BackfillPlans:
    return BackfillPlans(UPath(tmp_path))


def test_a_plan_comes_back_with_the_part_that_is_referred_to(plans):
    plans.save(FIRST, PLAN)
    assert plans.load_part(FIRST) == (PLAN, PLAN.parts[0])
    assert plans.load_part(FIRST.following()) == (PLAN, PLAN.parts[1])


def test_the_reference_holds_nothing_of_what_was_asked():
    assert set(FIRST.model_dump()) == {"plan", "part"}
    assert PartReference.first("vte_wats_backfill", "{{ conn }}" * 20, AT).plan.isalnum()


def test_a_dag_run_of_the_same_id_at_another_time_has_another_plan():
    assert PartReference.first("vte_wats_backfill", "manual__1", AT.replace(hour=11)) != FIRST


@pytest.mark.parametrize(
    "plan", ["../../../etc/passwd", "", "A" * 32, "0" * 31, "0" * 33, "{{ conn }}", f"{'0' * 32}\n"]
)
def test_a_reference_that_somebody_wrote_by_hand_leads_nowhere(plans, plan):
    with pytest.raises(FatalError, match=r"VW623 continued\.plan: 32 hexadecimal digits"):
        plans.load_part(PartReference(plan=plan, part=1))


@pytest.mark.parametrize(
    "plain", [{}, {"plan": "0" * 32}, {"plan": 1, "part": 1}, {"plan": "0" * 32, "part": "1"}, "x"]
)
def test_a_reference_has_one_shape(plain):
    with pytest.raises(ValidationError):
        PartReference.model_validate(plain)


@pytest.mark.parametrize("part", [0, -1, 3])
def test_a_part_that_is_not_planned_is_refused(plans, part):
    plans.save(FIRST, PLAN)
    with pytest.raises(FatalError, match=f"VW623 .*parts 1 to 2, given {part}"):
        plans.load_part(FIRST.model_copy(update={"part": part}))


def test_a_plan_that_was_removed_is_reported_with_what_to_do(plans):
    with pytest.raises(FatalError, match=r"VW623 .*it was removed\. Trigger the backfill again"):
        plans.load_part(FIRST)


def test_a_damaged_plan_is_reported_and_not_planned_again_over_it(plans, tmp_path):
    plans.save(FIRST, PLAN)
    (path,) = (tmp_path / "backfills").iterdir()
    path.write_text(path.read_text()[:-20])
    with pytest.raises(FatalError, match=r"VW623 the plan of the backfill in .* is damaged"):
        plans.load(FIRST)


def test_a_plan_of_an_interval_comes_back_with_its_times(plans):
    hours = [(datetime(2026, 6, 1, hour), 60) for hour in range(3)]
    window = Interval(AT.replace(hour=0), AT.replace(hour=3))
    whole = PLAN.model_copy(update={"parts": parts_of_time(window, hours, ZoneInfo("UTC"), 100), "runs": None})
    plans.save(FIRST, whole)
    assert plans.load(FIRST) == whole
    assert whole.parts[1].interval == Interval(AT.replace(hour=1), AT.replace(hour=2))


def test_a_plan_whose_parts_another_version_wrote_asks_for_the_form_again(plans, tmp_path):
    plans.save(FIRST, PLAN)
    (path,) = (tmp_path / "backfills").iterdir()
    plain = json.loads(path.read_text())
    plain["parts"] = [{"from_edge": "", "to_edge": str(guid_of(2)), "runs": 2}]
    path.write_text(json.dumps(plain))
    with pytest.raises(FatalError, match=r"VW623 .* is damaged.*Trigger the backfill again with its form"):
        plans.load_part(FIRST)
