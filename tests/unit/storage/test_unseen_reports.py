from __future__ import annotations

import pytest
from upath import UPath

from tests.unit.builders import guid_of
from vte_wats.messages import VW621
from vte_wats.storage.unseen_reports import UnseenReports


@pytest.fixture
def unseen(tmp_path) -> UnseenReports:
    return UnseenReports(UPath(tmp_path))


def test_without_such_reports_there_is_no_file(unseen, tmp_path):
    assert unseen.tries() == {}
    unseen.forget([guid_of(1)])
    assert list(tmp_path.iterdir()) == []


def test_of_two_uploads_the_larger_number_of_tries_counts(unseen):
    unseen.add("a.json", {guid_of(1): 1, guid_of(2): 1})
    unseen.add("b.json", {guid_of(1): 2})
    assert unseen.tries() == {guid_of(1): 2, guid_of(2): 1}


def test_what_is_shown_is_forgotten_in_every_file_and_empty_files_go(unseen, tmp_path):
    unseen.add("a.json", {guid_of(1): 1, guid_of(2): 1})
    unseen.add("b.json", {guid_of(1): 2})
    unseen.forget({guid_of(1)})
    assert unseen.tries() == {guid_of(2): 1}
    assert [path.name for path in (tmp_path / "unseen").iterdir()] == ["a.json"]


def test_a_damaged_file_hides_no_other(unseen, tmp_path, caplog):
    unseen.add("a.json", {guid_of(1): 1})
    (tmp_path / "unseen" / "b.json").write_text("{")
    assert unseen.tries() == {guid_of(1): 1}
    assert VW621.code in caplog.text
