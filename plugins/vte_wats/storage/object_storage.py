"""What differs between a folder on a disk and a prefix in a bucket."""

from __future__ import annotations

import os
from pathlib import Path

from upath import UPath

_BUCKETS = frozenset({"abfs", "abfss", "adl", "gcs", "gs", "s3", "s3a", "s3n"})


def create_folder(folder: UPath) -> None:
    """Create a folder with its parents where there is such a thing.

    A bucket has only keys; its client, asked for a folder, spends three requests and creates a bucket that is missing,
    so that a mistyped name would pass for storage.
    """
    if folder.protocol not in _BUCKETS:
        folder.mkdir(parents=True, exist_ok=True)


def write_atomically(path: UPath, content: bytes) -> None:
    """Put a file in place complete and on disk, or leave what is there: half a file could never be read again."""
    if path.protocol not in ("", "file"):
        path.write_bytes(content)  # a bucket shows a file when it is complete
        return
    target = Path(path.path)
    unfinished = target.with_suffix(".part")
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the name is on disk, too, before anybody relies on it
    finally:
        os.close(folder)
