"""What differs between a folder on a disk and a prefix in a bucket."""

from __future__ import annotations

from upath import UPath

_BUCKETS = frozenset({"abfs", "abfss", "adl", "gcs", "gs", "s3", "s3a", "s3n"})


def make_folder(folder: UPath) -> None:
    """Create a folder with its parents where there is such a thing.

    A bucket has only keys; its client, asked for a folder, spends three requests and creates a bucket that is missing,
    so that a mistyped name would pass for storage.
    """
    if folder.protocol not in _BUCKETS:
        folder.mkdir(parents=True, exist_ok=True)
