"""What differs between a folder on a disk and a prefix in a bucket: how files are named, written, read and cleaned.

What either refuses becomes an error of the product that says which storage it was, and what a person changes.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from gzip import BadGzipFile
from pathlib import Path
from typing import IO, cast
from urllib.parse import quote
from uuid import uuid4

from upath import UPath

from vte_wats.domain.errors import FatalError, RetriableError, VteWatsError
from vte_wats.messages import VW631, VW632

_CLIENTS = ("aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google")
_CREDENTIALS = frozenset(
    {
        "ClientAuthenticationError",
        "DefaultCredentialsError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "ProfileNotFound",
    }
)


@dataclass(frozen=True, slots=True)
class StorageProblem:
    """One row of the table: which errors it is for, what to do, and whether a further try makes sense before that."""

    applies: Callable[[BaseException], bool]
    rule: str
    is_fatal: bool = True


# The first row that applies wins; the last one applies to everything.
STORAGE_PROBLEMS: tuple[StorageProblem, ...] = (
    StorageProblem(
        lambda exc: _number(exc) in {errno.ENOSPC, errno.EDQUOT},
        "no space is left: make room, what failed DAG runs left in staging is kept for staging_retention_days",
        is_fatal=False,
    ),
    StorageProblem(
        lambda exc: _number(exc) in {errno.EACCES, errno.EPERM, errno.EROFS},
        "the account of Airflow must be able to read and write the folder: change its owner, or set storage_path",
    ),
    StorageProblem(
        lambda exc: _number(exc) in {errno.ENAMETOOLONG, errno.ELOOP},
        "the path is too long, or its links lead in a circle: correct storage_path",
    ),
    StorageProblem(
        lambda exc: isinstance(exc, NotADirectoryError | IsADirectoryError | FileExistsError),
        "a file stands where a folder must be, or a folder where a file must be: remove it, or set storage_path",
    ),
    StorageProblem(
        lambda exc: isinstance(exc, FileNotFoundError),
        "the bucket or folder does not exist: create it, or correct storage_path",
    ),
    StorageProblem(
        lambda exc: isinstance(exc, PermissionError) or type(exc).__name__ in _CREDENTIALS,
        "the bucket refuses the credentials or their rights: correct login, password and extra of the Airflow "
        "connection that storage_path names, and its right to list, read, write and delete",
    ),
    StorageProblem(
        lambda exc: True,  # noqa: ARG005 -- the last row
        "the disk or the bucket does not do what it is asked: check the mount, the network and the extra fields of "
        "the connection that storage_path names (endpoint_url, region_name)",
        is_fatal=False,
    ),
)


@contextmanager
def storage_errors(path: UPath, *, may_be_absent: bool = True) -> Iterator[None]:
    """Translate what the storage raises about ``path``; a file that is absent stays FileNotFoundError, if it may be.

    Raises FatalError for what a person must change, RetriableError for everything else.
    """
    try:
        yield
    except Exception as exc:
        if (may_be_absent and _is_absent(exc)) or not is_of_storage(exc):
            raise
        raise storage_error(exc, path) from exc


def is_of_storage(exc: BaseException) -> bool:
    """Return whether an error comes from a disk or from the client of a bucket."""
    if isinstance(exc, BadGzipFile):  # an OSError that is about what a file holds
        return False
    return isinstance(exc, OSError) or type(exc).__module__.partition(".")[0] in _CLIENTS


def storage_error(exc: BaseException, path: UPath | str) -> VteWatsError:
    """Return the error for what the storage raised about ``path``."""
    row = next(row for row in STORAGE_PROBLEMS if row.applies(exc))
    detail = f"storage {path}: {type(exc).__name__}: {str(exc).partition(chr(10))[0]}. {row.rule}"
    return FatalError(VW631, detail) if row.is_fatal else RetriableError(VW632, detail)


def _number(exc: BaseException) -> int | None:
    return exc.errno if isinstance(exc, OSError) else None


def _is_absent(exc: BaseException) -> bool:
    """Return whether a file or folder is absent, and not the bucket, for which its client raises the same.

    Listing a folder that is absent raises NotADirectoryError without a number, which no operating system does.
    """
    if isinstance(exc, NotADirectoryError):
        return exc.errno is None
    lacks_bucket = "bucket does not exist" in str(exc) or "NoSuchBucket" in repr(exc.__cause__)
    return isinstance(exc, FileNotFoundError) and not lacks_bucket


_BUCKETS = frozenset({"abfs", "abfss", "adl", "gcs", "gs", "s3", "s3a", "s3n"})
_FILE_MODE, _FOLDER_MODE = 0o600, 0o700  # runs name products, serials and operators
_LONGEST_NAME = 120  # characters; file systems take 255 bytes, and a suffix follows
_KEPT = 80  # of a longer name, for people
UNFINISHED = ".part"


class DamagedFileError(ValueError):
    """A file that counts as absent: too large, or a link, pipe or folder in the place of a file."""


def is_local(path: UPath) -> bool:
    """Return whether a path lies on a disk of this machine."""
    return path.protocol in ("", "file")


def file_name(name: str) -> str:
    """Return a name for a file or a folder that stands for any text, and for no other text.

    What a file system or an address could take for something else is escaped. A long text keeps its beginning and gets
    a digest; ``=`` is in no escaped text, so that neither form can be taken for the other.
    """
    escaped = (
        quote(name, safe="", errors="surrogatepass").replace(".", "%2E") or "="
    )  # ".." would lead out of the folder
    if len(escaped) <= _LONGEST_NAME:
        return escaped
    digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:32]
    return f"{escaped[:_KEPT]}={digest}"


def create_folder(folder: UPath) -> None:
    """Create a folder with its parents where there is such a thing, for this account alone.

    A bucket has only keys; its client, asked for a folder, spends three requests and creates a bucket that is missing,
    so that a mistyped name would pass for storage.
    """
    if folder.protocol in _BUCKETS:
        return
    with storage_errors(folder, may_be_absent=False):
        if is_local(folder):
            _create_local_folder(Path(folder.path))
        else:
            folder.mkdir(parents=True, exist_ok=True)


def _create_local_folder(path: Path) -> None:
    for missing in reversed([level for level in (path, *path.parents) if not level.exists()]):
        missing.mkdir(mode=_FOLDER_MODE, exist_ok=True)
    found = path.stat()
    if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) != _FOLDER_MODE:
        path.chmod(_FOLDER_MODE)  # an earlier version made it, or an umask took a right of its owner


@contextmanager
def written_atomically(path: UPath) -> Iterator[IO[bytes]]:
    """Open a file to write that is in place, complete and on disk, when the block ends, and not there when it fails.

    It is written under a new name that nobody else can have made, so that neither a link is followed nor another
    writer's half file taken for this one.
    """
    with storage_errors(path, may_be_absent=False):
        if is_local(path):
            with _written_locally(Path(path.path)) as file:
                yield file
        else:
            with path.open("wb") as file:  # a bucket shows a file when it is complete
                yield cast("IO[bytes]", file)


@contextmanager
def _written_locally(target: Path) -> Iterator[IO[bytes]]:
    unfinished = target.with_name(f"{target.name}.{uuid4().hex}{UNFINISHED}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(unfinished, flags, _FILE_MODE)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, _FILE_MODE)  # whatever the umask is
            yield file
            file.flush()
            os.fsync(descriptor)
        unfinished.replace(target)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name is on disk, too, before anybody relies on it
    finally:
        os.close(folder)


def write_atomically(path: UPath, content: bytes) -> None:
    """Put a file in place complete and on disk, or leave what is there: half a file could never be read again."""
    with written_atomically(path) as file:
        file.write(content)


def remove_file(path: UPath) -> None:
    """Remove a file; another worker may have done so already."""
    with suppress(FileNotFoundError), storage_errors(path):
        path.unlink()


def open_to_read(path: UPath) -> IO[bytes]:
    """Open a regular file. Raises DamagedFileError for anything else; a pipe would make the reader wait for ever."""
    with storage_errors(path):
        return _open_local(path) if is_local(path) else cast("IO[bytes]", path.open("rb"))


def _open_local(path: UPath) -> IO[bytes]:
    try:
        descriptor = os.open(path.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as exc:
        if exc.errno in (errno.ELOOP, errno.ENXIO):
            raise DamagedFileError(f"{path} is a link or a socket, not a file") from exc
        raise
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DamagedFileError(f"{path} is a folder or a pipe, not a file")
    return os.fdopen(descriptor, "rb")


def read_beginning(path: UPath, size_bytes: int) -> bytes:
    """Return the beginning of a regular file, of a bucket's with one request."""
    if not is_local(path):
        with storage_errors(path):
            return cast("bytes", path.fs.cat_file(path.path, start=0, end=size_bytes))
    with storage_errors(path), open_to_read(path) as file:
        return file.read(size_bytes)


def read_file(path: UPath, at_most_bytes: int) -> bytes:
    """Return the content of a regular file. Raises DamagedFileError for anything else, and for a larger one."""
    content = read_beginning(path, at_most_bytes + 1)
    if len(content) > at_most_bytes:
        raise DamagedFileError(f"{path} is larger than {at_most_bytes:,} bytes")
    return content
