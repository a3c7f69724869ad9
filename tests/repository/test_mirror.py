"""The unit tests stand where their module stands: a reader of one finds the other."""

from __future__ import annotations

from pathlib import Path

UNIT = Path("tests/unit")
PACKAGE = Path("plugins/vte_wats")


def test_every_unit_test_is_named_after_a_module_of_the_package(repository):
    tests = [path.relative_to(repository / UNIT) for path in (repository / UNIT).rglob("test_*.py")]
    assert tests
    modules = [path.with_name(path.name.removeprefix("test_")) for path in tests]
    assert [str(module) for module in modules if not (repository / PACKAGE / module).is_file()] == []
