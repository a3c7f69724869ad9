from __future__ import annotations

import os
from pathlib import Path

import pytest
from upath import UPath

from tests.unit.builders import guid_of
from vte_wats.messages import VW621
from vte_wats.storage.unseen_reports import Tries, UnseenReports


@pytest.fixture
def unseen(tmp_path) -> UnseenReports:
    return UnseenReports(UPath(tmp_path))


def test_without_such_reports_there_is_no_file(unseen, tmp_path):
    assert unseen.tries() == {}
    unseen.forget([guid_of(1)])
    assert list(tmp_path.iterdir()) == []


def test_of_two_uploads_the_larger_number_of_tries_counts(unseen):
    unseen.add("a.json", {guid_of(1): Tries(1), guid_of(2): Tries(1)})
    unseen.add("b.json", {guid_of(1): Tries(2)})
    assert unseen.tries() == {guid_of(1): Tries(2), guid_of(2): Tries(1)}


def test_what_is_shown_is_forgotten_in_every_file_and_empty_files_go(unseen, tmp_path):
    unseen.add("a.json", {guid_of(1): Tries(1), guid_of(2): Tries(1)})
    unseen.add("b.json", {guid_of(1): Tries(2)})
    unseen.forget({guid_of(1)})
    assert unseen.tries() == {guid_of(2): Tries(1)}
    assert [path.name for path in (tmp_path / "unseen").iterdir()] == ["a.json"]


def test_a_damaged_file_hides_no_other(unseen, tmp_path, caplog):
    unseen.add("a.json", {guid_of(1): Tries(1)})
    (tmp_path / "unseen" / "b.json").write_text("{")
    assert unseen.tries() == {guid_of(1): Tries(1)}
    assert VW621.code in caplog.text


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/hostname")])
def test_what_is_no_file_hides_none_and_is_named(unseen, tmp_path, caplog, make):
    unseen.add("b.json", {guid_of(1): Tries(1), guid_of(2): Tries(1)})
    make(tmp_path / "unseen" / "a.json")
    unseen.forget({guid_of(2)})
    assert unseen.tries() == {guid_of(1): Tries(1)}
    assert f"{VW621} {tmp_path}/unseen/a.json is damaged" in caplog.text.replace("file://", "")


def test_of_other_content_the_tries_count_from_the_beginning():
    assert Tries(2).of("aa") == 2  # as an earlier version noted it
    assert [Tries(2, "aa").of(source_hash) for source_hash in ("aa", "bb")] == [2, 0]
    assert [Tries(2, "aa").again(source_hash) for source_hash in ("aa", "bb")] == [Tries(3, "aa"), Tries(1, "bb")]


def test_what_an_upload_notes_stands_instead_of_what_others_noted_before(unseen, tmp_path):
    unseen.add("a.json", {guid_of(1): Tries(2, "aa"), guid_of(2): Tries(1, "aa")})
    unseen.add("b.json", {guid_of(1): Tries(1, "bb")})
    assert unseen.tries() == {guid_of(1): Tries(1, "bb"), guid_of(2): Tries(1, "aa")}
    assert (
        tmp_path / "unseen" / "b.json"
    ).read_text() == f'{{"tries":{{"{guid_of(1)}":1}},"hashes":{{"{guid_of(1)}":"bb"}}}}'


def test_a_comparison_waits_for_what_it_missed_and_no_longer_for_what_the_last_one_missed(unseen, tmp_path):
    unseen.wait_for([guid_of(1), guid_of(2)])
    assert unseen.tries() == {guid_of(1): Tries(0), guid_of(2): Tries(0)}
    unseen.add("a.json", {guid_of(2): Tries(1, "aa")})
    unseen.wait_for([guid_of(2), guid_of(3)])
    assert unseen.tries() == {guid_of(2): Tries(1, "aa"), guid_of(3): Tries(0)}
    unseen.wait_for([])
    assert [path.name for path in (tmp_path / "unseen").iterdir()] == ["a.json"]
