"""How texts, times and numbers read in what people see, and the Jinja templates that lay it out."""

from __future__ import annotations

from datetime import datetime, timedelta

from humanize import intcomma, precisedelta
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

_CELL_LENGTH = 400


def document_templates(package: str) -> Environment:
    """Return the templates of a package's folder ``templates``.

    HTML escapes every value, and a name that is not given is an error. Filters: ``line`` and ``minute``.
    """
    templates = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"line": one_line, "minute": minute}
    return templates


def one_line(value: object, length: int = _CELL_LENGTH) -> str:
    """Return one line of at most this length, without control characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    return flat if len(flat) <= length else flat[: length - 1] + "…"


def minute(time: datetime | None) -> str:
    """Return a time to the minute; an aware one is in UTC."""
    if time is None:
        return "none"
    return f"{time:%Y-%m-%d %H:%M}" + (" UTC" if time.tzinfo else "")


_MINUTE, _DAY = timedelta(minutes=1), timedelta(days=1)


def count(number: int, noun: str) -> str:
    """Return ``1 gap`` or ``1,200 gaps``; the noun must take a plain *s*."""
    return f"{intcomma(number)} {noun}{'' if number == 1 else 's'}"


def duration(length: timedelta) -> str:
    """Return a length of time, rounded down, without what is too small to matter beside it: ``1 day and 3 hours``."""
    smallest = "hours" if length >= _DAY else "minutes" if length >= _MINUTE else "seconds"
    return precisedelta(max(length, timedelta()), minimum_unit=smallest, suppress=("months", "years"), format="%d")
