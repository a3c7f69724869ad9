from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import pytest
from upath import UPath

from tests.unit.builders import a_report, a_run, a_settings, guid_of
from vte_wats.domain.run import VteStepResult, VteTestRun
from vte_wats.reconcile.compare import staged_expected
from vte_wats.reconcile.keys import staged_keys
from vte_wats.reconcile.missing_runs import days_of
from vte_wats.storage.staging import StagedFileError, Staging, discard, folder_of, staging_of
from vte_wats.sync.extract import absent_runs, staged_folds
from vte_wats.sync.map_runs import map_runs
from vte_wats.sync.slices import Slice
from vte_wats.sync.staged_reports import stage_mapped, staged_mappings
from vte_wats.sync.upload import refused_runs

DAG_RUN_ID = "scheduled__2026-06-01T10:00:00+00:00"


@pytest.fixture(params=["local", "memory", pytest.param("bucket", marks=pytest.mark.slow)])
def storage(request, tmp_path) -> UPath:
    if request.param == "bucket":
        return request.getfixturevalue("bucket_storage")
    return UPath(tmp_path) if request.param == "local" else UPath(f"memory://{uuid4()}")


def test_lines_come_back_as_they_were(storage):
    staging = Staging(storage / "s0001")
    lines = ['{"serial":"Ø測試😀"}', "", " blanks kept ", "a\u2028b\x85c\x0bd", "tab\tand\rreturn", "x" * 300_000]
    assert staging.write("runs", iter(lines)) == 6
    assert list(staging.parsed("runs", bytes.decode)) == lines


def test_a_run_comes_back_equal(storage):
    run = a_run(
        serial="SN/1\\測試",
        info1="two\nlines\r\nand\u2028more",
        steps=(
            VteStepResult(kind="other", bytes_value=bytes(range(256))),
            VteStepResult(kind="numeric", numeric_value=0.1, low_limit=float("-inf"), high_limit=float("inf")),
        ),
    )
    staging = Staging(storage)
    staging.write("runs", [run.model_dump_json()])
    assert [VteTestRun.model_validate_json(line) for line in staging.parsed("runs", bytes.decode)] == [run]


def test_another_try_overwrites_what_the_first_one_wrote(storage):
    staging = Staging(storage)
    staging.write("runs", ["1", "2", "3"])
    assert staging.write("runs", ["4"]) == 1
    assert list(staging.parsed("runs", bytes.decode)) == ["4"]


def test_nothing_written_reads_as_nothing_but_a_missing_file_is_an_error(storage):
    staging = Staging(storage)
    assert not staging.holds("runs")
    with pytest.raises(StagedFileError, match=r"VW620 .*runs\.jsonl\.gz is missing"):
        list(staging.parsed("runs", bytes.decode))
    assert staging.write("runs", []) == 0
    assert staging.holds("runs")
    assert list(staging.parsed("runs", bytes.decode)) == []


def test_lines_are_written_as_they_come_and_compressed(tmp_path):
    staging = Staging(UPath(tmp_path))
    held: list[str] = []

    def lines():
        for n in range(1_000):
            held.append("line")
            yield f"{n} " + "measurement " * 50

    staging.write("runs", lines())
    path = tmp_path / "runs.jsonl.gz"
    assert len(gzip.decompress(path.read_bytes())) > 10 * path.stat().st_size
    reading = staging.parsed("runs", bytes.decode)
    assert next(reading).startswith("0 ")


def test_equal_lines_make_equal_files(tmp_path):
    for folder in ("a", "b"):
        Staging(UPath(tmp_path / folder)).write("runs", ["1"])
    assert (tmp_path / "a/runs.jsonl.gz").read_bytes() == (tmp_path / "b/runs.jsonl.gz").read_bytes()


def test_slices_and_dag_runs_do_not_share_files(storage):
    places = [
        staging_of(storage, dag_id, dag_run_id, part)
        for dag_id in ("vte_wats_sync", "vte_wats_backfill")
        for dag_run_id in (DAG_RUN_ID, "manual__2026-06-01T10:00:00+00:00")
        for part in ("s0001", "s0002")
    ]
    for n, staging in enumerate(places):
        staging.write("runs", [str(n)])
    assert [next(staging.parsed("runs", bytes.decode)) for staging in places] == [str(n) for n in range(8)]


@pytest.mark.report("P12")
@pytest.mark.parametrize(
    "dag_run_id",
    [
        DAG_RUN_ID,
        "a/b",
        "../../etc",
        "..",
        ".",
        "a%2Fb",
        "50% ?#&",
        "Ø",
        "",
        "x" * 227,
        "測" * 227,
        "\ud83d",
        "a:b+c\n",
    ],
)
def test_a_dag_run_id_is_one_folder_whatever_it_holds(tmp_path, dag_run_id):
    folder = Path(folder_of(UPath(tmp_path), "vte_wats_sync", dag_run_id).path)
    assert folder.resolve().parent == tmp_path / "staging" / "vte_wats_sync"
    assert ":" not in folder.name
    assert "+" not in folder.name


