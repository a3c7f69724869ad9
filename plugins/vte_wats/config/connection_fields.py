"""What the connections to VTE and to WATS share: where a person changes them, and what an empty field means."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from traceback import extract_tb
from typing import Any

from pydantic import BaseModel, model_validator

from vte_wats.domain.redaction import redact
from vte_wats.messages import VW545

log = logging.getLogger(__name__)


def page_in_airflow(conn_id: str) -> str:
    """Return where a person changes a connection."""
    return f"Airflow › Admin › Connections › {conn_id}"


def cannot_be_asked(server: str, exc: Exception, *secrets: str) -> str:
    """Log an error that no table knows, without these secrets; return what a test button answers."""
    places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in extract_tb(exc.__traceback__)]
    text = redact(str(exc), *secrets)
    log.error("%s %s cannot be asked: %s: %s (%s)", VW545, server, type(exc).__name__, text, ", ".join(places))
    return f"{VW545} {server} cannot be asked: {type(exc).__name__}; {VW545.advice}"


class ConnectionOptions(BaseModel):
    """The extra fields of a connection; one that is left empty in the form has its default."""

    @model_validator(mode="before")
    @classmethod
    def _blank_means_default(cls, given: Any) -> Any:
        if isinstance(given, Mapping):
            return {name: value for name, value in given.items() if value is not None and value != ""}
        return given
