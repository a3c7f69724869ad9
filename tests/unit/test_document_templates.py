"""What all documents for people share: one line stays one line, and HTML has no markup of others."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from jinja2 import UndefinedError

from vte_wats.document_templates import document_templates, minute, one_line


@pytest.mark.parametrize("package", ["vte_wats.survey", "vte_wats.acceptance", "vte_wats.alerting"])
def test_every_document_has_its_templates(package):
    templates = document_templates(package)
    assert [name for name in templates.list_templates() if name.endswith(".html.j2")]
    with pytest.raises(UndefinedError):
        templates.from_string("{{ unknown }}").render()


def test_html_escapes_and_other_forms_do_not():
    templates = document_templates("vte_wats.acceptance")
    is_escaped = templates.autoescape
    assert callable(is_escaped)
    assert (is_escaped("report.html.j2"), is_escaped("report.md.j2")) == (True, False)


def test_a_value_is_one_line_with_an_end():
    assert one_line("a\r\nb\x00\tc") == "a b c"
    assert one_line("x" * 401) == "x" * 399 + "…"


def test_a_time_is_shown_to_the_minute_with_its_zone_if_it_has_one():
    at = datetime(2026, 3, 2, 6, 7, 8)
    assert minute(at) == "2026-03-02 06:07"
    assert minute(at.replace(tzinfo=UTC)) == "2026-03-02 06:07 UTC"
    assert minute(None) == "none"
