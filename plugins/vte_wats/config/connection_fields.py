"""What the connections to VTE and to WATS share: where a person changes them, and what an empty field means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, model_validator


def page_in_airflow(conn_id: str) -> str:
    """Return where a person changes a connection."""
    return f"Airflow › Admin › Connections › {conn_id}"


class ConnectionOptions(BaseModel):
    """The extra fields of a connection; one that is left empty in the form has its default."""

    @model_validator(mode="before")
    @classmethod
    def _blank_means_default(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            return {name: value for name, value in given.items() if value is not None and value != ""}
        return given
