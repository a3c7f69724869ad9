"""Attacks on the files of the storage: by whoever can put something there, and by whoever can give things names."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from upath import UPath

from tests.unit.builders import a_report, a_run, guid_of
from vte_wats.domain.run import DeadLetterKind
from vte_wats.storage import dead_letters as dead_letters_module
from vte_wats.storage import staging as staging_module
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.in_flight_keys import InFlightKeys
from vte_wats.storage.staging import StagedFileError, staging_of

NOW_AT = datetime(2026, 6, 1, tzinfo=UTC)
NO_FILES = {
    "a pipe": os.mkfifo,
    "a link to a device": lambda path: path.symlink_to("/dev/zero"),
    "a link to a file of somebody else": lambda path: path.symlink_to("/etc/passwd"),
    "a folder": Path.mkdir,
}


@pytest.fixture(params=NO_FILES.values(), ids=NO_FILES)
def put_in_the_place_of(request):
    return request.param


@pytest.mark.timeout(30)
def test_what_is_no_file_in_the_place_of_a_dead_letter_counts_as_none_and_is_reported(
    tmp_path, put_in_the_place_of, caplog
):
    (tmp_path / "dead_letters").mkdir()
    put_in_the_place_of(tmp_path / "dead_letters" / f"{guid_of(1)}.json")
    dead_letters = DeadLetters(UPath(tmp_path))
    assert list(dead_letters.headers()) == []
    assert list(dead_letters) == []
    assert "VW923" in caplog.text


@pytest.mark.timeout(30)
def test_what_is_no_file_in_the_place_of_in_flight_keys_is_left_out_and_reported(tmp_path, put_in_the_place_of, caplog):
    (tmp_path / "uploading").mkdir()
    put_in_the_place_of(tmp_path / "uploading" / "other.json")
    with InFlightKeys(UPath(tmp_path), "an upload", lambda: NOW_AT) as keys:
        report = a_report(1)
        assert keys.add([report], persist=True) == {report.natural_key.identity: {report.report_id}}
    assert "VW621" in caplog.text


@pytest.mark.timeout(30)
def test_what_is_no_file_in_the_place_of_staging_is_refused_with_what_to_do(tmp_path, put_in_the_place_of):
    staging = staging_of(UPath(tmp_path), "d", "r", "s0001")
    staging.write("runs", ["1"])
    (path,) = tmp_path.rglob("runs.jsonl.gz")
    path.unlink()
    put_in_the_place_of(path)
    with pytest.raises(StagedFileError, match="VW620"):
        list(staging.parsed("runs", bytes.decode))


def test_a_dead_letter_too_large_for_memory_is_not_read_whole(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(dead_letters_module, "_LARGEST_BYTES", 10_000)
    dead_letters = DeadLetters(UPath(tmp_path))
    dead_letters.put(a_run(1, info1="x" * 20_000), DeadLetterKind.DEAD, "bad", "bad", NOW_AT)
    assert dead_letters.get(guid_of(1)) is None
    assert "VW923" in caplog.text


def test_a_line_of_staging_that_unpacks_to_more_than_memory_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(staging_module, "_LONGEST_LINE", 1_000_000)
    staging = staging_of(UPath(tmp_path), "d", "r", "s0001")
    staging.write("runs", ["1"])
    (path,) = tmp_path.rglob("runs.jsonl.gz")
    path.write_bytes(gzip.compress(b"x" * 50_000_000))
    with pytest.raises(StagedFileError, match="longer than 1,000,000 bytes"):
        list(staging.parsed("runs", bytes.decode))


@pytest.mark.parametrize(
    "name", ["../../../../etc/cron.d/x", "/etc/passwd", "..", "a\x00b", "x" * 227, "測" * 250, "\ud83d", "a:b"]
)
def test_a_name_that_people_give_never_leads_out_of_the_storage(tmp_path, name):
    storage = tmp_path / "storage"
    staging_of(UPath(storage), name, name, name).write("runs", ["1"])
    with InFlightKeys(UPath(storage), name, lambda: NOW_AT) as keys:
        keys.add([a_report(1)], persist=True)
        assert [path.name for path in tmp_path.iterdir()] == ["storage"]
        assert all(path.resolve().is_relative_to(storage) for path in storage.rglob("*"))
        assert len(list(storage.rglob("*.json"))) == len(list(storage.rglob("*.gz"))) == 1


def test_a_reason_with_lines_and_escape_sequences_is_one_value_of_the_file(tmp_path):
    reason = 'x\n"kind": "held",\r\x1b[31m{{ conn.wats_default.password }}'
    dead_letters = DeadLetters(UPath(tmp_path))
    dead_letters.put(a_run(1), DeadLetterKind.DEAD, reason, reason, NOW_AT)
    (header,) = dead_letters.headers()
    assert (header.reason, header.kind) == (reason, DeadLetterKind.DEAD)
    assert b"\x1b" not in (tmp_path / "dead_letters" / f"{guid_of(1)}.json").read_bytes()
