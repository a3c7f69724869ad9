"""Staging and dead letters in a bucket: a real S3 client over HTTP, opened through an Airflow connection."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from multiprocessing.connection import Connection
from uuid import UUID, uuid4

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.models.dagrun import DagRun
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from upath import UPath

from sandbox.environment import SandboxEnvironment
from tests.bucket import CONN_ID, KEYS, Bucket
from tests.site.in_process import BEGIN_AT, STATE
from tests.unit.builders import a_run, a_settings, guid_of
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.domain.run import DeadLetterKind, VteStepResult
from vte_wats.orchestration.resources import storage_of
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.staging import Staging, discard, staging_of

NOW_AT = datetime(2026, 6, 1, 10, tzinfo=UTC)
MORE_THAN_A_PAGE = 1_200  # S3 lists and deletes a thousand keys at a time


@pytest.fixture
def place(bucket: Bucket) -> str:
    return bucket.a_place()


@pytest.fixture
def storage(place: str) -> UPath:
    return storage_of(Site(), a_settings(storage_path=place))


def key_of(bucket: Bucket, place: str, name: str) -> dict[str, str]:
    return {"Bucket": bucket.name, "Key": f"{place.rpartition('/')[2]}/{name}"}


def put(dead_letters: DeadLetters, number: int = 1, **fields):
    return dead_letters.put(a_run(number, **fields), DeadLetterKind.DEAD, "bad", "bad", NOW_AT)


def test_what_another_worker_does_to_the_dead_letters_is_seen_at_once(bucket, place, storage):
    dead_letters = DeadLetters(storage)
    dead_letter = put(dead_letters, 1)
    assert dead_letters.guids() == {guid_of(1)}
    body = dead_letter.model_copy(update={"index_guid": guid_of(2)}).model_dump_json().encode()
    bucket.client.put_object(**key_of(bucket, place, f"dead_letters/{guid_of(2)}.json"), Body=body)
    assert dead_letters.guids() == {guid_of(1), guid_of(2)}
    assert dead_letters.get(guid_of(2)) is not None
    bucket.client.delete_object(**key_of(bucket, place, f"dead_letters/{guid_of(1)}.json"))
    assert dead_letters.guids() == {guid_of(2)}
    assert dead_letters.get(guid_of(1)) is None
    dead_letters.remove(guid_of(1))  # no error: it reached WATS all the same


def test_a_staged_file_that_another_worker_replaced_is_read_whole(bucket, place, storage):
    ours, theirs = Staging(storage / "s0001"), Staging(storage / "other")
    ours.write("runs", ["short"])
    assert [path.name for path in (storage / "s0001").iterdir()] == ["runs.jsonl.gz"]
    assert ours.holds("runs")
    theirs.write("runs", [f"{n} a longer file" for n in range(500)])
    longer = bucket.client.get_object(**key_of(bucket, place, "other/runs.jsonl.gz"))["Body"].read()
    bucket.client.put_object(**key_of(bucket, place, "s0001/runs.jsonl.gz"), Body=longer)
    assert list(ours.parsed("runs", bytes.decode)) == [f"{n} a longer file" for n in range(500)]


def test_more_dead_letters_than_a_page_of_the_listing_are_all_found(bucket, place, storage):
    for number in range(MORE_THAN_A_PAGE):
        bucket.client.put_object(**key_of(bucket, place, f"dead_letters/{guid_of(number)}.json"), Body=b"{}")
    assert DeadLetters(storage).guids() == {guid_of(number) for number in range(MORE_THAN_A_PAGE)}


def test_discard_removes_more_files_than_a_page_and_no_neighbour(bucket, place, storage):
    staging_of(storage, "sync", "run 1", "s0001").write("runs", ["1"])
    staging_of(storage, "sync", "run 10", "s0001").write("runs", ["10"])
    for number in range(MORE_THAN_A_PAGE):
        key = f"staging/sync/run%201/s{number + 2:04}/runs.jsonl.gz"
        bucket.client.put_object(**key_of(bucket, place, key), Body=b"")
    assert len(bucket.keys(place)) == MORE_THAN_A_PAGE + 2
    discard(storage, "sync", "run 1")
    assert bucket.keys(place) == ["staging/sync/run%2010/s0001/runs.jsonl.gz"]


@pytest.mark.parametrize("size_mb", [6, 60], ids=["one-request", "in-parts"])
def test_a_dead_letter_of_many_megabytes_comes_back(storage, size_mb):
    steps = (VteStepResult(kind="other", bytes_value=bytes(range(256)) * (size_mb * 4096 * 3 // 4)),)
    dead_letters = DeadLetters(storage)
    dead_letter = put(dead_letters, steps=steps)
    assert dead_letters.get(guid_of(1)) == dead_letter


def write_and_hang(connection: str, place: str, pipe: Connection) -> None:
    """In a process of its own: overwrite a staged file, and stop half-way until killed."""
    os.environ[f"AIRFLOW_CONN_{CONN_ID.upper()}"] = connection

    def lines() -> Iterator[str]:
        yield "the new file"
        pipe.send("half-way")
        time.sleep(300)

    Staging(storage_of(Site(), a_settings(storage_path=place))).write("reports", lines())


def test_a_file_of_a_killed_task_does_not_appear(bucket, place, storage):
    staging = Staging(storage)
    staging.write("reports", ["the earlier file"])
    here, there = multiprocessing.Pipe()
    writer = multiprocessing.get_context("spawn").Process(
        target=write_and_hang, args=(bucket.connection, place, there), daemon=True
    )
    writer.start()
    try:
        assert here.poll(250)
    finally:
        writer.kill()
        writer.join(30)
    assert writer.exitcode == -signal.SIGKILL
    assert list(staging.parsed("reports", bytes.decode)) == ["the earlier file"]
    assert staging.write("reports", ["the next try"]) == 1
    assert list(staging.parsed("reports", bytes.decode)) == ["the next try"]


def test_a_bucket_that_does_not_exist_is_an_error_and_is_not_created(bucket):
    dead_letters = DeadLetters(storage_of(Site(), a_settings(storage_path=f"s3://{CONN_ID}@mistyped/vte")))
    assert dead_letters.guids() == frozenset()
    with pytest.raises(
        FatalError, match=r"VW631 storage s3://.*bucket does not exist.*create it, or correct storage_path"
    ):
        put(dead_letters)
    with pytest.raises(
        FatalError, match=r"VW631 storage s3://.*bucket does not exist.*create it, or correct storage_path"
    ):
        Staging(storage_of(Site(), a_settings(storage_path=f"s3://{CONN_ID}@mistyped/vte"))).write("runs", ["1"])
    assert [found["Name"] for found in bucket.client.list_buckets()["Buckets"]] == [bucket.name]


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        pytest.param("s3://nobody@bucket/vte", "the Airflow connection nobody does not exist, or", id="connection"),
        pytest.param("abfs://container/vte", "No filesystem registered for scheme abfs", id="provider"),
        pytest.param("ftb://container/vte", "ftb://container/vte cannot be opened", id="scheme"),
    ],
)
def test_a_place_that_cannot_be_opened_stops_with_what_is_missing(place, reason):
    with pytest.raises(FatalError, match="storage_path: ") as refused:
        storage_of(Site(), a_settings(storage_path=place))
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("fields", "reasons"),
    [
        pytest.param({"extra": {"config_kwargs": {"x": 1}}}, ["VW111", "TypeError: ", "the extra of"], id="extra"),
        pytest.param(
            {"extra": {"config_kwargs": {"password=hunter2": 1}}}, ["VW111", "TypeError: ", "***"], id="secret in extra"
        ),
        pytest.param(
            {"login": None, "password": None, "extra": {"profile_name": "nobody"}},
            ["VW111", "ProfileNotFound: The config profile (nobody)", "the extra of"],
            id="profile",
        ),
    ],
)
def test_a_connection_that_the_client_refuses_is_named_with_its_extra(monkeypatch, fields, reasons):
    conn_id = f"bucket_{uuid4().hex}"
    monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "aws", **KEYS, **fields}))
    with pytest.raises(FatalError) as refused:
        storage_of(Site(), a_settings(storage_path=f"s3://{conn_id}@bucket/vte"))
    text = str(refused.value)
    assert [reason for reason in [*reasons, conn_id] if reason not in text] == []
    assert "hunter2" not in text


# A whole sync, its tasks in this process


@pytest.fixture
def plant(bag, place, monkeypatch) -> Iterator[SandboxEnvironment]:
    with create_session() as session:
        session.query(DagRun).delete()
    Variable.delete(STATE)
    with SandboxEnvironment() as plant:
        for name, value in plant.environment_variables.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AIRFLOW_VAR_VTE_WATS", json.dumps(plant.factory_data.settings(storage_path=place)))
        yield plant


def load(plant: SandboxEnvironment, runs: int, oddities: tuple[str, ...] = ()) -> None:
    end = BEGIN_AT + timedelta(minutes=4)
    plant.factory_data.load(plant.db, start=BEGIN_AT, end=end, runs=runs, steps=5, oddities=list(oddities))


def in_vte(plant: SandboxEnvironment) -> set[UUID]:
    return {UUID(guid) for guid in plant.source}


def in_wats(plant: SandboxEnvironment) -> dict[UUID, int]:
    return {UUID(guid): count for guid, count in plant.receipts.items()}


def kept(bucket: Bucket, place: str) -> list[str]:
    """The files that stay, beside those of their own time: what WATS confirmed, syncs, backfills, and the index."""
    of_their_time = ("uploading/", "settled/", "backfills/", "dead_letter_index/")
    return [key for key in bucket.keys(place) if not key.startswith(of_their_time)]


def sync(bag: DagBag, dag_id: str, at: datetime | None = None, **conf) -> str:
    defaults = {name: param.value for name, param in bag.dags[dag_id].params.items()}
    return str(bag.dags[dag_id].test(logical_date=at, run_conf=defaults | conf).state)


def test_a_whole_sync_stages_and_keeps_its_dead_letters_in_the_bucket(bag, bucket, place, plant):
    load(plant, 20, oddities=("blank_serial",))
    at = BEGIN_AT + timedelta(minutes=5)
    assert sync(bag, "vte_wats_sync", at) == "success"
    (key,) = kept(bucket, place)  # staging is gone, one dead letter is left
    dead_letter = UUID(key.removeprefix("dead_letters/").removesuffix(".json"))
    assert in_wats(plant).keys() == in_vte(plant) - {dead_letter}
    unit = plant.db.query('SELECT "Uut_GUID" FROM "IndexData" WHERE "Index_GUID" = ?', [str(dead_letter)])[0][0]
    plant.db.query('UPDATE "UutData" SET "Serial" = ? WHERE "Uut_GUID" = ?', ["SN-CORRECTED", unit])
    assert sync(bag, "vte_wats_backfill", dead_letters="all") == "success"
    assert kept(bucket, place) == []
    assert in_wats(plant) == dict.fromkeys(in_vte(plant), 1)
