"""How numbers and lengths of time read in messages, mails and on the status page."""

from __future__ import annotations

from datetime import timedelta

from humanize import intcomma, precisedelta

_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


def count(number: int, noun: str) -> str:
    """Return ``1 gap`` or ``1,200 gaps``; the noun must take a plain *s*."""
    return f"{intcomma(number)} {noun}{'' if number == 1 else 's'}"


def duration(length: timedelta) -> str:
    """Return a length of time, rounded down, without what is too small to matter beside it: ``1 day and 3 hours``."""
    smallest = "hours" if length >= _DAY else "minutes" if length >= _MINUTE else "seconds"
    return precisedelta(max(length, timedelta()), minimum_unit=smallest, suppress=("months", "years"), format="%d")
