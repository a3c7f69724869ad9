"""What all documents for people share: one line stays one line, and HTML has no markup of others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from jinja2 import UndefinedError

from vte_wats.wording import count, document_templates, duration, minute, one_line


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


def test_many_have_an_s_and_thousands_a_comma():
    assert (count(1, "gap"), count(0, "gap"), count(12_345, "run")) == ("1 gap", "0 gaps", "12,345 runs")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "0 seconds"),
        (1, "1 second"),
        (59.6, "59 seconds"),
        (125, "2 minutes"),
        (3_600, "1 hour"),
        (3_605, "1 hour"),
        (7_500, "2 hours and 5 minutes"),
        (86_399, "23 hours and 59 minutes"),
        (86_700, "1 day"),
        (97_200, "1 day and 3 hours"),
        (45 * 86_400, "45 days"),
    ],
)
def test_a_duration_reads_as_people_say_it(seconds, text):
    assert duration(timedelta(seconds=seconds)) == text
