"""What a disk or a bucket refuses, as the product's errors: which storage it was, and what a person changes."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from gzip import BadGzipFile

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
        "no space is left: make room, staging of failed DAG runs is kept until they are cleared and succeed",
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
