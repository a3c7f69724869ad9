"""Where runs and reports wait between two tasks: compressed JSON lines under one folder per DAG run.

The folder is a local path or a bucket (anything ``ObjectStoragePath`` opens), so that tasks may run on different
machines. A task writes a file whole or, when it is tried again, whole once more; nothing is ever appended.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from functools import partial
from io import BufferedReader
from typing import IO, TypeVar, cast

from upath import UPath

from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW620
from vte_wats.storage.object_storage import (
    DamagedFileError,
    create_folder,
    file_name,
    open_to_read,
    storage_errors,
    written_atomically,
)

_SUFFIX = ".jsonl.gz"
_LONGEST_LINE = 128_000_000  # bytes; four times what WATS takes as one report
_BUFFER_BYTES = 1_000_000  # a line is put together of parts as large: many small ones would fragment the memory
STAGING = "staging"
_REMEDY = "clear the task that writes it, with the tasks after it"
UNREADABLE = (ValueError, TypeError, LookupError)  # what parsing a damaged line raises
_FAST = 1  # text of measurements shrinks tenfold at the lowest level; higher ones cost time and save little


_T = TypeVar("_T")


class StagedFileError(FatalError):
    """A file of staging is missing or damaged: the task that wrote it has to write it again."""


def _next_line(lines: IO[bytes]) -> bytes | None:
    """Return a line without its end."""
    line = lines.readline(_LONGEST_LINE)
    if len(line) == _LONGEST_LINE:
        raise DamagedFileError(f"a line is longer than {_LONGEST_LINE:,} bytes")
    return line.removesuffix(b"\n") if line else None


class Staging:
    """The files of one slice."""

    def __init__(self, folder: UPath) -> None:
        self._folder = folder

    def write(self, name: str, lines: Iterable[str | bytes]) -> int:
        """Write ``name`` from single lines of text or of its bytes as they come; return how many there were."""
        create_folder(self._folder)
        written = 0
        with (
            written_atomically(self._path(name)) as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=_FAST, mtime=0) as packed,
        ):
            for line in lines:
                packed.write(line.encode() if isinstance(line, str) else line)
                packed.write(b"\n")
                written += 1
                del line  # or it would stand beside the next one
        return written

    def lines(self, name: str) -> Iterator[bytes]:
        """Yield the lines of ``name`` one by one; raise StagedFileError when they are missing or damaged."""
        path = self._path(name)
        try:
            with (
                storage_errors(path),
                open_to_read(path) as raw,
                gzip.GzipFile(fileobj=raw, mode="rb") as packed,
                BufferedReader(packed, _BUFFER_BYTES) as lines,
            ):
                if not raw.read(1):
                    raise DamagedFileError("it is empty")  # no lines are some bytes, too
                raw.seek(0)
                yield from iter(partial(_next_line, cast("IO[bytes]", lines)), None)
        except FileNotFoundError as exc:
            raise StagedFileError(VW620, f"{path} is missing; {_REMEDY}") from exc
        except (EOFError, ValueError, gzip.BadGzipFile, zlib.error) as exc:
            raise StagedFileError(VW620, f"{path} is damaged: {exc}; {_REMEDY}") from exc

    def parsed(self, name: str, parse: Callable[[bytes], _T]) -> Iterator[_T]:
        """Yield what ``parse`` makes of each line of ``name``; raise StagedFileError for a line it cannot read."""
        number = 0
        for line in self.lines(name):
            number += 1  # noqa: SIM113 -- enumerate holds each line until the next
            try:
                found = parse(line)
            except UNREADABLE as exc:
                raise self.damaged(name, f"line {number}", exc) from None  # its text repeats the run
            del line  # the text of a run is as large as the run
            yield found
            del found

    def damaged(self, name: str, where: str, exc: Exception) -> StagedFileError:
        """Return the error for what stands in ``name`` and cannot be read; it does not repeat it."""
        return StagedFileError(
            VW620, f"{self._path(name)} is damaged: {where} cannot be read ({type(exc).__name__}); {_REMEDY}"
        )

    def holds(self, name: str) -> bool:
        """Return whether ``name`` has been written."""
        with storage_errors(self._folder):
            return bool(self._path(name).exists())

    def names(self) -> list[str]:
        """Return what has been written, as a new listing shows it."""
        self._folder.fs.invalidate_cache()
        try:
            with storage_errors(self._folder):
                found = sorted(path.name for path in self._folder.iterdir())
        except (FileNotFoundError, NotADirectoryError):  # in a bucket the folder goes with its last file
            return []
        return [name.removesuffix(_SUFFIX) for name in found if name.endswith(_SUFFIX)]

    def remove(self, names: Collection[str]) -> None:
        """Remove what has been written, of a bucket with one request; another worker may have done so already."""
        with suppress(FileNotFoundError), storage_errors(self._folder):
            self._folder.fs.rm([self._path(name).path for name in names])

    def _path(self, name: str) -> UPath:
        return self._folder / f"{name}{_SUFFIX}"


def staging_of(storage: UPath, dag_id: str, dag_run_id: str, slice_name: str) -> Staging:
    """Return the staging of one slice of one DAG run."""
    return Staging(folder_of(storage, dag_id, dag_run_id) / file_name(slice_name))


def folder_of(storage: UPath, dag_id: str, dag_run_id: str) -> UPath:
    """Return the folder of a DAG run, whatever its id is."""
    return storage / STAGING / file_name(dag_id) / file_name(dag_run_id)


def discard(storage: UPath, dag_id: str, dag_run_id: str) -> None:
    """Remove all staging of a DAG run, if there is any."""
    folder = folder_of(storage, dag_id, dag_run_id)
    with suppress(FileNotFoundError), storage_errors(folder):
        folder.fs.rm(folder.path, recursive=True)
