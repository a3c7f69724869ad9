"""Which dead letters are carried again when a person asks for it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from upath import UPath

from tests.unit.builders import a_run, guid_of
from vte_wats.backfill.request import dead_letters_of, redrive
from vte_wats.domain.errors import FatalError
from vte_wats.domain.outcome import DeadLetterKind
from vte_wats.storage.dead_letters import DeadLetters

NOW_AT = datetime(2026, 6, 16, tzinfo=UTC)


@pytest.fixture
def letters(tmp_path) -> DeadLetters:
    found = DeadLetters(UPath(tmp_path))
    for number, signature in [(1, "serial is blank"), (2, "serial is blank"), (3, "part number is blank")]:
        found.put(a_run(number), DeadLetterKind.DEAD, signature, signature, NOW_AT)
    return found


@pytest.mark.parametrize(
    ("dead_letters", "expected"), [("all", [1, 2, 3]), ("serial is blank", [1, 2])], ids=["all", "one-group"]
)
def test_runs_are_found_by_the_signature_of_their_letters(letters, dead_letters, expected):
    assert redrive(letters, dead_letters) == [guid_of(number) for number in expected]


def test_a_signature_nobody_has_is_refused_with_those_there_are(letters):
    with pytest.raises(FatalError, match=r"serial is blank \(2 runs\); part number is blank \(1 runs\)"):
        redrive(letters, "serial")


def test_all_of_no_letters_is_no_mistake(tmp_path):
    assert redrive(DeadLetters(UPath(tmp_path)), "all") == []


def test_a_signature_that_no_letter_has_any_more_names_no_runs(letters):
    assert dead_letters_of(letters, "serial is blank") == [guid_of(1), guid_of(2)]
    assert dead_letters_of(letters, "serial") == []


def test_the_runs_in_the_letters_are_not_read(letters, tmp_path):
    for path in (tmp_path / "dead_letters").iterdir():
        head, before_run, _ = path.read_bytes().partition(b'"run":')
        path.write_bytes(head + before_run)
    assert redrive(letters, "serial is blank") == [guid_of(1), guid_of(2)]
