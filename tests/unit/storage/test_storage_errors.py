from __future__ import annotations

import errno

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError
from upath import UPath

from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.storage.dead_letters import DeadLetters
from vte_wats.storage.object_storage import create_folder, read_file, write_atomically
from vte_wats.storage.staging import Staging
from vte_wats.storage.storage_errors import storage_errors

BUCKET = UPath("memory://vte-wats")


@pytest.mark.parametrize(
    ("raised", "error", "words"),
    [
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
    ],
    ids=repr,
)
def test_whatever_the_storage_raises_says_where_and_what_to_change(raised, error, words):
    with pytest.raises(error, match=words) as caught, storage_errors(BUCKET):
        raise raised
    assert f"storage {BUCKET}: {type(raised).__name__}" in str(caught.value)


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
