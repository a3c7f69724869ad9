from __future__ import annotations

from datetime import timedelta

import pytest

from vte_wats.domain.wording import count, duration


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
