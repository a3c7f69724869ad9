from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from upath import UPath

from tests.unit.builders import a_run, guid_of
from vte_wats.domain.run import DeadLetterKind, VteStepResult
from vte_wats.storage.dead_letters import DeadLetter, DeadLetters
from vte_wats.storage.object_storage import written_atomically

FIRST_AT = datetime(2026, 6, 1, 10, tzinfo=UTC)


@pytest.fixture(params=["local", "file-url", "memory", pytest.param("bucket", marks=pytest.mark.slow)])
def storage(request, tmp_path) -> UPath:
    if request.param == "bucket":
        return request.getfixturevalue("bucket_storage")
    return {
        "local": UPath(tmp_path),
        "file-url": UPath(f"file://{tmp_path}"),
        "memory": UPath(f"memory://{uuid4()}"),
    }[request.param]


@pytest.fixture
def dead_letters(storage) -> DeadLetters:
    return DeadLetters(storage)


def put(
    dead_letters: DeadLetters, number: int = 1, *, kind=DeadLetterKind.DEAD, now_at=FIRST_AT, **fields
) -> DeadLetter:
    return dead_letters.put(a_run(number, **fields), kind, f"run {number} is bad", "bad", now_at)


def test_a_dead_letter_comes_back_with_the_run_reason_and_signature(dead_letters):
    steps = (
        VteStepResult(kind="other", bytes_value=bytes(range(256))),
        VteStepResult(kind="numeric", numeric_value=float("inf"), low_limit=float("-inf")),
        VteStepResult(kind="text", text_value="測試 Ø 😀\n"),
    )
    dead_letter = put(dead_letters, serial="", info1="測試", steps=steps)
    assert dead_letters.get(guid_of(1)) == dead_letter
    assert dead_letter.run == a_run(serial="", info1="測試", steps=steps)
    assert (dead_letter.kind, dead_letter.reason, dead_letter.signature) == ("dead", "run 1 is bad", "bad")


def test_a_dead_letter_is_readable_json_named_after_its_run(storage, dead_letters):
    put(dead_letters, serial="測試")
    text = (storage / "dead_letters" / f"{guid_of(1)}.json").read_text(encoding="utf-8")
    plain = json.loads(text)
    assert "\n" in text
    assert "測試" in text
    assert plain["first_at"] == "2026-06-01T10:00:00Z"
    assert set(plain) == {
        "index_guid",
        "kind",
        "reason",
        "signature",
        "first_at",
        "last_at",
        "attempts",
        "run",
        "dag_id",
        "dag_run_id",
    }


def test_another_attempt_keeps_the_first_time_and_counts(dead_letters):
    put(dead_letters)
    later_at = FIRST_AT + timedelta(days=2)
    dead_letters.put(a_run(1, serial="corrected"), DeadLetterKind.HELD, "another reason", "another", later_at)
    dead_letter = dead_letters.get(guid_of(1))
    assert (dead_letter.first_at, dead_letter.last_at, dead_letter.attempts) == (FIRST_AT, later_at, 2)
    assert (dead_letter.kind, dead_letter.reason, dead_letter.signature) == ("held", "another reason", "another")
    assert dead_letter.run.serial == "corrected"


def test_a_removed_dead_letter_is_gone_and_the_next_one_counts_from_one(dead_letters):
    put(dead_letters)
    put(dead_letters)
    dead_letters.remove(guid_of(1))
    assert dead_letters.get(guid_of(1)) is None
    assert dead_letters.guids() == frozenset()
    assert put(dead_letters).attempts == 1


def test_no_dead_letters_yet(dead_letters):
    assert dead_letters.guids() == frozenset()
    assert list(dead_letters) == []
    assert dead_letters.get(guid_of(1)) is None


@pytest.mark.slow
def test_a_thousand_dead_letters_are_all_kept(tmp_path):
    dead_letters = DeadLetters(UPath(tmp_path))
    for number in range(1_000):
        put(dead_letters, number)
    assert dead_letters.guids() == {guid_of(number) for number in range(1_000)}
    assert [dead_letter.index_guid for dead_letter in dead_letters] == [guid_of(number) for number in range(1_000)]


def test_dead_letters_of_two_processes_are_one_folder(storage):
    put(DeadLetters(storage), 1)
    put(DeadLetters(storage), 2)
    assert DeadLetters(storage).guids() == {guid_of(1), guid_of(2)}


def test_a_write_that_fails_leaves_the_earlier_dead_letter_as_it_was(tmp_path):
    dead_letters = DeadLetters(UPath(tmp_path))
    earlier = put(dead_letters)

    class FullDiskError(Exception):
        pass

    path = UPath(tmp_path) / "dead_letters" / f"{guid_of(1)}.json"

    def write_half() -> None:
        with written_atomically(path) as file:
            file.write(b'{"index_guid": "0000')
            raise FullDiskError

    with pytest.raises(FullDiskError):
        write_half()
    assert dead_letters.get(guid_of(1)) == earlier
    assert [found.name for found in (tmp_path / "dead_letters").iterdir()] == [f"{guid_of(1)}.json"]


def test_half_a_dead_letter_of_a_killed_task_is_none_and_is_overwritten(tmp_path):
    (tmp_path / "dead_letters").mkdir()
    (tmp_path / "dead_letters" / f"{guid_of(1)}.json.0.part").write_text('{"index_guid": "0000')
    dead_letters = DeadLetters(UPath(tmp_path))
    assert dead_letters.guids() == frozenset()
    assert put(dead_letters).attempts == 1
    assert dead_letters.guids() == {guid_of(1)}


