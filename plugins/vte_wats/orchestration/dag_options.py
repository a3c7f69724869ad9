"""What must be known when a DAG file is parsed: section ``[vte_wats]`` of Airflow's configuration.

A DAG file may not ask a database or a Variable while it is parsed, so the shape of the DAGs comes from airflow.cfg or
from environment variables such as ``AIRFLOW__VTE_WATS__START_DATE``.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import pendulum
from airflow.sdk.configuration import conf

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW104, VW105, VW106, VW107

SECTION = "vte_wats"


@dataclass(frozen=True, slots=True)
class DagSettings:
    """Which sites have DAGs, when these run (cron, UTC), from when on, and how often a failed task is tried again."""

    sites: tuple[Site, ...]
    start_date: pendulum.DateTime
    schedule: str
    reconcile_schedule: str
    monitor_schedule: str
    deadline: timedelta
    max_active_runs: int
    backfill_slices: int
    retries: int
    retry_delay: timedelta


def read_dag_settings() -> DagSettings:
    """Read section ``[vte_wats]``. Raises FatalError, an import error in the UI, that names option, rule and value."""
    return DagSettings(
        sites=read_sites(),
        start_date=_start_date(),
        schedule=conf.get(SECTION, "schedule", fallback="*/5 * * * *"),
        reconcile_schedule=conf.get(SECTION, "reconcile_schedule", fallback="30 3 * * *"),
        monitor_schedule=conf.get(SECTION, "monitor_schedule", fallback="*/2 * * * *"),
        deadline=timedelta(seconds=_whole_number("deadline_s", 600, at_least=0)),
        max_active_runs=_whole_number("max_active_runs", 4, at_least=1),
        backfill_slices=_whole_number("backfill_slices", 200, at_least=1, at_most=1_000),
        retries=_whole_number("retries", 3, at_least=0),
        retry_delay=timedelta(seconds=_whole_number("retry_delay_s", 30, at_least=1)),
    )


def read_sites() -> tuple[Site, ...]:
    """Read the sites alone; raises FatalError as :func:`read_dag_settings` does."""
    names = [name.strip() for name in conf.get(SECTION, "sites", fallback="").split(",") if name.strip()]
    try:
        sites = tuple(Site(name) for name in names)
    except ValueError as exc:
        raise FatalError(VW104, f"[{SECTION}] sites: names separated by commas; {exc}") from None
    if len(set(sites)) < len(sites):
        raise FatalError(VW105, f"[{SECTION}] sites: each name once, given {', '.join(names)}")
    return sites or (Site(),)


def _start_date() -> pendulum.DateTime:
    text = conf.get(SECTION, "start_date", fallback="")
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise FatalError(
            VW106,
            f"[{SECTION}] start_date: the instant from which runs are synced, ISO 8601 such as "
            f"2026-11-01T00:00:00Z, given {text!r}. Set it in airflow.cfg or as "
            f"AIRFLOW__{SECTION.upper()}__START_DATE. Catchup reads everything since then in five-minute intervals; "
            "leave older history to a backfill",
        ) from None
    return pendulum.instance(at, tz="UTC").in_timezone("UTC")  # without an offset it is UTC


def _whole_number(option: str, default: int, *, at_least: int, at_most: int | None = None) -> int:
    text = conf.get(SECTION, option, fallback=str(default))
    if not text.strip().isdecimal() or int(text) < at_least or (at_most is not None and int(text) > at_most):
        until = "" if at_most is None else f" to {at_most:,}"
        raise FatalError(VW107, f"[{SECTION}] {option}: a whole number from {at_least}{until}, given {text!r}")
    return int(text)
