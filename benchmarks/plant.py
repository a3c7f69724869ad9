"""The emulated servers, to be run in a :class:`Worker` of their own, where they cost the measured process nothing."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # the measured processes import this module, too, and their memory counts
    from sandbox.plant import Plant

START = datetime(2026, 3, 2, 6, tzinfo=UTC)

_plants: list[Plant] = []


def open_plant(runs: int, steps: int, requests_per_minute: int | None = None) -> dict[str, str]:
    """Serve a floor that ends one run of so many steps per second; return the environment that leads to it."""
    from sandbox.plant import Plant

    plant = Plant(timezone="UTC", requests_per_minute=requests_per_minute)
    if runs:
        plant.floor.load(plant.db, start=START, end=START + timedelta(seconds=runs), runs=runs, steps=steps)
    _plants.append(plant.__enter__())
    return plant.environment


def delay(*, vte_ms: float = 0.0, wats_ms: float = 0.0) -> None:
    """Let every answer come so much later, as a network would."""
    _plants[-1].vte.latency_s = vte_ms / 1000
    _plants[-1].wats.latency_s = wats_ms / 1000


def statements() -> int:
    """Return how many statements that read have come so far, those that open a session included."""
    time.sleep(0.5)  # the server notes a statement after its last row has left
    return sum("SELECT" in entry.sql for entry in _plants[-1].vte.log)


def forget_reports() -> None:
    """Empty WATS and its log."""
    _plants[-1].wats.reset()


def requests() -> dict[str, int]:
    """Return what WATS was asked since it was emptied: all requests, those in the worst minute, reports it holds."""
    wats = _plants[-1].wats
    return {
        "total": wats.log.total,
        "worst_minute": wats.log.requests_in_worst_minute(),
        "refused": len(wats.log.find(status=429)),
        "reports": len(wats.store.receive_counts()),
    }


def forget_statements() -> None:
    """Empty the log of VTE."""
    _plants[-1].vte.log.clear()


def longest_statement_s() -> float:
    """Return how long the slowest statement took, its rows included, since the log was emptied."""
    return max(entry.duration_s for entry in _plants[-1].vte.log)


def environment() -> dict[str, str]:
    """Return the environment that leads to the servers."""
    return _plants[-1].environment


def load(runs: int, steps: int, from_at: datetime, to_at: datetime) -> None:
    """Commit runs of so many steps that ended between two moments."""
    _plants[-1].floor.load(_plants[-1].db, start=from_at, end=to_at, runs=runs, steps=steps)


def forget_requests() -> None:
    """Empty the log of WATS; the reports stay."""
    _plants[-1].wats.log.clear()


def posts() -> dict[str, float]:
    """Return how many reports were posted since the log was emptied, and when the last one came (since 1970)."""
    stored = _plants[-1].wats.log.find(method="POST", status=200)
    return {"reports": len(stored), "last_at_s": max((one.at.timestamp() for one in stored), default=0.0)}
