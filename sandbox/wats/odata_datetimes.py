"""Moments in time as WATS keeps them: 100-nanosecond ticks since 1970, so that equal instants compare equal."""

import re
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SHAPE = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)[T ](?P<time>\d\d:\d\d(?::\d\d)?)(?:\.(?P<fraction>\d+))?(?P<offset>Z|z|[+-]\d\d:\d\d)?",
    re.ASCII,
)
TICKS_PER_SECOND = 10_000_000


def ticks_of(text: str) -> int:
    """Return the ticks of an ISO 8601 text with UTC offset; digits beyond the seventh are dropped.

    Raises ValueError for anything else, a text without offset included: guessing a zone would move the instant.
    """
    match = _SHAPE.fullmatch(text)
    if match is None:
        raise ValueError("expected yyyy-MM-ddTHH:mm:ss[.fffffff] and a UTC offset")
    if match["offset"] is None:
        raise ValueError("the UTC offset is missing")
    moment = datetime.fromisoformat(f"{match['date']}T{match['time']}{match['offset'].upper()}")
    fraction = (match["fraction"] or "")[:7].ljust(7, "0")
    return (moment - _EPOCH) // _MICROSECOND * 10 + int(fraction)


def ticks_of_datetime(moment: datetime) -> int:
    """Return the ticks of an aware datetime."""
    return (moment - _EPOCH) // _MICROSECOND * 10


def text_of_ticks(ticks: int) -> str:
    """Return `yyyy-MM-ddTHH:mm:ss[.fffffff]Z`, without trailing zeros in the fraction."""
    seconds, fraction = divmod(ticks, TICKS_PER_SECOND)
    text = (_EPOCH + timedelta(seconds=seconds)).replace(tzinfo=None).isoformat()
    return f"{text}.{fraction:07d}".rstrip("0") + "Z" if fraction else text + "Z"


def now_utc() -> datetime:
    """Return the present moment; the server's clock unless it is given another."""
    return datetime.now(UTC)
