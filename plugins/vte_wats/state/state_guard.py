"""Check that the state belongs to this database, this WATS and this Airflow; if not, going on would be a guess.

Coverage says what is done, so it means something only for the database and the WATS that were synced.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from vte_wats.config.settings import IdentifiedBy, Settings
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.domain.source import TIMESTAMP_TYPES, SourceIdentity
from vte_wats.messages import VW235, VW511, VW512, VW513, VW514, VW515, VW913, VW914, VW915
from vte_wats.state.coverage import Receipt, State

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SyncEnvironment:
    """What a sync of a site finds: the source, the host of WATS, and both clocks at one moment (aware UTC)."""

    site: Site
    source: SourceIdentity
    target: str
    server_now_at: datetime
    now_at: datetime

    @property
    def clock_skew_s(self) -> float:
        """How far SQL Server's clock is ahead of Airflow's; negative when it is behind."""
        return round((self.server_now_at - self.now_at).total_seconds(), 1)


def refuse_lost_state(site: Site, state: State | None, last_settled: Receipt | None) -> None:
    """Raise FatalError when the state is lost or of an earlier start, as ``last_settled`` shows.

    ``last_settled`` is what :meth:`State.receipt` gave an earlier sync. Without one nothing is checked.
    """
    if last_settled is None:
        return
    if state is None:
        raise FatalError(
            VW511,
            f"the Variable {site.state_variable} is lost: earlier syncs wrote it, and it does not exist. "
            f"Restore it from a backup and clear this run; or {site.accept}: it starts again at the start date, and "
            "runs that are in WATS are skipped",
        )
    if state.started_at is None or state.started_at < last_settled.started_at:
        raise FatalError(
            VW511,
            f"the Variable {site.state_variable} is of an earlier start than the last sync: it began "
            f"{state.started_at}, the last sync's {last_settled.started_at}. Put the newer one back and clear this "
            f"run; or go on from the older one: {site.accept}, which transfers everything since its lastSync, then "
            f"trigger {site.dag_id('reconcile')} with days = 0",
        )


def restarted_if_older(site: Site, state: State, last_settled: Receipt | None) -> State:
    """Return a state that an older one of the same start was put in place of, as one that starts now.

    It covers less than is done: what was done since is a gap, whose runs are found in WATS and skipped.
    """
    if last_settled is None or state.started_at != last_settled.started_at or state.syncs >= last_settled.syncs:
        return state
    log.warning(
        "%s the Variable %s is older than the last sync: it counts %d syncs, %d were settled. The time since its "
        "lastSync %s is read again; runs that are in WATS are skipped",
        VW512,
        site.state_variable,
        state.syncs,
        last_settled.syncs,
        state.last_sync,
    )
    return state.model_copy(update={"started_at": None})


def verify_state(state: State, here: SyncEnvironment, settings: Settings, *, accepted: bool) -> State:
    """Return the state with the environment it belongs to now; with ``accepted`` another database or WATS is allowed.

    Raises FatalError with the choices when the environment is not that of the syncs so far.
    """
    _refuse_future(state, here, settings)
    _compare_columns(state.source, here.source, settings)
    differences = tuple(_differences(state, here, settings))
    if differences and not accepted:
        raise FatalError(VW513, "; ".join(differences) + ". Nothing was read or uploaded")
    for difference in differences:
        log.warning("%s accepted: %s", VW913, difference)
    if abs(here.clock_skew_s) > settings.clock_skew_limit_s:
        log.warning(
            "%s SQL Server's clock differs from Airflow's by %+.1f s, more than clock_skew_limit_s = %d s; set "
            "both by the same time server",
            VW914,
            here.clock_skew_s,
            settings.clock_skew_limit_s,
        )
    return state.model_copy(
        update={
            "started_at": here.now_at if accepted or state.started_at is None else state.started_at,
            "source": here.source,
            "target": here.target,
            "timezone": settings.source_timezone,
            "clock_skew_s": here.clock_skew_s,
        }
    )


def _refuse_future(state: State, here: SyncEnvironment, settings: Settings) -> None:
    """Refuse coverage that ends after the server's own now; a smaller step back is within the guard band."""
    if not state.coverage:
        return
    until_at = state.coverage[-1].to_at
    if (until_at - here.server_now_at).total_seconds() > settings.guard_band_s:
        raise FatalError(
            VW514,
            f"the Variable {here.site.state_variable} covers time in the future, until {until_at}, and SQL "
            f"Server's clock shows {here.server_now_at}. The clock was set back: correct it and clear this run. The "
            f"state is another system's: restore the right one and clear this run, or {here.site.start_over}",
        )


