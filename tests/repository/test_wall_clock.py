"""No test fails because a machine is slow: it asserts no upper bound of a time that it measured."""

from __future__ import annotations

import ast
import textwrap

import pytest

CLOCKS = {"monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns", "process_time", "time", "time_ns"}
MEASURED = "duration_s"  # what the servers of the sandbox note of each request
UPPER = {  # the operator of "a op b", and whether the measured side a has to be the smaller one
    ast.Lt: True,
    ast.LtE: True,
    ast.Gt: False,
    ast.GtE: False,
}
ALLOWED = {"tests/waiting.py:wait_until": "gives up on what never comes, after minutes"}


def _is_clock(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func
    return (isinstance(called, ast.Attribute) and called.attr in CLOCKS and ast.unparse(called.value) == "time") or (
        isinstance(called, ast.Name) and called.id in CLOCKS
    )


def _is_measured(node: ast.AST, names: set[str]) -> bool:
    return any(
        _is_clock(part)
        or (isinstance(part, ast.Name) and part.id in names)
        or (isinstance(part, ast.Attribute) and part.attr == MEASURED)
        for part in ast.walk(node)
    )


def _measured_names(function: ast.AST) -> set[str]:
    """Return the names that hold a moment or a time by the clock of the machine."""
    names: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.Assign) and _is_measured(node.value, names):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def upper_bounds(source: str) -> set[str]:
    """Return the functions that assert that a measured time is below something."""
    return {
        function.name
        for function in ast.walk(ast.parse(source))
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for statement in ast.walk(function)
        if isinstance(statement, ast.Assert)
        for compared in ast.walk(statement.test)
        if isinstance(compared, ast.Compare) and _has_upper_bound(compared, _measured_names(function))
    }


def _has_upper_bound(compared: ast.Compare, names: set[str]) -> bool:
    sides = [compared.left, *compared.comparators]
    return any(
        type(operator) in UPPER and _is_measured(left if UPPER[type(operator)] else right, names)
        for left, operator, right in zip(sides, compared.ops, sides[1:], strict=False)
    )


@pytest.mark.parametrize(
    "statements",
    [
        "began = time.monotonic()\nassert time.monotonic() - began < 5",
        "took_s = time.perf_counter() - began\nassert 2 <= took_s <= 5",
        "assert 5 > time.time() - began",
        "assert 0 < posted.duration_s < 5",
    ],
)
def test_an_upper_bound_of_a_measured_time_is_found(statements):
    assert upper_bounds(f"def test_it():\n{textwrap.indent(statements, '    ')}") == {"test_it"}


def test_a_lower_bound_of_a_measured_time_is_none():
    assert upper_bounds("def test_it():\n    assert time.monotonic() - began >= 0.3") == set()


def test_no_test_asserts_that_something_was_quick(repository):
    found = {
        f"{path.relative_to(repository)}:{name}"
        for path in sorted((repository / "tests").rglob("*.py"))
        for name in upper_bounds(path.read_text(encoding="utf-8"))
    }
    assert found == set(ALLOWED)
