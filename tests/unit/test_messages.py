"""Every message is one record with a code of its own; it is used somewhere and explained in the documentation."""

from __future__ import annotations

import ast
import importlib
import pickle
import pkgutil
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import vte_wats
from vte_wats.domain.errors import FatalError, HeldError, RejectedError, RetriableError, VteWatsError
from vte_wats.messages import MESSAGES, VW110, VW401, VW411, VW507, Message
from vte_wats.vte.sql_errors import SQL_ERRORS
from vte_wats.wats.response_errors import RESPONSE_ERRORS

ALL: list[Message] = [*MESSAGES, *(row.message for row in (*SQL_ERRORS, *RESPONSE_ERRORS))]


def test_no_code_stands_for_two_messages():
    assert len(ALL) > 80
    assert [code for code, times in Counter(message.code for message in ALL).items() if times > 1] == []
    assert all(re.fullmatch(r"VW\d{3}", message.code) for message in ALL)


def test_a_message_has_the_name_that_is_its_code():
    messages = importlib.import_module("vte_wats.messages")
    assert {name for name, value in vars(messages).items() if isinstance(value, Message)} == {
        message.code for message in MESSAGES
    }


def test_every_message_says_what_it_means_and_what_to_do():
    for message in ALL:
        assert message.symptom, message
        assert message.meaning, message
        assert message.advice, message


def test_every_message_is_used_outside_of_the_catalogue():
    names = [module.name for module in pkgutil.walk_packages(vte_wats.__path__, "vte_wats.")]
    users = [vars(importlib.import_module(name)) for name in names if name != "vte_wats.messages"]
    used = {value.code for user in users for value in user.values() if isinstance(value, Message)}
    assert {message.code for message in MESSAGES} - used == set()


@pytest.mark.parametrize(
    "error",
    [
        FatalError(VW110, "storage_path: s3://x names no connection"),
        RetriableError(VW507, "SQL Server's clock is behind", 12.5),
        RejectedError(VW411, "serial must not be blank", "serial is blank"),
        HeldError(VW401, "test plan 'A' matches nothing", "test plan A"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_begins_with_its_code_and_survives_pickling(error: VteWatsError):
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) == f"{error.code} {error.detail}"
    assert again.message == error.message
    assert vars(again) == vars(error)


# First values of warnings that are no name of a message
BEGIN_WITH_THEIR_CODE = {
    "orchestration/alert_context.py: mistake": "an error of the product",
    "orchestration/monitor_tasks.py: self.caught[-1]": "an error of the product",
    "storage/in_flight_keys.py: exc": "an error of the product",
    "orchestration/variables.py: self.damaged": "the message that the definition of the Variable names",
    "orchestration/variables.py: exc": "an error of the product",
    "survey/content.py: error": "an error of the product",
    "survey/plans.py: error": "an error of the product",
    "survey/settling.py: error": "an error of the product",
    "sync/map_runs.py: code": "a reason is stored as text, and begins with its code",
    "vte/run_reader.py: error": "an error of the product",
    "vte/schema_reader.py: error": "an error of the product",
}


def warnings_of_the_product() -> Iterator[tuple[str, ast.Call]]:
    """Yield every call that logs a warning or an error, with its place."""
    root = Path(vte_wats.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in {"warning", "error", "exception", "critical"}
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"log", "_log"}
            ):
                yield path.relative_to(root).as_posix(), node


def is_a_message(value: ast.expr) -> bool:
    if isinstance(value, ast.IfExp):
        return is_a_message(value.body) and is_a_message(value.orelse)
    if isinstance(value, ast.Attribute):
        return value.attr == "message"
    return isinstance(value, ast.Name) and re.fullmatch(r"VW\d{3}", value.id) is not None


def test_every_warning_begins_with_a_code():
    without, others = [], set()
    for place, call in warnings_of_the_product():
        text, *values = call.args
        if not (isinstance(text, ast.Constant) and str(text.value).startswith("%s") and values):
            without.append(f"{place}:{call.lineno}")
        elif not is_a_message(values[0]):
            others.add(f"{place}: {ast.unparse(values[0])}")
    assert without == []
    assert others == BEGIN_WITH_THEIR_CODE.keys()


def test_every_message_is_explained(repository):
    text = (repository / "docs/troubleshooting.md").read_text(encoding="utf-8")
    assert [message.code for message in ALL if f"| `{message.code}` |" not in text] == []
