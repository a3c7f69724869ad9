"""What an acceptance run posts and asks, against a WATS in memory that can be any."""

from __future__ import annotations

import pytest

from tests.unit.acceptance.fake_wats import PLAN, FakeClock, FakeWats
from vte_wats.acceptance.observe import Observations, observe
from vte_wats.acceptance.probes import PART_NUMBER, Case, Plan, probes
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW950, VW951, VW952, VW953

QUOTED = {"bare": 500, "or_chain": 400}


def observed(plan: Plan = PLAN, *, largest_body_bytes: int = 0, **behaviour) -> tuple[Observations, FakeWats]:
    clock = FakeClock()
    wats = FakeWats(clock, **behaviour)
    return observe(wats, clock, plan, longest_delay_s=300, largest_body_bytes=largest_body_bytes), wats


def a_foreign_report(wats: FakeWats) -> None:
    wats.post(next(probes(PLAN)).body.replace(b"vte_wats_acceptance", b"somebody"))


@pytest.mark.parametrize("lists_ranges", [True, False], ids=["asked for many", "asked for ten at a time"])
def test_nothing_is_posted_where_somebody_else_uses_the_part_number(lists_ranges):
    clock = FakeClock()
    wats = FakeWats(clock, lists_ranges=lists_ranges)
    observe(wats, clock, PLAN, longest_delay_s=300)  # its own reports are more than ten
    a_foreign_report(wats)
    posts = wats.posts
    with pytest.raises(FatalError, match=PART_NUMBER) as refused:
        observe(wats, clock, PLAN, longest_delay_s=300)
    assert refused.value.message is VW950
    assert wats.posts == posts


def test_nothing_is_posted_where_it_cannot_be_known_whose_reports_are_there(monkeypatch):
    clock = FakeClock()
    wats = FakeWats(clock)
    monkeypatch.setattr(wats, "headers_of_part", lambda *_, **__: wats.headers_by_id("bare", ()))
    wats._status_of = {"bare": 403}
    with pytest.raises(FatalError, match="403") as refused:
        observe(wats, clock, PLAN, longest_delay_s=300)
    assert refused.value.message is VW951
    assert wats.posts == 0


def test_a_second_run_goes_on_beside_the_reports_of_the_first():
    clock = FakeClock()
    wats = FakeWats(clock)
    first = observe(wats, clock, PLAN, longest_delay_s=300)
    second = observe(wats, clock, Plan(PLAN.started_at.replace(minute=30), 100, 501), longest_delay_s=300)
    ids = [{posted.probe.report_id for posted in seen.posted.values()} for seen in (first, second)]
    assert ids[0].isdisjoint(ids[1])
    assert all(seen.posted[case].header for seen in (first, second) for case in (Case.PLAIN, Case.USER_BLANK))


def test_a_refused_plain_report_stops_before_anything_else_is_posted():
    clock = FakeClock()
    wats = FakeWats(clock, refuses=lambda _: "The user may not submit reports.")
    with pytest.raises(FatalError, match="may not submit") as refused:
        observe(wats, clock, PLAN, longest_delay_s=300)
    assert refused.value.message is VW952
    assert wats.posts == 1


def test_a_plain_report_that_never_shows_stops_with_the_answers_to_every_way_of_asking():
    with pytest.raises(FatalError, match=r"within 300 s.*quoted: 200.*range: 200") as refused:
        observed(delay_s=400)
    assert refused.value.message is VW953


@pytest.mark.parametrize("delay_s", [0, 2, 60])
def test_every_report_is_waited_for_and_its_delay_measured(delay_s):
    seen, wats = observed(delay_s=delay_s)
    shown = [posted for posted in seen.posted.values() if posted.header is not None]
    assert len(shown) == len(Case) - 2  # one in quarantine, one replaced
    assert wats.posts == len(Case)
    for posted in shown:
        assert delay_s <= posted.seen_after_s <= delay_s * 1.1 + 5


def test_reports_are_found_under_ids_of_the_servers_own():
    seen, wats = observed(renames=True, array=True, status_of=QUOTED, delay_s=60)
    posted = seen.posted[Case.PLAIN]
    assert posted.header["uuid"] == str(wats.renamed[str(posted.probe.report_id)])
    assert posted.stored.is_success


def test_ids_are_asked_for_in_one_form_only_once_it_has_found_something():
    seen, _ = observed(status_of=QUOTED)
    asked = [what for what, _ in seen.answers if what.startswith("GET headers by id")]
    assert asked[0] == "GET headers by id, bare"
    assert set(asked[2:]) == {"GET headers by id, quoted"}
    assert {form: answer.status for form, answer in seen.ids.items()} == {"bare": 500, "quoted": 200, "or_chain": 400}


def test_reports_are_found_by_range_where_no_form_of_ids_is_understood():
    seen, _ = observed(status_of=dict.fromkeys(FakeWats.id_forms, 400))
    assert seen.posted[Case.USER_BLANK].header is not None


@pytest.mark.parametrize("limit", [900_000, 1_500_000, 3_000_000, 7_654_321])
def test_the_largest_body_is_narrowed_down(limit):
    seen, _ = observed(body_limit=limit, largest_body_bytes=8_000_000)
    taken = max((size for size, answer in seen.bodies if answer.is_success), default=0)
    refused = min(size for size, answer in seen.bodies if not answer.is_success)
    assert taken <= limit < refused
    assert refused - taken <= refused * 0.02
    assert len(seen.bodies) < 20


def test_no_larger_body_is_tried_than_was_asked_for():
    seen, _ = observed(largest_body_bytes=3_000_000)
    assert [size for size, _ in seen.bodies] == [1_000_000, 2_000_000, 3_000_000]
    assert observed()[0].bodies == []
