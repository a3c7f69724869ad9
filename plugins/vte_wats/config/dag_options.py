"""What must be known when a DAG file is parsed: the options of section ``[vte_wats]`` of Airflow's configuration.

A DAG file may not ask a database or a Variable while it is parsed, so the shape of the DAGs comes from airflow.cfg or
from environment variables such as ``AIRFLOW__VTE_WATS__START_DATE``. Nothing here reads them: ``text_of`` does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.domain.redaction import shown
from vte_wats.messages import VW104, VW105, VW106, VW107

SECTION = "vte_wats"
_DIGITS = 9  # of the largest number; Python refuses thousands of them with an error of its own

TextOf = Callable[[str, str], str]
"""``(option, default) → text``, as the deployment sets it."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its default as text, and for a number the range that it must lie in."""

    name: str
    default: str
    meaning: str
    at_least: int | None = None
    at_most: int | None = None

    def text(self, text_of: TextOf) -> str:
        """Return the option as the deployment sets it."""
        return text_of(self.name, self.default)

    def whole_number(self, text_of: TextOf) -> int:
        """Return the option as a number; raises FatalError that names option, rule and value."""
        text = self.text(text_of).strip()
        low, high = self.at_least or 0, self.at_most
        if not text.isdecimal() or len(text) > _DIGITS or int(text) < low or (high is not None and int(text) > high):
            until = "" if high is None else f" to {high:,}"
            raise FatalError(VW107, f"[{SECTION}] {self.name}: a whole number from {low}{until}, given {shown(text)}")
        return int(text)


_SITES = Option(
    "sites",
    "",
    "Names of the sites, separated by commas, when there are several: each has DAGs, connections, Variables and pools "
    "of its own, with its name at their end. Empty: one site without a name.",
)
_START_DATE = Option(
    "start_date",
    "",
    "The instant from which runs are synced, ISO 8601. Catchup reads everything since then, interval by interval; "
    "older history is for a backfill. Required.",
)
_SCHEDULE = Option(
    "schedule",
    "*/5 * * * *",
    "When the sync runs: a cron expression in UTC. One interval lies between two of its times.",
)
_RECONCILE_SCHEDULE = Option(
    "reconcile_schedule", "30 3 * * *", "When VTE and WATS are compared: a cron expression in UTC."
)
_MONITOR_SCHEDULE = Option(
    "monitor_schedule", "*/2 * * * *", "When the monitor checks everything: a cron expression in UTC."
)
_DEADLINE_S = Option(
    "deadline_s",
    "600",
    "Seconds after the end of its interval by which a sync must have ended; later, a mail is sent. 0: no deadline.",
    at_least=0,
)
_MAX_ACTIVE_RUNS = Option(
    "max_active_runs",
    "4",
    "Intervals processed at the same time, when several were missed. With more than one slot in the pool of WATS set "
    "it to 1: intervals that share a guard band would post the same run twice.",
    at_least=1,
)
_BACKFILL_SLICES = Option(
    "backfill_slices",
    "200",
    "Slices that one DAG run of a backfill transfers before the next one continues.",
    at_least=1,
    at_most=1_000,
)
_RETRIES = Option("retries", "3", "Further tries of a failed task.", at_least=0)
_RETRY_DELAY_S = Option(
    "retry_delay_s",
    "30",
    "Seconds before the first further try; they double each time, up to ten minutes. WATS may ask for more with "
    "Retry-After.",
    at_least=1,
)
_HEALTH_DETAILS = Option(
    "health_details",
    "true",
    "Whether /vte-wats/health, which asks for no login, also says lastSync and counts; false: the status alone.",
)

OPTIONS = (
    _SITES,
    _START_DATE,
    _SCHEDULE,
    _RECONCILE_SCHEDULE,
    _MONITOR_SCHEDULE,
    _DEADLINE_S,
    _MAX_ACTIVE_RUNS,
    _BACKFILL_SLICES,
    _RETRIES,
    _RETRY_DELAY_S,
    _HEALTH_DETAILS,
)


@dataclass(frozen=True, slots=True)
class DagOptions:
    """Which sites have DAGs, when these run (cron, UTC), from when on, and how often a failed task is tried again."""

    sites: tuple[Site, ...]
    start_date: datetime
    schedule: str
    reconcile_schedule: str
    monitor_schedule: str
    deadline: timedelta
    max_active_runs: int
    backfill_slices: int
    retries: int
    retry_delay: timedelta


def parse_dag_options(text_of: TextOf) -> DagOptions:
    """Read every option. Raises FatalError, an import error in the UI, that names option, rule and value."""
    return DagOptions(
        sites=parse_sites(text_of),
        start_date=_start_date(text_of),
        schedule=_SCHEDULE.text(text_of),
        reconcile_schedule=_RECONCILE_SCHEDULE.text(text_of),
        monitor_schedule=_MONITOR_SCHEDULE.text(text_of),
        deadline=timedelta(seconds=_DEADLINE_S.whole_number(text_of)),
        max_active_runs=_MAX_ACTIVE_RUNS.whole_number(text_of),
        backfill_slices=_BACKFILL_SLICES.whole_number(text_of),
        retries=_RETRIES.whole_number(text_of),
        retry_delay=timedelta(seconds=_RETRY_DELAY_S.whole_number(text_of)),
    )


def parse_sites(text_of: TextOf) -> tuple[Site, ...]:
    """Read the sites alone; raises FatalError as :func:`parse_dag_options` does."""
    names = [name.strip() for name in _SITES.text(text_of).split(",") if name.strip()]
    try:
        sites = tuple(Site(name) for name in names)
    except ValueError as exc:
        raise FatalError(VW104, f"[{SECTION}] sites: names separated by commas; {exc}") from None
    if len(set(sites)) < len(sites):
        raise FatalError(VW105, f"[{SECTION}] sites: each name once, given {', '.join(names)}")
    return sites or (Site(),)


def parse_health_details(text_of: TextOf) -> bool:
    """Read whether the open health address says more than one word; what is no clear yes is a no."""
    return _HEALTH_DETAILS.text(text_of).strip().lower() == "true"


def _start_date(text_of: TextOf) -> datetime:
    text = _START_DATE.text(text_of)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise FatalError(
            VW106,
            f"[{SECTION}] start_date: the instant from which runs are synced, ISO 8601 such as 2026-11-01T00:00:00Z, "
            f"given {text!r}. Set it in airflow.cfg or as AIRFLOW__{SECTION.upper()}__START_DATE. Catchup reads "
            "everything since then in five-minute intervals; leave older history to a backfill",
        ) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)  # without an offset it is UTC
