from __future__ import annotations

from benchmarks import page


def test_the_page_is_the_one_that_the_results_make():
    assert page.PAGE.read_text(encoding="utf-8") == page.page_of(page.read_results())
