from __future__ import annotations

import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.builders import a_settings, a_sync
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.domain.source import SourceIdentity
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.state_guard import SyncEnvironment, refuse_lost_state, restarted_if_older, verify_state

BEGIN_AT = datetime(2026, 6, 1, 10, tzinfo=UTC)
NOW_AT = BEGIN_AT + timedelta(hours=1)
HERE = SyncEnvironment(
    Site(),
    source=SourceIdentity(
        "PLANT-1", "VTE9_3", datetime(2020, 1, 1, 8), {"IndexData.Info1": "nvarchar", "IndexData.Result": "int"}
    ),
    target="acme.wats.com",
    server_now_at=NOW_AT,
    now_at=NOW_AT,
)
ACCEPT = "trigger vte_wats_sync without a logical date and with accept_identity"


def found(**source) -> SyncEnvironment:
    return replace(HERE, source=replace(HERE.source, **source))


def synced(until_at: datetime = NOW_AT, here: SyncEnvironment = HERE) -> State:
    fresh = verify_state(State(since_at=BEGIN_AT), here, a_settings(), accepted=False)
    return fresh.extended(a_sync(Interval(BEGIN_AT, until_at)))


def test_the_first_sync_takes_the_database_and_the_wats_it_finds():
    state = verify_state(State(since_at=BEGIN_AT), HERE, a_settings(), accepted=False)
    assert (state.source, state.target, state.started_at) == (HERE.source, "acme.wats.com", NOW_AT)


def test_a_state_from_before_identities_were_kept_takes_what_it_finds():
    old = State.model_validate({"since": BEGIN_AT, "syncs": 5})
    state = verify_state(old, HERE, a_settings(), accepted=False)
    assert (state.source, state.target, state.syncs) == (HERE.source, "acme.wats.com", 5)


def test_the_same_surroundings_go_on_and_change_nothing_but_the_clocks():
    state = synced()
    later = replace(HERE, now_at=NOW_AT + timedelta(minutes=5), server_now_at=NOW_AT + timedelta(minutes=5, seconds=3))
    assert verify_state(state, later, a_settings(), accepted=False) == state.model_copy(update={"clock_skew_s": 3.0})


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        pytest.param(found(server="PLANT-2"), ["another database", "VTE9_3 on PLANT-2", "vte_default"], id="server"),
        pytest.param(found(database="VTE9_3_TEST"), ["another database", "VTE9_3_TEST", "vte_default"], id="database"),
        pytest.param(
            found(created_local=datetime(2026, 6, 1)),
            ["restored or created again", "2026-06-01 00:00:00"],
            id="restored",
        ),
        pytest.param(
            replace(HERE, target="test.wats.com"), ["another WATS", "test.wats.com", "wats_default"], id="wats"
        ),
    ],
)
def test_another_environment_stops_with_the_choices_until_they_are_accepted(here, expected, caplog):
    state = synced()
    with pytest.raises(FatalError) as caught:
        verify_state(state, here, a_settings(), accepted=False)
    for words in (*expected, ACCEPT, "delete the Variable vte_wats_state", "clear this run"):
        assert words in str(caught.value)
    accepted = verify_state(state, here, a_settings(), accepted=True)
    assert (accepted.source, accepted.target) == (here.source, here.target)
    assert (accepted.coverage, accepted.syncs) == (state.coverage, state.syncs)
    assert "accepted: " in caplog.text
    assert verify_state(accepted, here, a_settings(), accepted=False) == accepted


def test_another_time_zone_stops_until_it_is_accepted():
    state, other = synced(), a_settings(source_timezone="America/Denver")
    with pytest.raises(FatalError, match="another source_timezone") as caught:
        verify_state(state, HERE, other, accepted=False)
    for words in ("America/Denver", a_settings().source_timezone, ACCEPT, "vte_wats_backfill"):
        assert words in str(caught.value)
    accepted = verify_state(state, HERE, other, accepted=True)
    assert verify_state(accepted, HERE, other, accepted=False) == accepted


