"""What two uploads at once learn of each other."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from upath import UPath

from tests.unit.builders import a_natural_key, a_report, guid_of
from vte_wats.storage.in_flight_keys import InFlightKeys, confirmed_uploads

NOW_AT = datetime(2026, 6, 15, 11, tzinfo=UTC)
KEY = a_natural_key(1)


@pytest.fixture
def storage(tmp_path) -> UPath:
    return UPath(tmp_path)


def keys_of(storage: UPath, name: str, now_at: datetime = NOW_AT) -> InFlightKeys:
    return InFlightKeys(storage, f"vte_wats_sync manual__2026-06-15T11:00:00+00:00 {name}", lambda: now_at)


def in_flight(keys: InFlightKeys, number: int, *, persist: bool = True) -> set:
    return keys.add([a_report(number, natural_key=KEY)], persist=persist)[KEY.identity]


def test_the_second_of_two_uploads_sees_the_first(storage):
    with keys_of(storage, "s1") as first, keys_of(storage, "s2") as second:
        assert in_flight(first, 1) == {guid_of(1)}
        assert in_flight(second, 2) == {guid_of(1), guid_of(2)}


def test_the_keys_go_when_their_upload_ends(storage):
    with keys_of(storage, "s1") as first:
        in_flight(first, 1)
    with keys_of(storage, "s2") as second:
        assert in_flight(second, 2) == {guid_of(2)}
    assert list((storage / "uploading").iterdir()) == []


def test_the_keys_of_one_upload_grow_with_each_batch(storage):
    with keys_of(storage, "s1") as first, keys_of(storage, "s2") as second:
        in_flight(first, 1)
        first.add([a_report(3)], persist=True)
        assert in_flight(first, 4) == {guid_of(1), guid_of(4)}
        assert in_flight(second, 2) == {guid_of(1), guid_of(2), guid_of(4)}


def test_another_try_replaces_the_keys_of_a_killed_one(storage):
    killed = keys_of(storage, "s1")
    in_flight(killed, 1)
    with keys_of(storage, "s1") as again:
        assert in_flight(again, 2) == {guid_of(2)}
    with keys_of(storage, "s2") as other:
        assert in_flight(other, 3) == {guid_of(3)}


def test_the_keys_of_a_killed_upload_that_never_came_back_expire(storage):
    in_flight(keys_of(storage, "s1"), 1)
    with keys_of(storage, "s2", NOW_AT + timedelta(hours=5)) as soon:
        assert in_flight(soon, 2) == {guid_of(1), guid_of(2)}
    with keys_of(storage, "s3", NOW_AT + timedelta(hours=7)) as later:
        assert in_flight(later, 3) == {guid_of(3)}


def test_keys_that_are_not_persisted_are_seen_by_no_other_upload(storage):
    with keys_of(storage, "s1") as first, keys_of(storage, "s2") as second:
        assert in_flight(first, 1, persist=False) == {guid_of(1)}
        assert in_flight(second, 2) == {guid_of(2)}
        assert in_flight(first, 1, persist=False) == {guid_of(1), guid_of(2)}


@pytest.mark.parametrize("_", range(20))
def test_of_uploads_that_begin_at_the_same_moment_all_but_one_see_another(storage, _):
    number_of_uploads = 4
    barrier = Barrier(number_of_uploads)

    def upload(number: int) -> set:
        with keys_of(storage, f"s{number}") as own:
            barrier.wait()
            seen = in_flight(own, number)
            barrier.wait()
            return seen

    with ThreadPoolExecutor(number_of_uploads) as pool:
        seen = list(pool.map(upload, range(1, number_of_uploads + 1)))
    assert sum(1 for guids in seen if len(guids) == 1) <= 1


def test_the_file_of_an_upload_names_each_part_of_a_key(storage):
    with keys_of(storage, "s1") as first:
        in_flight(first, 1)
        (path,) = (storage / "uploading").iterdir()
        content = json.loads(path.read_text())
    serial, part_number, process_code, start_at = KEY.identity
    key = {"serial": serial, "part_number": part_number, "process_code": process_code, "start_at": start_at}
    assert content == {"started_at": "2026-06-15T11:00:00Z", "keys": [key | {"index_guids": [str(guid_of(1))]}]}


@pytest.mark.parametrize("start_at", ["noon", "2026-06-15T12:00:00"])
def test_a_file_with_a_start_that_is_no_instant_is_left_out(storage, caplog, start_at):
    with keys_of(storage, "s1") as first:
        in_flight(first, 1)
        (path,) = (storage / "uploading").iterdir()
        content = json.loads(path.read_text())
        content["keys"][0]["start_at"] = start_at
        stored = {"report_id": str(guid_of(1)), "stored_as": str(guid_of(1)), "source_hash": None}
        content |= {"confirmed": [stored], "hidden_until_at": "2026-06-15T12:00:00Z"}
        (storage / "uploading" / "other.json").write_text(json.dumps(content))
        assert confirmed_uploads(storage) == []
    assert "VW621" in caplog.text


@pytest.mark.parametrize("content", ["{", "[]", '{"started_at": "x", "keys": []}', "\xff"])
def test_a_damaged_file_is_reported_and_left_out(storage, caplog, content):
    with keys_of(storage, "s1") as first:
        in_flight(first, 1)
        (storage / "uploading" / "other.json").write_text(content)
        assert in_flight(first, 2) == {guid_of(1), guid_of(2)}
    assert "VW621" in caplog.text
    assert "other.json is damaged and left out" in caplog.text
