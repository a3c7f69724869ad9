"""A small database of anything; make faults takes one of ten thousand runs."""

from __future__ import annotations

import pytest

from tests.faults.fuzz import fuzz_apart
from tests.faults.run import SEED

pytestmark = pytest.mark.slow


def test_whatever_a_database_holds_becomes_a_report_that_says_it_or_a_dead_letter(tmp_path):
    verdict = fuzz_apart(400, SEED, tmp_path)
    assert verdict.wrong == ()
    assert verdict.reports > 200
    assert min(verdict.dead, verdict.held) > 5