def test_another_database_and_another_wats_are_named_together():
    here = replace(found(server="PLANT-2"), target="test.wats.com")
    with pytest.raises(FatalError, match=r"another database.*another WATS"):
        verify_state(synced(), here, a_settings(), accepted=False)


@pytest.mark.parametrize("accepted", [False, True])
def test_a_column_that_is_read_and_is_gone_stops_and_cannot_be_accepted(accepted):
    here = found(columns={"IndexData.Result": "int"})
    with pytest.raises(FatalError, match=r"gone from VTE9_3: IndexData\.Info1\. .*column_overrides"):
        verify_state(synced(), here, a_settings(), accepted=accepted)


def test_a_column_that_is_gone_is_no_matter_once_it_is_not_read():
    here = found(columns={"IndexData.Result": "int"})
    settings = a_settings(column_overrides={"IndexData": {"columns": {"Info1": None}}})
    assert verify_state(synced(), here, settings, accepted=False).source == here.source


def test_a_column_of_another_type_is_named_and_remembered(caplog):
    here = found(columns={**HERE.source.columns, "IndexData.Info1": "ntext"})
    state = verify_state(synced(), here, a_settings(), accepted=False)
    assert "column IndexData.Info1 was nvarchar and is ntext now" in caplog.text
    caplog.clear()
    verify_state(state, here, a_settings(), accepted=False)
    assert caplog.text == ""


def test_a_column_the_login_never_saw_is_left_to_the_statement_that_reads_it():
    blind = found(columns={})
    assert verify_state(synced(here=blind), blind, a_settings(), accepted=False)


@pytest.mark.parametrize("accepted", [False, True])
def test_a_state_of_the_future_stops_and_cannot_be_accepted(accepted):
    state = synced(until_at=NOW_AT + timedelta(seconds=601))
    with pytest.raises(
        FatalError, match=r"covers time in the future.*correct it and clear this run.*restore the right one"
    ):
        verify_state(state, HERE, a_settings(guard_band_s=600), accepted=accepted)


def test_a_clock_set_back_by_no_more_than_the_guard_band_is_no_future():
    assert verify_state(synced(until_at=NOW_AT + timedelta(seconds=600)), HERE, a_settings(), accepted=False)


@pytest.mark.parametrize(
    ("skew_s", "expected"), [(0, False), (60, False), (-60, False), (60.5, True), (-61, True), (3_600, True)]
)
def test_clocks_that_differ_by_more_than_the_limit_are_logged_once(skew_s, expected, caplog):
    here = replace(HERE, server_now_at=NOW_AT + timedelta(seconds=skew_s))
    state = verify_state(State(since_at=BEGIN_AT), here, a_settings(), accepted=False)
    assert state.clock_skew_s == skew_s
    warnings = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert [f"differs from Airflow's by {skew_s:+.1f} s" in text for text in warnings] == [True] * expected


def test_the_limit_of_the_clocks_is_a_setting(caplog):
    here = replace(HERE, server_now_at=NOW_AT + timedelta(seconds=61))
    verify_state(State(since_at=BEGIN_AT), here, a_settings(clock_skew_limit_s=61), accepted=False)
    assert caplog.text == ""


def test_without_a_sync_before_a_missing_state_is_a_beginning():
    refuse_lost_state(Site(), None, None)
    refuse_lost_state(Site(), synced(), None)


def test_a_state_that_is_missing_though_syncs_wrote_it_is_lost():
    with pytest.raises(FatalError, match="vte_wats_state is lost.*Restore it from a backup.*or " + ACCEPT):
        refuse_lost_state(Site(), None, synced().receipt())


