"""Files for this account alone, written under new names, read only where they are files."""

from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st
from upath import UPath

from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.storage.dead_letter_index import DeadLetterIndex
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.in_flight_keys import InFlightKeys
from vte_wats.storage.object_storage import (
    STORAGE_PROBLEMS,
    DamagedFileError,
    create_folder,
    file_name,
    read_beginning,
    read_file,
    remove_file,
    storage_error,
    storage_errors,
    write_atomically,
)
from vte_wats.storage.retention import Retention, remove_old
from vte_wats.storage.staging import StagedFileError, Staging, discard, staging_of

BUCKET = UPath("memory://vte-wats")


CASES = [
    (OSError(errno.ENOSPC, "No space left on device"), RetriableError, "VW632 .*make room"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), RetriableError, "VW632 .*make room"),
    (OSError(errno.EROFS, "Read-only file system"), FatalError, "VW631 .*change its owner, or set storage_path"),
    (PermissionError(errno.EACCES, "Permission denied"), FatalError, "VW631 .*change its owner"),
    (PermissionError("Forbidden"), FatalError, "VW631 .*login, password and extra of the Airflow connection"),
    (NoCredentialsError(), FatalError, "VW631 .*login, password and extra of the Airflow connection"),
    (OSError(errno.ENAMETOOLONG, "File name too long"), FatalError, "VW631 .*correct storage_path"),
    (OSError(errno.ELOOP, "Too many levels of symbolic links"), FatalError, "VW631 .*links lead in a circle"),
    (NotADirectoryError(errno.ENOTDIR, "Not a directory"), FatalError, "VW631 .*remove it, or set storage_path"),
    (FileNotFoundError("The specified bucket does not exist"), FatalError, "VW631 .*create it, or correct"),
    (EndpointConnectionError(endpoint_url="http://127.0.0.1:9"), RetriableError, "VW632 .*endpoint_url"),
    (TimeoutError(), RetriableError, "VW632 .*check the mount, the network"),
    (OSError(errno.EIO, "Input/output error"), RetriableError, "VW632 .*check the mount, the network"),
]


@pytest.mark.parametrize(("raised", "error", "words"), CASES, ids=repr)
def test_whatever_the_storage_raises_says_where_and_what_to_change(raised, error, words):
    with pytest.raises(error, match=words) as caught, storage_errors(BUCKET):
        raise raised
    assert f"storage {BUCKET}: {type(raised).__name__}" in str(caught.value)


def test_every_row_of_the_table_is_shown_by_a_case_and_the_last_one_is_for_everything():
    lines = [str(storage_error(raised, BUCKET)) for raised, _, _ in CASES]
    rules = [row.rule for row in STORAGE_PROBLEMS]
    assert [rule for rule in rules if not any(line.endswith(rule) for line in lines)] == []
    assert len(set(rules)) == len(STORAGE_PROBLEMS)
    assert str(storage_error(ZeroDivisionError(), BUCKET)).endswith(rules[-1])


def test_a_folder_of_dead_letters_that_is_absent_holds_none(tmp_path):
    assert DeadLetters(UPath(tmp_path)).guids() == frozenset()


def test_a_file_that_is_absent_stays_absent_and_a_bug_stays_a_bug():
    with pytest.raises(FileNotFoundError), storage_errors(BUCKET):
        raise FileNotFoundError(errno.ENOENT, "No such file")
    with pytest.raises(KeyError), storage_errors(BUCKET):
        raise KeyError("x")


@pytest.mark.parametrize(
    "use",
    [
        lambda folder: create_folder(folder / "new"),
        lambda folder: write_atomically(folder / "file", b"x"),
        lambda folder: Staging(folder / "new").write("runs", ["1"]),
        lambda folder: read_file(folder / "file", 9),
    ],
    ids=["create_folder", "write_atomically", "staging", "read_file"],
)
def test_a_file_in_the_place_of_the_folder_is_named(use, tmp_path):
    (tmp_path / "storage").write_text("a file")
    with pytest.raises(FatalError, match=r"VW631 storage .*/storage.* a file stands where"):
        use(UPath(tmp_path / "storage"))


def refusing(storage: UPath, monkeypatch: pytest.MonkeyPatch, method: str, raised: Exception) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(type(storage.fs), method, refuses)


def removed_at_once(storage: UPath) -> None:
    remove_old(storage, Retention(timedelta(0), timedelta(0)), datetime(2999, 1, 1, tzinfo=UTC))