def test_different_dag_run_ids_have_different_folders(tmp_path):
    ids = ["", ".", "..", "a/b", "a%2Fb", "a b", "a+b", "a.b", "a%2Eb", "x" * 227, "x" * 226 + "y", "=", "%3D"]
    ids.append(Path(folder_of(UPath(tmp_path), "d", "x" * 227).path).name)
    assert len({folder_of(UPath(tmp_path), "d", dag_run_id).path for dag_run_id in ids}) == len(ids)


def test_discard_removes_one_dag_run_and_nothing_else(storage):
    for dag_run_id in (DAG_RUN_ID, "..", "another"):
        staging_of(storage, "vte_wats_sync", dag_run_id, "s0001").write("runs", ["1"])
    discard(storage, "vte_wats_sync", "..")
    discard(storage, "vte_wats_sync", DAG_RUN_ID)
    assert not staging_of(storage, "vte_wats_sync", DAG_RUN_ID, "s0001").holds("runs")
    assert staging_of(storage, "vte_wats_sync", "another", "s0001").holds("runs")


def test_discard_of_nothing_is_no_error(storage):
    discard(storage, "vte_wats_sync", DAG_RUN_ID)


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: content[:-9], id="cut"),
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: b"no gzip", id="text"),
        pytest.param(lambda content: content[:20] + b"\x00\xff\x00" + content[23:], id="bits"),
        pytest.param(lambda content: gzip.compress(b"\xff\xfe\n"), id="no UTF-8"),
    ],
)
def test_a_damaged_file_is_an_error_that_says_which_task_writes_it_again(tmp_path, damage):
    staging = Staging(UPath(tmp_path))
    staging.write("runs", [f"run {n}" for n in range(1_000)])
    path = tmp_path / "runs.jsonl.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(StagedFileError, match=r"VW620 .*runs\.jsonl\.gz is damaged: .*; clear the task that writes it"):
        list(staging.parsed("runs", bytes.decode))


def test_a_write_that_fails_leaves_no_file_behind(tmp_path):
    def lines():
        yield "1"
        raise RuntimeError

    staging = Staging(UPath(tmp_path))
    with pytest.raises(RuntimeError):
        staging.write("runs", lines())
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_cannot_be_read_names_file_line_and_remedy_and_repeats_nothing(storage):
    staging = Staging(storage)
    staging.write("runs", [a_run().model_dump_json(), '{"serial": "SECRET", "index'])
    runs = staging.parsed("runs", VteTestRun.model_validate_json)
    next(runs)
    with pytest.raises(StagedFileError, match=r"VW620 .*runs\.jsonl\.gz is damaged: line 2 .*clear the task") as error:
        next(runs)
    assert "SECRET" not in str(error.value)
    assert error.value.__suppress_context__


READERS = {
    "map_runs": ("runs", lambda staging: map_runs(staging, a_settings())),
    "absent_runs": ("runs", lambda staging: absent_runs(staging, Slice("s0001", 1, guids=(guid_of(1),)), 0)),
    "staged_folds": ("folds", staged_folds),
    "staged_mappings": ("reports", lambda staging: list(staged_mappings(staging))),
    "refused_runs": ("refused", lambda staging: list(refused_runs(staging))),
    "staged_keys": ("keys", lambda staging: list(staged_keys(staging))),
    "staged_expected": ("expected", staged_expected),
    "days_of": ("days", lambda staging: days_of([staging])),
}


@pytest.mark.parametrize("line", ["", "{", "null", "[1, 2]", '{"index_guid": 5}', "not a guid 2026-06-01"])
@pytest.mark.parametrize("reader", READERS)
def test_whoever_reads_a_damaged_line_says_which_file_to_write_again(reader, line, tmp_path):
    name, read = READERS[reader]
    staging = Staging(UPath(tmp_path))
    staging.write(name, [line])
    with pytest.raises(StagedFileError, match=rf"VW620 .*{name}\.jsonl\.gz is damaged: .*clear the task"):
        read(staging)


def test_a_report_whose_document_is_cut_off_is_not_posted(tmp_path):
    staging = Staging(UPath(tmp_path))
    stage_mapped(staging, [a_report(), replace(a_report(), document=b'{"half": ')])
    mapped = staged_mappings(staging)
    next(mapped)
    with pytest.raises(StagedFileError, match=r"VW620 .*the report of run"):
        next(mapped)
