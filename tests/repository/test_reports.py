"""Each public problem report that was tried here, P1 to P14, is a test, and so are three further inputs of its kind.

``@pytest.mark.report("P7")`` says of which a test is. Its inputs are the values of its parameters, as its source lists them.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from math import prod

REPORTS = [f"P{number}" for number in range(1, 15)]
INPUTS = 4  # the report's own, and three further ones


def inputs_in(source: str) -> Iterator[tuple[str, int]]:
    """Yield each report that a module has tests of, with their number of inputs; what is not spelled out counts once."""
    module = ast.parse(source)
    lists = {
        target.id: node.value
        for node in module.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for function in module.body:
        if isinstance(function, ast.FunctionDef):
            marks = [mark for mark in function.decorator_list if isinstance(mark, ast.Call)]
            inputs = prod(
                _values(mark.args[1], lists) for mark in marks if ast.unparse(mark.func).endswith(".parametrize")
            )
            yield from (
                (str(ast.literal_eval(mark.args[0])), inputs)
                for mark in marks
                if ast.unparse(mark.func) == "pytest.mark.report"
            )


def _values(values: ast.expr, lists: dict[str, ast.expr]) -> int:
    found = lists.get(values.id) if isinstance(values, ast.Name) else values
    return len(found.elts) if isinstance(found, ast.List | ast.Tuple) else 1


def test_the_inputs_of_a_test_are_the_product_of_its_parameters():
    source = """
NAMES = ["a", "b"]

@pytest.mark.report("P7")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_it(name, n): ...

@pytest.mark.report("P8")
def test_once(): ...

@pytest.mark.parametrize("n", [1, 2, 3])
def test_another(n): ...
"""
    assert list(inputs_in(source)) == [("P7", 6), ("P8", 1)]


def test_every_report_has_its_own_input_and_three_further_ones(repository):
    inputs = Counter[str]()
    for path in (repository / "tests").rglob("test_*.py"):
        for report, number in inputs_in(path.read_text(encoding="utf-8")):
            inputs[report] += number
    assert sorted(inputs, key=REPORTS.index) == REPORTS
    assert {report: number for report, number in inputs.items() if number < INPUTS} == {}