def test_nothing_but_the_run_and_its_reason_is_kept():
    assert not [name for name in DeadLetter.model_fields if "password" in name or "connection" in name]
    assert set(DeadLetter.model_fields["run"].annotation.model_fields).isdisjoint({"password", "user", "users"})


def test_headers_say_reason_and_times_without_the_run(dead_letters):
    put(dead_letters, 1)
    put(dead_letters, 2, kind=DeadLetterKind.HELD, info1='",\n "run":' * 3)
    headers = {header.index_guid: header for header in dead_letters.headers()}
    assert headers.keys() == {guid_of(1), guid_of(2)}
    assert (headers[guid_of(2)].kind, headers[guid_of(2)].first_at) == ("held", FIRST_AT)
    assert headers[guid_of(1)].model_dump() == dead_letters.get(guid_of(1)).model_dump(exclude={"run"})


def test_a_file_that_is_no_dead_letter_hides_no_other_and_is_logged(storage, dead_letters, caplog):
    put(dead_letters, 2)
    for number, text in ((1, "{}"), (3, "no JSON"), (4, '{"index_guid": 5,\n "run": {}}')):
        (storage / "dead_letters" / f"{guid_of(number)}.json").write_text(text)
    assert [header.index_guid for header in dead_letters.headers()] == [guid_of(2)]
    assert caplog.text.count("VW923") == 3
    assert [dead_letter.index_guid for dead_letter in dead_letters] == [guid_of(2)]
    assert put(dead_letters, 3).attempts == 1
    assert dead_letters.get(guid_of(3)) is not None


def test_a_header_is_read_whole_however_long_the_reason_is(dead_letters):
    reason = 'æ",\n "run":' * 1_000
    dead_letters.put(a_run(1), DeadLetterKind.DEAD, reason, "long", FIRST_AT)
    assert [header.reason for header in dead_letters.headers()] == [reason]


def test_a_header_is_complete_wherever_the_beginning_of_the_file_ends():
    dead_letters = DeadLetters(UPath(f"memory://{uuid4()}"), dag_id="vte_wats_sync", dag_run_id="scheduled__1")
    for length in range(3_600, 4_100):
        dead_letters.put(a_run(1), DeadLetterKind.DEAD, "æ" + "x" * length, "long", FIRST_AT)
        (header,) = dead_letters.headers()
        assert header.model_dump() == dead_letters.get(guid_of(1)).model_dump(exclude={"run"})


def test_a_header_is_read_from_the_beginning_of_a_large_dead_letter_alone(storage, dead_letters):
    put(dead_letters, info1="x" * 1_000_000)
    path = storage / "dead_letters" / f"{guid_of(1)}.json"
    path.write_bytes(path.read_bytes()[:4_200])  # the rest is lost
    assert [header.signature for header in dead_letters.headers()] == ["bad"]


def test_a_dead_letter_names_the_dag_run_that_wrote_it(storage):
    DeadLetters(storage, dag_id="vte_wats_sync", dag_run_id="scheduled__1").put(
        a_run(1), DeadLetterKind.DEAD, "bad", "bad", FIRST_AT
    )
    dead_letter = DeadLetters(storage).get(guid_of(1))
    assert (dead_letter.dag_id, dead_letter.dag_run_id) == ("vte_wats_sync", "scheduled__1")
    assert [(header.dag_id, header.dag_run_id) for header in DeadLetters(storage).headers()] == [
        ("vte_wats_sync", "scheduled__1")
    ]


def test_a_dead_letter_that_names_its_dag_run_by_the_earlier_field_is_read(storage, dead_letters):
    put(dead_letters)
    path = storage / "dead_letters" / f"{guid_of(1)}.json"
    path.write_text(path.read_text(encoding="utf-8").replace('"dag_run_id": null', '"run_id": "manual__1"'))
    assert dead_letters.get(guid_of(1)).dag_run_id == "manual__1"
    assert [header.dag_run_id for header in dead_letters.headers()] == ["manual__1"]


def test_a_dead_letter_of_before_that_names_no_dag_run_is_read(storage, dead_letters):
    put(dead_letters)
    path = storage / "dead_letters" / f"{guid_of(1)}.json"
    plain = json.loads(path.read_text())
    del plain["dag_id"], plain["dag_run_id"]
    path.write_text(json.dumps(plain))
    assert dead_letters.get(guid_of(1)).dag_run_id is None
    assert [header.dag_run_id for header in dead_letters.headers()] == [None]


@pytest.mark.parametrize(
    "name", ["notes.json", "README.txt", "0000.json", "{5c0a9a3e-3b1f-4b7b-9b64-0d0f3a0c2e11}.json"]
)
def test_a_file_that_somebody_put_beside_the_dead_letters_is_left_alone(storage, dead_letters, name):
    put(dead_letters)
    (storage / "dead_letters" / name).write_text("{}")
    assert dead_letters.guids() == {guid_of(1)}
    assert [dead_letter.index_guid for dead_letter in dead_letters] == [guid_of(1)]


def test_a_dead_letter_and_its_name_are_on_disk_before_anybody_relies_on_them(tmp_path, monkeypatch):
    synced: list[tuple[bool, bool]] = []
    fsync = os.fsync

    def noted(file: int) -> None:
        there = any(path.suffix == ".json" for path in tmp_path.rglob("*"))
        synced.append((stat.S_ISDIR(os.fstat(file).st_mode), there))
        fsync(file)

    monkeypatch.setattr(os, "fsync", noted)
    put(DeadLetters(UPath(tmp_path)))
    assert synced == [(False, False), (True, True)]  # the content, then, once it has its name, the folder
