"""What Airflow learns about this package: the connection type WATS and its form."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return the provider metadata that Airflow reads from the package's entry point."""
    return {"package-name": "vte-wats", "name": "VTE WATS", "description": "Keysight VTE test runs into WATS."}
