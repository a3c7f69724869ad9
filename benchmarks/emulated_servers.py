"""The emulated servers, to be run in a :class:`Worker` of their own, where they cost the measured process nothing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the measured processes import this module, too, and their memory counts
    from sandbox.environment import SandboxEnvironment

START = datetime(2026, 3, 2, 6, tzinfo=UTC)


def first(seconds: int) -> tuple[datetime, datetime]:
    """Return when the first so many seconds of the loaded runs begin and end."""
    return START, START + timedelta(seconds=seconds)


_environments: list[SandboxEnvironment] = []


def start(runs: int, steps: int, requests_per_minute: int | None = None, span_s: int | None = None) -> dict[str, str]:
    """Serve a plant that ends runs of so many steps, one per second or in ``span_s``; return the environment to it."""
    from sandbox.environment import SandboxEnvironment

    environment = SandboxEnvironment(timezone="UTC", requests_per_minute=requests_per_minute)
    if runs:
        from_at, to_at = first(span_s or runs)
        environment.factory_data.load(environment.db, start=from_at, end=to_at, runs=runs, steps=steps)
    _environments.append(environment.__enter__())
    return environment.environment_variables


def delay(*, vte_ms: float = 0.0, wats_ms: float = 0.0) -> None:
    """Let every answer come so much later, as a network would."""
    _environments[-1].vte.latency_s = vte_ms / 1000
    _environments[-1].wats.latency_s = wats_ms / 1000


def statements() -> int:
    """Return how many statements that read have come so far, those that open a session included."""
    time.sleep(0.5)  # the server notes a statement after its last row has left
    return sum("SELECT" in entry.sql for entry in _environments[-1].vte.log)


def forget_reports() -> None:
    """Empty WATS and its log."""
    _environments[-1].wats.reset()


def requests() -> dict[str, int]:
    """Return what WATS was asked since it was emptied: all requests, those in the worst minute, reports it holds."""
    wats = _environments[-1].wats
    return {
        "total": wats.log.total,
        "worst_minute": wats.log.requests_in_worst_minute(),
        "refused": len(wats.log.find(status=429)),
        "reports": len(wats.store.receive_counts()),
    }


def forget_statements() -> None:
    """Empty the log of VTE."""
    _environments[-1].vte.log.clear()


def longest_statement_s() -> float:
    """Return how long the slowest statement took, its rows included, since the log was emptied."""
    return max(entry.duration_s for entry in _environments[-1].vte.log)


def environment_variables() -> dict[str, str]:
    """Return the environment that leads to the servers."""
    return _environments[-1].environment_variables


def load(runs: int, steps: int, from_at: datetime, to_at: datetime) -> None:
    """Commit runs of so many steps that ended between two moments."""
    _environments[-1].factory_data.load(_environments[-1].db, start=from_at, end=to_at, runs=runs, steps=steps)


def attach(size_bytes: int, attachments: int) -> None:
    """Give every run so many more steps, each with so many bytes that cannot be compressed."""
    database, random = _environments[-1].db, Random(size_bytes)  # noqa: S311 -- it only has to be incompressible
    for (guid,) in database.query('SELECT CAST("Index_GUID" AS VARCHAR) FROM "IndexData"'):
        for number in range(attachments):
            step = {"TestStepNumber": 100_000 + number, "TestName": "Picture"}
            row = {"Index_GUID": guid, **step, "TestResult": random.randbytes(size_bytes)}
            database.insert_rows({"TestDataOther": [row]})


def forget_requests() -> None:
    """Empty the log of WATS; the reports stay."""
    _environments[-1].wats.log.clear()


def posts() -> dict[str, float]:
    """Return how many reports were posted since the log was emptied, and when the last one came (since 1970)."""
    stored = _environments[-1].wats.log.find(method="POST", status=200)
    return {"reports": len(stored), "last_at_s": max((request.at.timestamp() for request in stored), default=0.0)}