USES = {
    "dead letters are listed": ("ls", lambda storage: DeadLetterIndex(storage).groups()),
    "old staging is looked for": ("find", removed_at_once),
    "old staging is dated": ("modified", removed_at_once),
    "old staging is removed": ("rm", removed_at_once),
    "old plans are removed": ("rm_file", removed_at_once),
    "a file is removed": ("rm", lambda storage: remove_file(storage / "backfills" / "old.json")),
    "staging is read": ("open", lambda storage: list(staging_of(storage, "dag", "run", "s0001").lines("runs"))),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("raised", [PermissionError("Forbidden"), TimeoutError()], ids=repr)
def test_whatever_the_storage_is_asked_for_its_refusal_is_an_error_of_the_product(monkeypatch, tmp_path, use, raised):
    storage = UPath(f"memory://{tmp_path}")
    staging_of(storage, "dag", "run", "s0001").write("runs", ["1"])
    create_folder(storage / "backfills")
    write_atomically(storage / "backfills" / "old.json", b"{}")
    if use == "old plans are removed":
        discard(storage, "dag", "run")
    method, action = USES[use]
    refusing(storage, monkeypatch, method, raised)
    with pytest.raises((FatalError, RetriableError), match=r"VW63[12] storage memory://"):
        action(storage)


def test_an_upload_fails_for_its_own_reason_where_the_storage_refuses_at_its_end(monkeypatch, tmp_path, caplog):
    storage = UPath(f"memory://{tmp_path}")
    keys = InFlightKeys(storage, "s1", lambda: datetime(2026, 6, 15, tzinfo=UTC))
    create_folder(storage / "uploading")
    write_atomically(storage / "uploading" / keys.name, b"{}")
    refusing(storage, monkeypatch, "rm", PermissionError("Forbidden"))
    with pytest.raises(LookupError, match="its own"), keys:
        raise LookupError("its own")
    assert "VW631" in caplog.text
    with pytest.raises(FatalError, match="VW631"), keys:
        pass


def test_a_file_that_is_no_archive_is_damaged_and_no_failure_of_the_storage(tmp_path):
    staging = Staging(UPath(tmp_path))
    staging.write("runs", ["1"])
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"no archive")
    with pytest.raises(StagedFileError, match="VW620"):
        list(staging.parsed("runs", bytes.decode))


@pytest.fixture(params=[0o000, 0o077, 0o777])
def _any_umask(request):
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("_any_umask")
def test_files_and_folders_belong_to_this_account_alone_whatever_the_umask(tmp_path):
    folder = UPath(tmp_path) / "storage" / "dead_letters"
    create_folder(folder)
    write_atomically(folder / "a.json", b"{}")
    modes = [stat.S_IMODE(Path(path).stat().st_mode) for path in (folder.parent, folder, folder / "a.json")]
    assert modes[1:] == [0o700, 0o600]
    assert modes[0] & 0o077 == 0


def test_a_folder_that_an_earlier_version_left_open_is_closed(tmp_path):
    (tmp_path / "dead_letters").mkdir(mode=0o755)
    create_folder(UPath(tmp_path) / "dead_letters")
    assert stat.S_IMODE((tmp_path / "dead_letters").stat().st_mode) == 0o700


def test_a_link_in_the_place_of_a_file_is_replaced_and_never_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("of somebody else")
    (tmp_path / "a.json").symlink_to(victim)
    write_atomically(UPath(tmp_path) / "a.json", b"new")
    assert victim.read_text() == "of somebody else"
    assert (tmp_path / "a.json").read_text() == "new"
    assert not (tmp_path / "a.json").is_symlink()


def test_writers_at_once_leave_one_complete_file_and_nothing_else(tmp_path):
    contents = [bytes([n]) * 200_000 for n in range(16)]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda content: write_atomically(UPath(tmp_path) / "a.json", content), contents))
    assert (tmp_path / "a.json").read_bytes() in contents
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lambda path: path.symlink_to("/etc/hostname")])
def test_what_is_no_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / "a.json")
    with pytest.raises(DamagedFileError, match=r"a\.json is a"):
        read_beginning(UPath(tmp_path) / "a.json", 10)


@pytest.mark.parametrize("storage", ["file", "memory"])
def test_a_file_larger_than_its_limit_is_refused(tmp_path, storage):
    path = UPath(f"file://{tmp_path}/a" if storage == "file" else f"memory://{tmp_path.name}/a")
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    with pytest.raises(DamagedFileError, match="larger than 4 bytes"):
        read_file(path, 4)


@given(st.text(), st.text())
def test_any_two_texts_have_two_names_that_every_file_system_takes(one, other):
    name = file_name(one)
    assert (name == file_name(other)) == (one == other)
    assert 0 < len(name) <= 120
    assert name.isascii()
    assert not set("/\\:.+\x00 ") & set(name)
