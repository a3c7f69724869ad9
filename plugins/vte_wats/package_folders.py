"""Where the folders are that belong to the package and are no code of it."""

from __future__ import annotations

from pathlib import Path


def package_folder(name: str) -> Path:
    """Return ``dags`` or ``include``: inside the package in a wheel, beside ``plugins/`` in the repository."""
    package = Path(__file__).resolve().parent
    inside = package / name
    return inside if inside.is_dir() else package.parents[1] / name
