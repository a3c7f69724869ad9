"""The benchmarks at sizes that say nothing about speed: their code runs, and every ratio is a number."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator

import pytest
from fsspec import filesystem

from benchmarks.tables import TABLES

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    """Leave no connection to a environment that is gone to the tests after."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)
    assert "ls" not in vars(filesystem("memory"))  # one for the whole process: what counts there counts no longer


@pytest.mark.parametrize("name", TABLES)
def test_a_table_is_measured_and_reported(name):
    table = TABLES[name]
    result = json.loads(json.dumps(table.measure(table.TINY)))
    goals = table.goals(result)
    assert goals
    assert all(math.isfinite(goal.measured) and goal.measured > 0 for goal in goals)
    lines = table.page(result)
    assert any(line.startswith("|") for line in lines)
    assert not any(word in "\n".join(lines) for word in ("nan", "inf "))
