"""What failed is tried again only where a busy machine may be why."""

from __future__ import annotations

import pytest

from tests.once_more import refusal


def test_few_tests_on_servers_are_tried_again():
    assert refusal(["tests/e2e/test_demo.py::test_it[a b]", "tests/integration/test_state.py::test_that"]) is None


@pytest.mark.parametrize(
    "failed",
    [
        [],
        [f"tests/e2e/test_demo.py::test_{number}" for number in range(4)],
        ["tests/e2e/test_demo.py::test_it", "tests/unit/test_messages.py::test_that"],
        ["tests/security/test_html.py::test_it"],
    ],
)
def test_nothing_many_and_others_are_not(failed):
    assert refusal(failed)
