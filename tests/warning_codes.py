"""What fails a test that makes the product log a warning or an error without its code."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager

_BEGINNING = re.compile(r"VW\d{3} ")


class _WithoutCode(logging.Handler):
    """Collects those warnings, with their places."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not _BEGINNING.match(text := record.getMessage()):
            self.found.append(f"{record.pathname}:{record.lineno}: {text}")


_without_code = _WithoutCode()
logging.getLogger("vte_wats").addHandler(_without_code)


@contextmanager
def only_warnings_with_a_code() -> Iterator[None]:
    """Raise AssertionError at the end when a warning or an error in this process did not begin with its code."""
    _without_code.found = []
    yield
    found, _without_code.found = _without_code.found, []
    assert not found, "warnings that do not begin with a code:\n" + "\n".join(found)
