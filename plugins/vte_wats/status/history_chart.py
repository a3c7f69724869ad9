"""The history as points of a chart, so many that a screen can show them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from vte_wats.state.history import History, Tally, quantile_ms
from vte_wats.status.api_models import Past, Point, Span

_WIDTH = {Span.DAY: timedelta(hours=1), Span.FORTNIGHT: timedelta(hours=6), Span.YEAR: timedelta(days=7)}
_POINTS = {Span.DAY: 24, Span.FORTNIGHT: 56, Span.YEAR: 52}


def past(history: History, span: Span, now_at: datetime) -> Past:
    """Return the points of a span that ends with what is under way: hours, quarters of days, or weeks, of UTC."""
    if span is Span.YEAR:
        tallies = {datetime.combine(day, datetime.min.time(), UTC): tally for day, tally in history.days.items()}
    else:
        tallies = dict(history.hours)
    width = _WIDTH[span]
    return Past(span=span, points=[_point(at, at + width, tallies) for at in _begins(span, now_at)])


def _begins(span: Span, now_at: datetime) -> Iterator[datetime]:
    day_at = now_at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    width = _WIDTH[span]
    last_at = day_at + (now_at - day_at) // width * width
    if span is Span.YEAR:
        last_at -= timedelta(days=6)  # so that the last week ends with today
    return (last_at - width * n for n in reversed(range(_POINTS[span])))


def _point(from_at: datetime, to_at: datetime, tallies: Mapping[datetime, Tally]) -> Point:
    tally = _added(tally for at, tally in tallies.items() if from_at <= at < to_at)
    return Point(
        from_at=from_at,
        to_at=to_at,
        read=tally.read,
        outcomes=tally.outcomes,
        requests=tally.requests,
        p50_ms=quantile_ms(tally.latency_ms, 0.5),
        p95_ms=quantile_ms(tally.latency_ms, 0.95),
    )


def _added(tallies: Iterable[Tally]) -> Tally:
    return sum(tallies, Tally())
