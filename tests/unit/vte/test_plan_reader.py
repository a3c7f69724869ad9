"""Which statements are planned, and the forms in which a plan comes."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import pytest

from tests.unit.builders import a_settings
from vte_wats.intervals.wall_clock import LocalRange
from vte_wats.vte.plan_reader import plan_text, statements_of_a_sync
from vte_wats.vte.statements import statement

RANGES = [LocalRange(datetime(2026, 3, 2, 6), datetime(2026, 3, 2, 6, 5))]


@pytest.mark.parametrize("planned", list(statements_of_a_sync(RANGES, a_settings())), ids=lambda planned: planned.title)
def test_every_planned_statement_is_complete_and_has_its_values(planned):
    text = statement(planned.select.name, a_settings(), **planned.conditions)
    assert "{" not in text
    complete = text % {name: repr(value) for name, value in planned.binds.items()}
    assert ("T06:05:00" in complete) is not planned.title.endswith("by GUID")
    assert (str(UUID(int=100)) in complete) is planned.title.endswith("by GUID")


@pytest.mark.parametrize(
    ("rows", "text"),
    [
        pytest.param([("<a ü='1'/>",)], "<a ü='1'/>", id="text"),
        pytest.param([("<a ü='1'/>".encode(),)], "<a ü='1'/>", id="utf-8"),
        pytest.param([("<a ü='1'/>".encode("utf-16-le"),)], "<a ü='1'/>", id="utf-16"),
        pytest.param([], "", id="no-row"),
        pytest.param([(None,)], "", id="null"),
        pytest.param([("<a/>",), ("<b/>",)], "", id="two-rows"),
    ],
)
def test_a_plan_is_the_one_value_of_the_answer(rows, text):
    assert plan_text(rows) == text
