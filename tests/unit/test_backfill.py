"""What a person may ask a backfill for, how it is cut into parts, and how far it says it is."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from upath import UPath

from tests.unit.builders import a_run, a_settings, guid_of
from tests.unit.fakes import FakeSource, FakeWats
from vte_wats.backfill.dry_run_report import lines, merged, preview
from vte_wats.backfill.progress import Progress
from vte_wats.backfill.request import Part, estimated_s, parts_of_guids, parts_of_time, read_request
from vte_wats.domain.errors import FatalError
from vte_wats.domain.run import VteProduct
from vte_wats.intervals.windows import Window, local_ranges
from vte_wats.state.coverage import Outcome
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.in_flight_keys import InFlightKeys
from vte_wats.storage.staging import Staging
from vte_wats.sync.extract import extract
from vte_wats.sync.map_runs import map_runs
from vte_wats.sync.slices import Slice
from vte_wats.sync.upload import UploadOptions, upload

NOW_AT = datetime(2026, 6, 16, 12, 0, 0, 500_000, tzinfo=UTC)
BLANK = {"from": None, "to": None, "guids": [], "dead_letters": None, "batch_size": None}
FROM, TO = "2026-06-01T00:00:00Z", "2026-06-02T00:00:00+02:00"


def asked(**form):
    return read_request(BLANK | form, NOW_AT, a_settings())


# ------------------------------------------------------------------------------------------------------------ the form
def test_a_stretch_of_time_is_taken_in_any_zone():
    window = asked(**{"from": FROM, "to": TO}).window
    assert window == Window(datetime(2026, 6, 1, tzinfo=UTC), datetime(2026, 6, 1, 22, tzinfo=UTC))


def test_a_stretch_until_now_ends_where_runs_are_complete():
    window = asked(**{"from": FROM, "to": NOW_AT.isoformat()}).window
    assert window.to_at == datetime(2026, 6, 16, 11, 59, tzinfo=UTC)


def test_named_runs_are_taken_however_their_guids_are_written():
    assert asked(guids=[f" {str(guid_of(9)).upper()} ", f"{{{guid_of(2)}}}"]).guids == (
        str(guid_of(9)),
        str(guid_of(2)),
    )


def test_the_batch_size_is_that_of_the_form_or_of_the_settings():
    assert asked(dead_letters="all").batch_size == 200
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
        ({"from": FROM, "to": TO, "dead_letters": "all"}, ["from and to beside dead_letters: choose one"]),
        ({"guids": [str(guid_of(1))], "dead_letters": "all"}, ["guids beside dead_letters: choose one"]),
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
    window = Window(*sorted(edges))
    inside = [at for at in runs if window.from_at <= at < window.to_at]
    parts = parts_of_time(window, hours_of(inside, zone), zone, size)
    windows = [part.window for part in parts]
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
    window = Window(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
    parts = parts_of_time(window, hours, ZoneInfo("Europe/Oslo"), 1_000)
    assert [part.runs for part in parts] == [1_000] * 8


def test_a_stretch_without_runs_is_one_part_that_covers_it():
    window = Window(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 7, 1, tzinfo=UTC))
    (part,) = parts_of_time(window, [], ZoneInfo("UTC"), 100)
    assert (part.window, part.runs) == (window, 0)


@given(numbers=st.lists(st.integers(0, 2**128 - 1), max_size=50), size=st.integers(1, 20))
def test_named_runs_are_in_exactly_one_part_each(numbers, size):
    guids = [guid_of(number) for number in numbers]
    parts = parts_of_guids(guids, size)
    transferred = [guid for part in parts for guid in part.guids_among(set(guids))]
    assert sorted(transferred) == sorted(set(guids))
    assert [part.runs for part in parts] == [len(part.guids_among(set(guids))) for part in parts]
    assert all(part.runs <= size for part in parts)


def test_letters_that_stay_letters_are_not_carried_again_by_the_next_part():
    first, second = parts_of_guids([guid_of(n) for n in range(4)], 2)
    still_there = [guid_of(1), guid_of(2), guid_of(3)]
    assert first.guids_among(still_there) == [guid_of(1)]
    assert second.guids_among(still_there) == [guid_of(2), guid_of(3)]
    assert Part(from_edge="", to_edge=str(guid_of(0)), runs=1).guids_among(still_there) == []


def test_the_estimate_counts_every_request_against_the_budget():
    assert estimated_s(10_000, 100, 500) == pytest.approx((10_000 + 200 + 167 + 100) * 60 / 500, abs=1)
    assert estimated_s(0, 100, 500) == 0


# ------------------------------------------------------------------------------------------------------------ progress
def a_progress(**fields):
    started = {"dag_run_id": "manual__1", "asked": "June", "dry_run": False, "force": False, "runs": 1_000, "parts": 2}
    return Progress(**started, estimate_s=600, started_at=NOW_AT, updated_at=NOW_AT, **fields)


def test_progress_goes_from_the_estimate_to_what_was_measured():
    progress = a_progress().with_part(1, NOW_AT)
    assert (progress.transferred, progress.remaining_s) == (0, 600)
    progress = progress.with_slice("s0001", 100, NOW_AT + timedelta(seconds=30))
    assert (progress.transferred, progress.remaining_s) == (100, 270)
    assert "100 of 1,000 runs (10%), part 1 of 2, 0 h 04 min 30 s to go" in str(progress)


def test_what_is_carried_again_counts_once():
    outcomes = {Outcome.UPLOADED: 399, Outcome.DEAD: 1}
    progress = a_progress().with_slice("s0001", 100, NOW_AT).with_slice("s0001", 100, NOW_AT)
    assert progress.transferred == 100
    progress = progress.with_settled(outcomes, {}, NOW_AT).with_settled(outcomes, {}, NOW_AT)
    assert (progress.transferred, progress.outcomes[Outcome.UPLOADED]) == (400, 399)
    ended = progress.with_part(2, NOW_AT).with_settled({Outcome.UNCHANGED: 500}, {}, NOW_AT)
    assert (ended.transferred, ended.remaining_s, ended.ended_at) == (900, 0, NOW_AT)


def test_progress_survives_the_variable():
    progress = a_progress().with_settled({Outcome.UPLOADED: 400}, {}, NOW_AT)
    assert Progress.model_validate_json(progress.model_dump_json()) == progress


# ------------------------------------------------------------------------------------------------------------- preview
def test_a_dry_run_says_what_would_be_shortened_rejected_and_held(tmp_path):
    long = VteProduct(name="PN-1")
    runs = [
        a_run(1),
        a_run(2, operator="O" * 101, product=long),
        a_run(3, operator="O" * 150, info1="I" * 101),
        a_run(4, serial=" "),
        a_run(5, result_code=77),
    ]
    staging, settings = Staging(UPath(tmp_path)), a_settings()
    part = Slice("g0001", len(runs), guids=tuple(run.index_guid for run in runs))
    extract(FakeSource(*runs), staging, part, settings)
    map_runs(staging, settings)
    wats, letters = FakeWats(), DeadLetters(UPath(tmp_path))
    with InFlightKeys(UPath(tmp_path), "backfill", NOW_AT) as claims:
        upload(
            staging,
            wats,
            letters,
            settings,
            UploadOptions(NOW_AT, dry_run=True),
            claims=claims,
            read_again=lambda _: [],
        )
    found = preview(staging)
    assert found["shortened"]["operator"] == {"runs": 2, "examples": [str(guid_of(2)), str(guid_of(3))]}
    assert found["shortened"]["info1"]["runs"] == 1
    assert found["dead"] == {"serial is blank": {"runs": 1, "examples": [str(guid_of(4))]}}
    assert [seen["examples"] for seen in found["held"].values()] == [[str(guid_of(5))]]
    assert not wats.posted
    assert not letters.guids()
    both = merged([found, found])
    assert both["shortened"]["operator"]["runs"] == 4
    assert len(both["shortened"]["operator"]["examples"]) == 3
    assert f"dead: 2 runs · serial is blank · such as {guid_of(4)}, {guid_of(4)}" in list(lines(both))


def test_a_preview_stays_small_whatever_it_counts():
    many = [{"dead": {f"reason {n}": {"runs": n, "examples": [str(UUID(int=n))] * 9}}} for n in range(1, 200)]
    found = merged(many)["dead"]
    assert len(found) == 50
    assert max(len(seen["examples"]) for seen in found.values()) == 3
    assert next(iter(found)) == "reason 199"
