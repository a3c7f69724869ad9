"""Every message is one record with a code of its own; it is used somewhere and explained in the documentation."""

from __future__ import annotations

import importlib
import logging
import pickle
import pkgutil
import re
from collections import Counter

import pytest

import vte_wats
from tests.warning_codes import only_warnings_with_a_code
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


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (logging.WARNING, "a run is gone"),
        (logging.ERROR, "VW5 a run is gone"),
        (logging.CRITICAL, "a run is gone VW501"),
    ],
)
def test_a_warning_without_a_code_fails_the_test_that_makes_it(level: int, text: str):
    log = logging.getLogger("vte_wats.sync.plan")
    with only_warnings_with_a_code():
        log.log(level, "%s %s", VW507, text)
        log.info("%s", text)
    with pytest.raises(AssertionError, match=text), only_warnings_with_a_code():
        log.log(level, "%s", text)


def test_every_message_is_explained(repository):
    text = (repository / "docs/troubleshooting.md").read_text(encoding="utf-8")
    assert [message.code for message in ALL if f"| `{message.code}` |" not in text] == []
