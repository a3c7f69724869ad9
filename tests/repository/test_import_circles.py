"""Folders and modules of tests and benchmarks do not import each other in circles; import-linter sees to the rest."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from more_itertools import ilen, longest_common_prefix


def imported(source: str) -> Iterator[str]:
    """Yield the dotted names of what a module imports, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ImportFrom(module=str(module), names=names):
                yield from (f"{module}.{name.name}" for name in names)
            case ast.Import(names=names):
                yield from (name.name for name in names)


def circle(sources: dict[str, str]) -> list[str]:
    """Return siblings that import each other, from what each module by its dotted name says; nothing if none do."""
    edges = defaultdict(set)
    for module, source in sources.items():
        for name in imported(source):
            importer, target = module.split("."), name.split(".")
            depth = ilen(longest_common_prefix([importer, target]))
            if 0 < depth < min(len(importer), len(target)):
                edges[tuple(importer[: depth + 1])].add(tuple(target[: depth + 1]))
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as exc:
        return [".".join(sibling) for sibling in exc.args[1]]
    return []


@pytest.mark.parametrize(
    "statement", ["from tests.b import y", "import tests.b.y", "def f():\n    from tests.b.y import z"]
)
def test_a_circle_of_two_folders_is_found_although_no_two_modules_make_one(statement):
    sources = {"tests.a.x": statement, "tests.b.z": "from tests.a.w import v"}
    assert set(circle(sources)) == {"tests.a", "tests.b"}
    assert circle(sources | {"tests.b.z": ""}) == []


def test_a_circle_inside_a_folder_is_found():
    assert set(circle({"tests.a.x": "import tests.a.y", "tests.a.y": "from tests.a import x"})) == {
        "tests.a.x",
        "tests.a.y",
    }


@pytest.mark.parametrize("root", ["tests", "benchmarks"])
def test_nothing_is_imported_in_a_circle(repository, root):
    files = [path.relative_to(repository) for path in (repository / root).rglob("*.py")]
    assert len(files) > 10
    assert circle({_name(path): (repository / path).read_text(encoding="utf-8") for path in files}) == []


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")
