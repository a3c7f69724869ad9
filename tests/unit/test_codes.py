"""Every message of the product begins with a code that is registered, and every registered code is given somewhere."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from vte_wats.messages import CODES, Follows
from vte_wats.vte.sql_errors import SQL_FAILURES
from vte_wats.wats.response_errors import FAILURES

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = re.compile(r"VW\d{3} ")
FOLLOWS = {
    "FatalError": Follows.STOPS,
    "RetriableError": Follows.AGAIN,
    "RejectedError": Follows.DEAD,
    "HeldError": Follows.HELD,
    "warning": Follows.WARNS,
    "error": Follows.WARNS,
}
# An error that is passed on, and the rows of the two failure tables, bring their code along.
BRINGS_ITS_CODE = {"exc", "failure.code"}
REGISTERED = {one.code: one for one in CODES}


class Message:
    """One place in the package that gives a message, and how the message begins."""

    def __init__(self, path: Path, call: ast.Call, kind: str, beginning: str) -> None:
        self.where = f"{path.name}:{call.lineno}"
        self.kind, self.beginning = kind, beginning

    def __repr__(self) -> str:
        return f"{self.where} {self.kind} {self.beginning!r}"


def messages() -> Iterator[Message]:
    for folder in ("plugins/vte_wats", "dags"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            scopes = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
            for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call) and node.args):
                kind = kind_of(call)
                if kind is not None:
                    around = [one for one in scopes if one.lineno <= call.lineno <= (one.end_lineno or 0)]
                    yield Message(path, call, kind, beginning_of(call.args[0], around))


def kind_of(call: ast.Call) -> str | None:
    if isinstance(call.func, ast.Name) and call.func.id in FOLLOWS:
        return call.func.id
    if isinstance(call.func, ast.Attribute) and call.func.attr in ("warning", "error"):
        return call.func.attr if ast.unparse(call.func.value) in ("log", "_log") else None
    return None


def beginning_of(node: ast.expr, around: list) -> str:
    """Return the text a message begins with, or the expression in braces when it does not begin with text."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return beginning_of(node.values[0], around)
    if isinstance(node, ast.FormattedValue):
        return "{" + ast.unparse(node.value) + "}"
    if isinstance(node, ast.BinOp):
        return beginning_of(node.left, around)
    if isinstance(node, ast.Name):
        for scope in around:
            for one in ast.walk(scope):
                if isinstance(one, ast.Assign) and ast.unparse(one.targets[0]) == node.id:
                    return beginning_of(one.value, around)
    return ast.unparse(node)


ALL = list(messages())
TABLED = [*(row.code for row in SQL_FAILURES), *(row.code for row in FAILURES)]


def test_there_are_messages_to_look_at():
    assert len(ALL) > 50


@pytest.mark.parametrize("message", ALL, ids=repr)
def test_a_message_begins_with_a_registered_code_of_its_class(message):
    if message.beginning.strip("{}") in BRINGS_ITS_CODE or message.beginning.startswith("Run %s"):
        return
    assert CODE.match(message.beginning), message
    assert REGISTERED[message.beginning[:5]].follows is FOLLOWS[message.kind]


def test_every_registered_code_is_given_somewhere():
    assert {one.code for one in CODES} - {message.beginning[:5] for message in ALL} == set()


def test_no_code_stands_for_two_messages():
    assert [code for code, times in Counter([*REGISTERED, *TABLED]).items() if times > 1] == []
    assert len(REGISTERED) == len(CODES)


def test_every_code_is_explained():
    text = (REPOSITORY / "docs/troubleshooting.md").read_text(encoding="utf-8")
    for code in (*REGISTERED, *TABLED):
        assert f"| `{code}` |" in text
