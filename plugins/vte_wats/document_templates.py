"""How documents for people are laid out: Jinja templates of a package, and the filters that all of them have."""

from __future__ import annotations

from datetime import datetime

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
