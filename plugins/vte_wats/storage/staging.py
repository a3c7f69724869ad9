"""Where runs and reports wait between two tasks: compressed JSON lines under one folder per DAG run.

The folder is a local path or a bucket (anything ``ObjectStoragePath`` opens), so that tasks may run on different
machines. A task writes a file whole or, when it is tried again, whole once more; nothing is ever appended.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from contextlib import suppress
from io import TextIOWrapper
from urllib.parse import quote

from upath import UPath

from vte_wats.storage.object_storage import create_folder

_FAST = 1  # text of measurements shrinks tenfold at the lowest level; higher ones cost time and save little


class Staging:
    """The files of one slice. Failures of the file system leave as OSError: the task fails and is tried again."""

    def __init__(self, folder: UPath) -> None:
        self._folder = folder

    def write(self, name: str, lines: Iterable[str]) -> int:
        """Write ``name`` from single-line texts as they come; return how many there were."""
        create_folder(self._folder)
        written = 0
        with (
            self._path(name).open("wb") as raw,
            gzip.GzipFile(fileobj=raw, mode="wb", compresslevel=_FAST, mtime=0) as packed,
            TextIOWrapper(packed, encoding="utf-8", newline="\n") as text,
        ):
            for line in lines:
                text.write(line)
                text.write("\n")
                written += 1
        return written

    def read(self, name: str) -> Iterator[str]:
        """Yield the lines of ``name`` one by one; raise FileNotFoundError when no task has written it."""
        with self._path(name).open("rb") as raw, gzip.open(raw, "rt", encoding="utf-8", newline="\n") as text:
            for line in text:
                yield line.rstrip("\n")

    def holds(self, name: str) -> bool:
        """Return whether ``name`` has been written."""
        return bool(self._path(name).exists())

    def _path(self, name: str) -> UPath:
        return self._folder / f"{name}.jsonl.gz"


def staging_of(storage: UPath, dag_id: str, dag_run_id: str, slice_name: str) -> Staging:
    """Return the staging of one slice of one DAG run."""
    return Staging(folder_of(storage, dag_id, dag_run_id) / slice_name)


def folder_of(storage: UPath, dag_id: str, dag_run_id: str) -> UPath:
    """Return the folder of a DAG run; ids are escaped, for they hold colons and plus signs."""
    return storage / "staging" / _escaped(dag_id) / _escaped(dag_run_id)


def _escaped(name: str) -> str:
    return quote(name, safe="").replace(".", "%2E")  # ".." would lead out of the folder


def discard(storage: UPath, dag_id: str, dag_run_id: str) -> None:
    """Remove all staging of a DAG run, if there is any."""
    folder = folder_of(storage, dag_id, dag_run_id)
    with suppress(FileNotFoundError):
        folder.fs.rm(folder.path, recursive=True)
