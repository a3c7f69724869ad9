"""The unit tests stand where their module stands, and a module's name says which one is meant."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

UNIT = Path("tests/unit")
PACKAGE = Path("plugins/vte_wats")
DEMANDED = {"__init__.py", "__main__.py"}  # Python finds a package and its program by these names alone


def test_every_unit_test_is_named_after_a_module_of_the_package(repository):
    tests = [path.relative_to(repository / UNIT) for path in (repository / UNIT).rglob("test_*.py")]
    assert tests
    modules = [path.with_name(path.name.removeprefix("test_")) for path in tests]
    assert [str(module) for module in modules if not (repository / PACKAGE / module).is_file()] == []


@pytest.mark.parametrize("root", [PACKAGE, Path("sandbox")], ids=str)
def test_each_module_name_occurs_once(repository, root):
    names = Counter(path.name for path in (repository / root).rglob("*.py"))
    assert len(names) > 10
    assert [name for name, occurrences in names.items() if occurrences > 1 and name not in DEMANDED] == []
