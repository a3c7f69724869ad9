"""What is removed because it is older than it may be, and what stays."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from upath import UPath

from tests.unit.builders import a_report, a_run, guid_of
from vte_wats.domain.run import DeadLetterKind
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.in_flight_keys import InFlightKeys
from vte_wats.storage.object_storage import create_folder, write_atomically
from vte_wats.storage.retention import Removed, Retention, remove_old
from vte_wats.storage.staging import staging_of

NOW_AT = datetime.now(UTC)
FORTNIGHT = Retention(dead_letters=None, staging=timedelta(days=14))
NOTHING = Removed(0, 0, 0, 0)
HALF_WRITTEN = ("uploading", "dead_letters", "backfills", "unseen", "dropped", "failing", "settled")


@pytest.fixture(params=["file", "memory", pytest.param("bucket", marks=pytest.mark.slow)])
def storage(request, tmp_path) -> UPath:
    if request.param == "bucket":
        return request.getfixturevalue("bucket_storage")
    return UPath(f"file://{tmp_path}" if request.param == "file" else f"memory://{uuid4()}")


def after(days: float) -> datetime:
    return NOW_AT + timedelta(days=days)


def test_nothing_is_removed_from_storage_that_is_not_there(storage):
    assert remove_old(storage, FORTNIGHT, NOW_AT) == NOTHING


def test_staging_that_a_failure_left_goes_after_its_days(storage):
    for dag_run_id in ("scheduled__1", "scheduled__2"):
        staging_of(storage, "vte_wats_sync", dag_run_id, "s0001").write("runs", ["1"])
    assert remove_old(storage, FORTNIGHT, after(13.9)) == NOTHING
    assert remove_old(storage, FORTNIGHT, after(14.1)) == Removed(0, 2, 0, 0)
    assert not staging_of(storage, "vte_wats_sync", "scheduled__1", "s0001").holds("runs")


def test_staging_in_which_something_is_still_written_stays_whole(tmp_path):
    old, new = (staging_of(UPath(tmp_path), "vte_wats_sync", "scheduled__1", name) for name in ("s0001", "s0002"))
    old.write("runs", ["1"])
    new.write("runs", ["1"])
    (path,) = tmp_path.rglob("s0001/*.gz")
    os.utime(path, (0, 0))
    assert remove_old(UPath(tmp_path), FORTNIGHT, after(1)) == NOTHING
    assert old.holds("runs")


def test_dead_letters_stay_for_ever_unless_the_setting_says_otherwise(storage):
    put(storage, 1, after(-400))
    assert remove_old(storage, FORTNIGHT, NOW_AT) == NOTHING
    assert DeadLetters(storage).guids() == {guid_of(1)}


def test_a_dead_letter_whose_time_has_no_zone_stays_and_stops_nothing(storage, caplog):
    put(storage, 1, after(-31))
    put(storage, 2, after(-31))
    path = storage / "dead_letters" / f"{guid_of(2)}.json"
    plain = json.loads(path.read_text()) | {"first_at": "2020-01-01T00:00:00"}
    path.write_text(json.dumps(plain))
    month = Retention(dead_letters=timedelta(days=30), staging=timedelta(days=14))
    assert remove_old(storage, month, NOW_AT).dead_letters == 1
    assert DeadLetters(storage).guids() == {guid_of(2)}
    assert "VW923" in caplog.text


def test_dead_letters_go_so_many_days_after_their_first_failure(storage, caplog):
    put(storage, 1, after(-31))
    put(storage, 1, after(-1))  # tried again
    put(storage, 2, after(-29))
    caplog.set_level("INFO")
    month = Retention(dead_letters=timedelta(days=30), staging=timedelta(days=14))
    assert remove_old(storage, month, NOW_AT) == Removed(1, 0, 0, 0)
    assert DeadLetters(storage).guids() == {guid_of(2)}
    assert f"Run {guid_of(1)}: its dead letter of " in caplog.text


def put(storage: UPath, number: int, now_at: datetime) -> None:
    DeadLetters(storage).put(a_run(number), DeadLetterKind.DEAD, "bad", "bad", now_at)


def test_a_file_that_is_no_dead_letter_stays_for_a_person_to_look_at(storage):
    create_folder(storage / "dead_letters")
    write_atomically(storage / "dead_letters" / f"{guid_of(1)}.json", b"{")
    day = Retention(dead_letters=timedelta(days=1), staging=timedelta(days=1))
    assert remove_old(storage, day, after(100)) == NOTHING
    assert DeadLetters(storage).guids() == {guid_of(1)}


def test_plans_of_backfills_go_except_that_of_the_one_in_progress(storage):
    create_folder(storage / "backfills")
    for name in ("a", "b"):
        write_atomically(storage / "backfills" / f"{name}.json", b"{}")
    retention = Retention(dead_letters=None, staging=timedelta(days=14), plan="a")
    assert remove_old(storage, retention, after(15)) == Removed(0, 0, 1, 0)
    assert [path.name for path in (storage / "backfills").iterdir()] == ["a.json"]


def test_what_killed_tasks_left_half_written_goes_after_a_day(storage):
    InFlightKeys(storage, "an upload", lambda: NOW_AT).add([a_report(1)], persist=True)
    for folder in HALF_WRITTEN:
        create_folder(storage / folder)
        (storage / folder / f"{guid_of(1)}.json.0.part").write_bytes(b"{")
    assert remove_old(storage, FORTNIGHT, after(0.9)) == NOTHING
    assert remove_old(storage, FORTNIGHT, after(1.1)) == Removed(0, 0, 0, 1 + len(HALF_WRITTEN))


def test_a_link_out_of_the_storage_is_not_followed_when_staging_is_removed(tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    storage = UPath(tmp_path / "storage")
    staging_of(storage, "vte_wats_sync", "scheduled__1", "s0001").write("runs", ["1"])
    (folder,) = (tmp_path / "storage").rglob("s0001")
    (folder / "link").symlink_to(outside)
    remove_old(storage, FORTNIGHT, after(15))
    assert (outside / "precious").read_text() == "x"
