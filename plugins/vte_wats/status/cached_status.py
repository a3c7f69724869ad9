"""What Airflow's database says about the sites, as the routes give it: read once for all who ask within some seconds.

A request costs the same for one site and for fifty, and with a database that does not answer it costs no thread.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from airflow.utils.session import create_session
from fastapi import HTTPException, status

from vte_wats.config.sites import Site
from vte_wats.domain.errors import VteWatsError
from vte_wats.domain.redaction import redact
from vte_wats.health import Health, ProbeStatus, health
from vte_wats.messages import VW831, VW832, VW924
from vte_wats.orchestration.dag_defaults import read_sites
from vte_wats.status.api_models import HistoryChart, ProofCalendar, SiteStatus, SiteSummary, Span
from vte_wats.status.charts import history_chart, proof_calendar
from vte_wats.status.shared_reads import CachedRead, NoAnswerYet, SharedReads
from vte_wats.status.site_reader import read_site, read_stored
from vte_wats.status.site_summary import site_status, site_summary

log = logging.getLogger(__name__)

T = TypeVar("T")

_OLDEST = timedelta(minutes=1)  # a state of longer ago is none: the database does not answer
# Few connections at once: the pool of the database belongs to Airflow.
_logged: dict[str, ProbeStatus] = {}  # a line when the status changes, none for a request
HEALTH: SharedReads[Health] = SharedReads(fresh_s=10, deadline_s=5, at_once=1)
SUMMARIES: SharedReads[list[SiteSummary]] = SharedReads(fresh_s=10, deadline_s=5, at_once=1)
STATUSES: SharedReads[SiteStatus] = SharedReads(fresh_s=2, deadline_s=5, at_once=2)
HISTORIES: SharedReads[HistoryChart] = SharedReads(fresh_s=10, deadline_s=5, at_once=1)
CALENDARS: SharedReads[ProofCalendar] = SharedReads(fresh_s=10, deadline_s=5, at_once=1)


async def deployment_health() -> Health:
    """Return the health of all sites together; 503 with neither names nor reasons when it cannot be known."""
    return await _answer(HEALTH, (), _health)


async def every_site_summary() -> list[SiteSummary]:
    """Return the summaries of all sites, whoever may see them."""
    return await _answer(SUMMARIES, (), _summaries)


async def whole_site_status(site: Site) -> SiteStatus:
    """Return everything about one site, to be cut to what the user may see."""
    return await _answer(STATUSES, site, lambda: _status(site))


async def site_history(site: Site, span: Span) -> HistoryChart:
    """Return the history of one site."""
    return await _answer(HISTORIES, (site, span), lambda: _history(site, span))


async def site_calendar(site: Site) -> ProofCalendar:
    """Return what is proven of one site, to be cut to what the user may see."""
    return await _answer(CALENDARS, site, lambda: _calendar(site))


async def _answer(reads: SharedReads[T], key: Hashable, read: Callable[[], T]) -> T:
    try:
        answer: CachedRead[T] = await reads.get(key, read)
    except VteWatsError:
        detail = "The options of the deployment are wrong; the log of the api-server says how."
    except NoAnswerYet:
        detail = f"{VW831} Airflow's database does not answer."
    except Exception as exc:  # noqa: BLE001 -- whatever a database raises
        log.warning("%s the state cannot be read: %s: %s", VW832, type(exc).__name__, redact(str(exc)))
        detail = f"{VW832} The state cannot be read; the log of the api-server says why."
    else:
        if datetime.now(UTC) - answer.read_at < _OLDEST:
            return answer.content
        detail = f"{VW831} Airflow's database does not answer."
    raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, detail)


def _health() -> Health:
    try:
        sites = read_sites()
    except VteWatsError as exc:
        log.warning("%s /health cannot be answered: %s", VW924, exc)
        raise
    with create_session(scoped=False) as session:
        found = health(list(read_stored(session, sites).values()), datetime.now(UTC))
    log.log(logging.DEBUG if found.status is _logged.get("status") else logging.INFO, "%s", found)
    _logged["status"] = found.status
    return found


def _summaries() -> list[SiteSummary]:
    now_at = datetime.now(UTC)
    with create_session(scoped=False) as session:
        return [site_summary(site, read_site(session, site, now_at), now_at) for site in read_sites()]


def _status(site: Site) -> SiteStatus:
    now_at = datetime.now(UTC)
    with create_session(scoped=False) as session:
        return site_status(site, read_site(session, site, now_at), now_at)


def _calendar(site: Site) -> ProofCalendar:
    with create_session(scoped=False) as session:
        stored = read_stored(session, [site])[site]
    return proof_calendar(stored, datetime.now(UTC))


def _history(site: Site, span: Span) -> HistoryChart:
    with create_session(scoped=False) as session:
        stored = read_stored(session, [site])[site]
    return history_chart(stored.history, span, datetime.now(UTC))
