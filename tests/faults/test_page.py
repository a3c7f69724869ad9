"""The page of what was played names what was not."""

from __future__ import annotations

from tests.faults.page import page
from tests.faults.results import Results
from tests.site.check import Findings

ALONE = Findings(runs=540, reports=538, dead_letters=2, lost=0, doubled=0, altered=0, days=11, wrong=())


def test_what_was_never_played_is_named_and_the_rest_has_its_figures():
    nothing = page(Results(), (), (), 7)
    assert "Not played yet: the fuzzed database, the plant of ten days." in nothing
    some = page(Results(converged=("2026-11-29", ALONE)), (), (), 7)
    assert "Not played yet: the fuzzed database.\n" in some
    assert "At the end: 540 runs, 538 reports" in some
    assert "Nothing was wrong. Played 2026-11-29." in some
