"""A run that goes the way of every run: mapped, posted, found again."""

from __future__ import annotations

import json

import pytest

from tests.unit.acceptance.fake_wats import PLAN, FakeClock
from tests.unit.fakes import FakeWats
from vte_wats.acceptance.own_upload import upload_own
from vte_wats.acceptance.probes import PART_NUMBER, is_own
from vte_wats.domain.errors import RejectedError
from vte_wats.messages import VW417

REPORT_ID = PLAN.report_id("own upload")


class LateWats(FakeWats):
    """Shows reports once the clock has reached a time."""

    def __init__(self, clock: FakeClock, shows_at_s: float) -> None:
        super().__init__()
        self._clock, self._shows_at_s = clock, shows_at_s

    def find_reports(self, ids):
        return super().find_reports(ids) if self._clock.s >= self._shows_at_s else {}


def test_the_run_is_mapped_labelled_uploaded_and_found():
    wats = FakeWats()
    own = upload_own(wats, FakeClock(), PLAN, longest_delay_s=300)
    assert (own.error, own.is_proven) == (None, True)
    body = json.loads(wats.reports[REPORT_ID].body)
    assert body["pn"] == PART_NUMBER
    assert is_own({"miscInfo": body["miscInfos"]})
    assert len(body["root"]["steps"]) == 6


def test_the_report_is_waited_for():
    clock = FakeClock()
    wats = LateWats(clock, clock.s + 60)
    assert upload_own(wats, clock, PLAN, longest_delay_s=300).is_proven
    assert wats.posted == [REPORT_ID]


@pytest.mark.parametrize(("keeps_misc_infos", "is_proven"), [(True, True), (False, False)])
def test_the_hash_is_read_in_the_report_itself_where_headers_have_none(keeps_misc_infos, is_proven):
    wats = FakeWats()
    wats.lists_misc_infos, wats.keeps_misc_infos = False, keeps_misc_infos
    assert upload_own(wats, FakeClock(), PLAN, longest_delay_s=300).is_proven is is_proven


def test_a_report_that_does_not_show_in_time_is_not_proven():
    clock = FakeClock()
    own = upload_own(LateWats(clock, clock.s + 400), clock, PLAN, longest_delay_s=300)
    assert (own.error, own.is_proven) == (None, False)


def test_what_wats_says_about_a_refused_run_is_kept():
    wats = FakeWats()
    wats.fail_next[REPORT_ID] = [RejectedError(VW417, "uut.user: is required", "user")]
    own = upload_own(wats, FakeClock(), PLAN, longest_delay_s=300)
    assert "uut.user: is required" in own.error
    assert not own.is_proven
