"""What Airflow mounts: the application, built when the first request comes.

Every task loads the plugins, and FastAPI with Airflow's API takes longer to import than most tasks take to run.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from functools import cache
from typing import Any

_Message = MutableMapping[str, Any]


async def app(
    scope: _Message, receive: Callable[[], Awaitable[_Message]], send: Callable[[_Message], Awaitable[None]]
) -> None:
    """Answer one request (ASGI)."""
    await _application()(scope, receive, send)


@cache
def _application() -> Any:
    from vte_wats.status.app import create_app  # noqa: PLC0415

    return create_app()