def test_a_state_older_than_what_was_settled_starts_now_and_goes_on(caplog):
    older = synced()
    newer = older.extended(a_sync())
    refuse_lost_state(Site(), older, newer.receipt())
    restarted = restarted_if_older(Site(), older, newer.receipt())
    assert restarted == older.model_copy(update={"started_at": None})
    assert "older than the last sync: it counts 1 syncs, 2 were settled" in caplog.text
    later = replace(HERE, now_at=NOW_AT + timedelta(minutes=5))
    restarted = verify_state(restarted, later, a_settings(), accepted=False)
    refuse_lost_state(Site(), restarted, newer.receipt())
    assert restarted_if_older(Site(), restarted, newer.receipt()) is restarted  # so it is said once


def test_a_state_that_is_no_older_goes_on_as_it_is():
    older = synced()
    newer = older.extended(a_sync())
    for receipt in (newer.receipt(), older.receipt(), None):
        assert restarted_if_older(Site(), newer, receipt) is newer


def test_a_state_that_was_replaced_by_one_from_before_its_beginning_is_refused():
    later = replace(HERE, now_at=NOW_AT + timedelta(days=1), server_now_at=NOW_AT + timedelta(days=1))
    first = synced().extended(a_sync()).extended(a_sync())
    second = synced(here=later)
    with pytest.raises(FatalError, match="of an earlier start than the last sync.*" + ACCEPT):
        refuse_lost_state(Site(), first, second.receipt())
    refuse_lost_state(Site(), second, first.receipt())


def test_a_plan_from_before_an_acceptance_does_not_undo_it():
    planned = synced()
    later = replace(found(server="PLANT-2"), now_at=NOW_AT + timedelta(minutes=5))
    accepted = verify_state(planned, later, a_settings(), accepted=True)
    assert accepted.verified_as(planned) == accepted
    assert planned.verified_as(accepted) == accepted


@pytest.mark.parametrize("kind", ["datetimeoffset", "nvarchar", "bigint"])
def test_a_timestamp_that_cannot_be_read_stops_at_once_with_the_name_of_its_column(kind):
    here = found(columns={"IndexData.At": kind})
    settings = a_settings(column_overrides={"IndexData": {"columns": {"Timestamp": "At"}}})
    with pytest.raises(FatalError, match=rf"VW235 column IndexData\.At must be datetime, .*, but is {kind}"):
        verify_state(State(since_at=BEGIN_AT), here, settings, accepted=False)
    readable = found(columns={"IndexData.At": "datetime2"})
    assert verify_state(State(since_at=BEGIN_AT), readable, settings, accepted=False).source == readable.source


ELSEWHERE = {
    "failover": {"server": "PLANT-2"},
    "restored copy": {"created_local": datetime(2026, 6, 1, 3)},
    "restored elsewhere": {"server": "PLANT-2", "created_local": datetime(2026, 6, 1, 3)},
}


@pytest.mark.parametrize("change", ELSEWHERE)
def test_a_source_that_its_database_identifies_goes_on_elsewhere_and_says_so(change, caplog):
    here = found(**ELSEWHERE[change])
    state = verify_state(synced(), here, a_settings(source_identity="database"), accepted=False)
    assert state.source == here.source
    assert state.coverage == synced().coverage
    assert f"VW913 source_identity = database: {here.source} counts as the same source as {HERE.source}" in caplog.text


@pytest.mark.parametrize("change", ELSEWHERE)
def test_unless_a_setting_says_otherwise_it_does_not(change):
    with pytest.raises(FatalError, match="VW513"):
        verify_state(synced(), found(**ELSEWHERE[change]), a_settings(), accepted=False)


def test_another_database_is_never_the_same_source():
    with pytest.raises(FatalError, match="VW513 another database"):
        verify_state(synced(), found(database="VTE10"), a_settings(source_identity="database"), accepted=False)


def test_the_same_database_in_the_same_place_is_not_worth_a_line(caplog):
    verify_state(synced(), HERE, a_settings(source_identity="database"), accepted=False)
    assert "VW913" not in caplog.text