def _differences(state: State, here: SyncEnvironment, settings: Settings) -> Iterator[str]:
    known, found, site = state.source, here.source, here.site
    if known is not None and (what := _other_source(known, found, settings.source_identity)):
        yield (
            f"{what}: {found}; so far {known}. The wrong one: correct connection {site.source_connection} and "
            f"clear this run. The same runs, moved or restored: {site.accept}, then trigger "
            f"{site.dag_id('reconcile')} with days = 0; if that happens again and again, set source_identity. "
            f"Other runs: {site.start_over}"
        )
    if state.target is not None and state.target != here.target:
        yield (
            f"another WATS than the one synced to so far: {here.target}; so far {state.target}. The wrong one: correct "
            f"connection {site.wats_connection} and clear this run. The same reports under another name: "
            f"{site.accept}. A WATS without them: {site.start_over}"
        )
    if state.timezone is not None and state.timezone != settings.source_timezone:
        yield (
            f"another source_timezone than the one synced with so far: {settings.source_timezone}; so far "
            f"{state.timezone}. The wrong one: correct it and clear this run. The right one: what was synced was read "
            f"with another clock, so {site.accept}, then trigger {site.dag_id('backfill')} from the start of the sync "
            "to now"
        )


def _other_source(known: SourceIdentity, found: SourceIdentity, identified_by: IdentifiedBy) -> str:
    """Return what makes the source another one than so far, nothing when it is the same."""
    is_moved, is_restored = known.server != found.server, known.created_local != found.created_local
    if known.database != found.database or (is_moved and identified_by is IdentifiedBy.SERVER):
        return "another database than the one synced so far"
    if identified_by is IdentifiedBy.SERVER:
        return "the database was restored or created again since the last sync" if is_restored else ""
    if is_moved or is_restored:
        log.warning("%s source_identity = database: %s counts as the same source as %s", VW913, found, known)
    return ""


def _compare_columns(known: SourceIdentity | None, found: SourceIdentity, settings: Settings) -> None:
    """Refuse when a column that is read is gone, or Timestamp cannot be read; warn of one that has another type."""
    timestamp = settings.name_here("IndexData", "Timestamp") or ""
    if (found_type := found.columns.get(timestamp, TIMESTAMP_TYPES[0])) not in TIMESTAMP_TYPES:
        raise FatalError(
            VW235,
            f"column {timestamp} must be {', '.join(TIMESTAMP_TYPES)}, but is {found_type}: its wall-clock time "
            "cannot be read. Name a column that is in column_overrides, such as a computed one, CAST([Timestamp] AS "
            f"datetime2): {settings.where_to_change}",
        )
    if known is None:
        return
    gone = sorted(known.columns.keys() & settings.columns_read - found.columns.keys())
    if gone:
        raise FatalError(
            VW515,
            f"columns that are read are gone from {found.database}: {', '.join(gone)}. Renamed or dropped: set "
            f"column_overrides, to the new name or null: {settings.where_to_change}. No longer granted: run "
            "include/sql/grant_read_only.sql. Then clear this run",
        )
    for name in sorted(known.columns.keys() & found.columns.keys()):
        if known.columns[name] != found.columns[name]:
            log.warning("%s column %s was %s and is %s now", VW915, name, known.columns[name], found.columns[name])
    for name in sorted(found.columns.keys() - known.columns.keys()):
        log.info("column %s is new", name)
