"""What WATS confirmed is looked for once its delay is over, and planned again when it is not there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from upath import UPath

from tests.unit.builders import a_natural_key, a_report, a_settings, guid_of
from tests.unit.fakes import FakeWats
from vte_wats.domain.report import Report, StoredReport
from vte_wats.storage.in_flight_keys import InFlightKeys, confirmed_uploads
from vte_wats.storage.unseen_reports import Tries, UnseenReports
from vte_wats.sync.confirmed_check import check_confirmed, plan_unseen

NOW_AT = datetime(2026, 6, 15, 11, tzinfo=UTC)
LATER_AT = NOW_AT + timedelta(minutes=5)
SETTINGS = a_settings(batch_size=2)


@pytest.fixture
def storage(tmp_path) -> UPath:
    return UPath(tmp_path)


def confirm(storage: UPath, *reports: Report, name: str = "s0001", at: datetime = NOW_AT) -> None:
    """Leave what an upload leaves that WATS confirmed these reports to."""
    with InFlightKeys(storage, name, lambda: at, shown_after_s=120) as keys:
        keys.add(reports, persist=True)
        for report in reports:
            keys.confirm(StoredReport(report.report_id, report.report_id, report.source_hash))


def reports(*numbers: int) -> list[Report]:
    return [a_report(number, natural_key=a_natural_key(number)) for number in numbers]


def test_nothing_is_asked_for_before_the_delay_is_over(storage):
    confirm(storage, *reports(1))
    wats = FakeWats()
    soon_at = NOW_AT + timedelta(seconds=119)
    check_confirmed(wats, storage, soon_at)
    assert wats.asked == []
    assert plan_unseen(storage, SETTINGS, soon_at) == ()


def test_what_shows_is_asked_for_once_and_forgotten(storage):
    confirm(storage, *reports(1, 2))
    wats = FakeWats(*reports(1, 2))
    check_confirmed(wats, storage, LATER_AT)
    check_confirmed(wats, storage, LATER_AT)
    assert wats.asked == [2]
    assert confirmed_uploads(storage) == []
    assert plan_unseen(storage, SETTINGS, LATER_AT) == ()


def test_what_is_to_be_asked_for_without_new_runs_gets_a_slice_without_runs(storage):
    confirm(storage, *reports(1))
    (part,) = plan_unseen(storage, SETTINGS, LATER_AT)
    assert (part.name, part.runs, part.guids, part.ranges) == ("again", 0, (), ())
    assert part.label == "again · asks WATS for what it confirmed"


def test_what_does_not_show_is_planned_by_name_as_many_as_fit(storage, caplog):
    confirm(storage, *reports(1, 2, 3, 4))
    check_confirmed(FakeWats(*reports(2)), storage, LATER_AT)
    (part,) = plan_unseen(storage, SETTINGS, LATER_AT)
    assert part.name.startswith("again")
    assert part.guids == (guid_of(1), guid_of(3))
    assert caplog.messages == ["VW546 WATS confirmed 3 reports and does not show them; they are posted again"]


def test_a_report_with_other_content_than_was_confirmed_does_not_show(storage):
    confirm(storage, *reports(1))
    other = Report(guid_of(1), "ffff", a_natural_key(1), "P", b"{}")
    check_confirmed(FakeWats(other), storage, LATER_AT)
    assert UnseenReports(storage).tries() == {guid_of(1): Tries(1, "aaaa")}


def test_each_confirmation_that_does_not_show_counts_until_one_does(storage):
    for n in range(1, 4):
        at = NOW_AT + timedelta(minutes=10 * n)
        confirm(storage, *reports(1), name=f"s{n:04}", at=at)
        assert plan_unseen(storage, SETTINGS, at) == ()  # it is asked for first
        check_confirmed(FakeWats(), storage, at + timedelta(minutes=5))
        assert UnseenReports(storage).tries() == {guid_of(1): Tries(n, "aaaa")}
    confirm(storage, *reports(1), name="s0004", at=LATER_AT)
    check_confirmed(FakeWats(*reports(1)), storage, LATER_AT + timedelta(hours=1))
    assert UnseenReports(storage).tries() == {}


def test_a_run_that_changed_counts_from_the_beginning(storage):
    UnseenReports(storage).add("s0000.json", {guid_of(1): Tries(2, "bbbb")})
    confirm(storage, *reports(1))
    check_confirmed(FakeWats(), storage, LATER_AT)
    assert UnseenReports(storage).tries() == {guid_of(1): Tries(1, "aaaa")}


def test_of_a_report_that_was_replaced_meanwhile_the_last_confirmation_counts(storage):
    later = [Report(guid_of(1), f"{n}fff", a_natural_key(1), "P", b"{}") for n in range(3)]
    for n, report in enumerate(later):
        confirm(storage, report, name=f"s{n:04}", at=NOW_AT + timedelta(minutes=2 * n))
    wats = FakeWats(later[-1])
    check_confirmed(wats, storage, LATER_AT)  # the last one is not due yet
    assert UnseenReports(storage).tries() == {}
    assert [upload.confirmed[0].source_hash for upload in confirmed_uploads(storage)] == ["2fff"]
    check_confirmed(wats, storage, LATER_AT + timedelta(minutes=2))
    assert (UnseenReports(storage).tries(), confirmed_uploads(storage)) == ({}, [])


def test_a_thousand_reports_are_asked_for_by_one_upload_and_the_others_by_the_next(storage):
    for name in ("s0001", "s0002", "s0003"):
        confirm(storage, *reports(*range(int(name[1:]) * 1_000, int(name[1:]) * 1_000 + 600)), name=name)
    wats = FakeWats()
    check_confirmed(wats, storage, LATER_AT)
    assert wats.asked == [600, 600]
    assert len(confirmed_uploads(storage)) == 1
