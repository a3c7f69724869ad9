"""What the storage refuses is an error of the product: no call of a file system stands outside ``storage_errors``."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

STORAGE = Path("plugins/vte_wats/storage")
ASKING = frozenset(
    [
        "cat_file",
        "chmod",
        "exists",
        "find",
        "fsync",
        "glob",
        "is_dir",
        "is_file",
        "iterdir",
        "ls",
        "mkdir",
        "modified",
        "open",
        "pipe_file",
        "rm",
        "rm_file",
        "rmdir",
        "stat",
        "touch",
        "unlink",
    ]
)
HELPERS = frozenset({"_create_local_folder", "_open_local", "_written_locally"})  # are called inside alone


def calls(node: ast.AST, function: str = "", *, inside: bool = False) -> Iterator[tuple[str, str, int, bool]]:
    """Yield each call below a node: its name, the function that it is in, its line, and whether it is inside."""
    if isinstance(node, ast.FunctionDef):
        function, inside = node.name, False
    elif isinstance(node, ast.With):
        for item in node.items:
            yield from calls(item.context_expr, function, inside=inside)
            inside = inside or "storage_errors" in ast.unparse(item.context_expr)
        for statement in node.body:
            yield from calls(statement, function, inside=inside)
        return
    elif isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        yield name, function, node.lineno, inside
    for child in ast.iter_child_nodes(node):
        yield from calls(child, function, inside=inside)


def test_no_module_of_the_storage_asks_a_file_system_outside_of_storage_errors(repository):
    found = [
        (f"{path.name}:{line} {name}", name, function, inside)
        for path in sorted((repository / STORAGE).glob("*.py"))
        for name, function, line, inside in calls(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert sum(name in ASKING for _, name, _, _ in found) > 20
    outside = [
        where
        for where, name, function, inside in found
        if not inside and (name in HELPERS or (name in ASKING and function not in HELPERS))
    ]
    assert outside == []
