from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from vte_wats.state.history import History, Tally
from vte_wats.status.api_models import Span
from vte_wats.status.history_chart import past

NOW_AT = datetime(2026, 6, 15, 12, 34, tzinfo=UTC)


@pytest.mark.parametrize(("span", "points", "hours"), [("day", 24, 1), ("fortnight", 56, 6), ("year", 52, 168)])
def test_a_span_has_points_of_equal_length_up_to_now(span, points, hours):
    found = past(History(), Span(span), NOW_AT).points
    assert len(found) == points
    assert {point.to_at - point.from_at for point in found} == {timedelta(hours=hours)}
    assert found[-1].from_at <= NOW_AT <= found[-1].to_at
    assert all(one.to_at == other.from_at for one, other in pairwise(found))


@pytest.mark.parametrize("span", Span)
def test_every_kept_run_of_a_span_is_in_one_point(span):
    history = History()
    for hours in range(24 * 400, -1, -7):
        history = history.settled(f"sync/{hours}", NOW_AT - timedelta(hours=hours), Tally(outcomes={"uploaded": 1}))
    found = past(history, span, NOW_AT).points
    kept = history.days if span is Span.YEAR else history.hours
    begin_at = found[0].from_at
    expected = sum(
        tally.read for at, tally in kept.items()
        if (at >= begin_at.date() if span is Span.YEAR else at >= begin_at)
    )  # fmt: skip
    assert sum(point.read for point in found) == expected > 0


def test_a_point_tells_latency_and_requests():
    tally = Tally(outcomes={"uploaded": 2}, requests=5, latency_ms={20: 1, 50: 1})
    point = past(History().settled("a", NOW_AT, tally), Span.DAY, NOW_AT).points[-1]
    assert (point.read, point.requests, point.p50_ms, point.p95_ms) == (2, 5, 20.0, 48.0)
