"""docs/mapping.md shows the report that its run and its settings give."""

from __future__ import annotations

import json

import pytest

from tests.documented_run import PAGE, blocks, documented_run, documented_settings
from vte_wats.mapping.report_builder import map_run


def test_the_report_of_the_page_is_the_one_of_its_run_and_settings():
    assert json.loads(blocks()[1]) == json.loads(map_run(documented_run(), documented_settings()).body)


@pytest.mark.parametrize("step", documented_run().steps, ids=lambda step: step.test_name)
def test_each_step_of_the_run_is_a_row_of_the_page(step):
    row = f"| {step.step_number} | {step.test_number} | {step.test_name} |"
    assert row in PAGE.read_text(encoding="utf-8")
