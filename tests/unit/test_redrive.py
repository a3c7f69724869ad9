"""Which runs are carried again when a person asks for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from upath import UPath

from tests.unit.builders import a_run, guid_of
from vte_wats.errors import FatalError
from vte_wats.storage.dead_letters import DeadLetters, LetterKind
from vte_wats.sync.redrive import redrive

NOW_AT = datetime(2026, 6, 16, tzinfo=UTC)


@pytest.fixture
def letters(tmp_path) -> DeadLetters:
    found = DeadLetters(UPath(tmp_path))
    for number, signature in [(1, "serial is blank"), (2, "serial is blank"), (3, "part number is blank")]:
        found.put(a_run(number), LetterKind.DEAD, signature, signature, NOW_AT)
    return found


@pytest.mark.parametrize(
    ("guids", "dead_letters", "expected"),
    [
        ([str(guid_of(9)).upper(), f" {guid_of(2)} "], None, [9, 2]),
        ([], "all", [1, 2, 3]),
        ([], "serial is blank", [1, 2]),
        ([str(guid_of(2))], "serial is blank", [2, 1]),
        ([], "", []),
    ],
    ids=["named", "all", "one-group", "named-and-group-once-each", "nothing"],
)
def test_runs_are_found_by_name_and_by_signature(letters, guids, dead_letters, expected):
    assert redrive(letters, guids, dead_letters) == [guid_of(number) for number in expected]


def test_a_text_that_is_no_guid_is_refused_with_field_and_value(letters):
    with pytest.raises(FatalError, match=r"guids: .*'SN-1'"):
        redrive(letters, ["SN-1"], None)


def test_a_signature_nobody_has_is_refused_with_those_there_are(letters):
    with pytest.raises(FatalError, match=r"serial is blank \(2 runs\); part number is blank \(1 runs\)"):
        redrive(letters, [], "serial")


def test_all_of_no_letters_is_no_mistake(tmp_path):
    assert redrive(DeadLetters(UPath(tmp_path)), [], "all") == []
