"""The outside world as the tasks open it: settings, storage, state, VTE and WATS, all from Airflow."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from airflow.sdk import Connection, ObjectStoragePath
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowRuntimeError
from upath import UPath

from vte_wats.config.settings import OperatorNames, Settings, parse_settings
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, RetriableError
from vte_wats.messages import NO_CONNECTION, VW110, VW111, VW567
from vte_wats.orchestration.variables import HISTORY, STATE, WATS_PROFILE, BudgetVariable, LearnedVariable, Variables
from vte_wats.state.coverage import State
from vte_wats.state.history import History
from vte_wats.storage.object_storage import is_of_storage, storage_error
from vte_wats.sync.slices import sized_for_backlog
from vte_wats.wats.profile import WatsProfile

if TYPE_CHECKING:  # the API server needs storage and Variables from here, and loads no drivers for it
    from vte_wats.domain.ports import Wats
    from vte_wats.vte.reader import VteSource
    from vte_wats.wats.wats_connection import WatsConnection

log = logging.getLogger(__name__)


def read_settings(site: Site) -> Settings:
    """Read the site's settings from its Variable; every mistake in it is one line of the error."""
    return parse_settings(Variables(site).settings_text(), site.settings_variable)


def open_vte(site: Site, settings: Settings) -> VteSource:
    """Return VTE, to be entered with ``with``; it connects then.

    Raises FatalError when operators are to have pseudonyms and the secret for them is missing.
    """
    from vte_wats.mapping.identity import Operators
    from vte_wats.vte.reader import VteSource

    secret = Variables(site).operator_secret() if settings.operator is OperatorNames.PSEUDONYM else None
    return VteSource(settings, site=site, operators=Operators(settings, secret, site))


def open_wats(site: Site, settings: Settings) -> AbstractContextManager[Wats]:
    """Return WATS, to be entered with ``with``; it connects then. Only a task in the site's pool may do so."""
    from vte_wats.wats.hook import WatsHook

    return WatsHook(site.wats_connection).session(
        settings.existence_check,
        BudgetVariable(site),
        profile=read_profile(site),
        learned_store=LearnedVariable(site),
    )


def read_profile(site: Site) -> WatsProfile:
    """Read what an acceptance run measured of the site's WATS.

    Without a profile, with a damaged one or with one of another host nothing is known.
    """
    profile = Variables(site).load(WATS_PROFILE)
    if profile is None:
        return WatsProfile()
    if problem := profile_problem(site, profile):
        log.warning("%s %s", VW567, problem)
        return WatsProfile()
    return profile


def profile_problem(site: Site, profile: WatsProfile | None = None) -> str | None:
    """Return why the profile of WATS is not used for the host of the connection; ``None`` if it is, or is absent."""
    profile = profile or Variables(site).load(WATS_PROFILE)
    if profile is None or profile.host == wats_host(site):
        return None
    return (
        f"the Variable {site.profile_variable} was measured at {profile.host or 'an unnamed host'} "
        f"on {profile.measured_at} and is not used for {wats_host(site)}: nothing is assumed of this WATS. Run the "
        "acceptance there, or delete the Variable"
    )


def storage_of(site: Site, settings: Settings) -> UPath:
    """Return the folder or bucket that holds staging and dead letters; a named site has one of its own below it.

    Raises FatalError when the connection or the provider that ``storage_path`` needs is missing, for Airflow would go
    on without credentials, or when the client of the bucket refuses the connection.
    """
    airflow_home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    place = settings.storage_path or f"file://{airflow_home}/vte_wats"
    conn_id = None
    try:
        path = ObjectStoragePath(place)
        conn_id = path.conn_id
        if conn_id:
            Connection.get(conn_id)
        path.fs.dircache.use_listings_cache = False  # what another worker has written since counts
    except AirflowNotFoundException as exc:
        raise FatalError(VW110, f"storage_path: the Airflow connection {conn_id} {NO_CONNECTION}") from exc
    except AirflowRuntimeError:  # Airflow's own API does not answer: that passes
        raise
    except (ImportError, ValueError) as exc:
        raise FatalError(
            VW111,
            f"storage_path: {place} cannot be opened: {exc}. Buckets need the provider that knows them, such as "
            "apache-airflow-providers-amazon[s3fs]; see docs/scaling.md",
        ) from exc
    except Exception as exc:
        if is_of_storage(exc) and isinstance(passing := storage_error(exc, place), RetriableError):
            raise passing from exc
        problem = f"{type(exc).__name__}: {str(exc).partition(chr(10))[0]}"
        to_correct = f"the fields and the extra of the Airflow connection {conn_id}" if conn_id else "storage_path"
        raise FatalError(VW111, f"storage_path: {place} cannot be opened: {problem}. Correct {to_correct}") from exc
    storage = cast("UPath", path)
    return storage / site.name if site.name else storage


def wats_connection(site: Site) -> WatsConnection:
    """Return the site's connection to WATS, validated; it does not connect."""
    from vte_wats.wats.hook import WatsHook

    return WatsHook(site.wats_connection).read_connection()


def backlog_settings(site: Site, settings: Settings) -> Settings:
    """Return the settings for slices that the current interval may have to wait for."""
    return sized_for_backlog(settings, wats_connection(site).requests_per_minute)


def wats_host(site: Site) -> str:
    """Return the host that the site's connection to WATS names."""
    return str(urlsplit(wats_connection(site).url).hostname)


def read_state(site: Site, since_at: datetime) -> State | None:
    """Read what the syncs since ``since_at`` have done; ``None`` when there is no state.

    Raises FatalError when the Variable holds something else: a damaged state is for a person to judge.
    """
    return _counted_from(Variables(site).load(STATE), since_at)


def _counted_from(state: State | None, since_at: datetime) -> State | None:
    return None if state is None else state.model_copy(update={"since_at": since_at.astimezone(UTC)})


def change_state(site: Site, since_at: datetime, change: Callable[[State | None], State | None]) -> bool:
    """Change the state, unless ``change`` returns ``None``; return whether. After another writer it is called again.

    A task in the site's state pool, which has one slot, has no other writer; one that Airflow took for dead may be one.
    """

    def numbered(stored: State | None) -> State | None:
        after = change(_counted_from(stored, since_at))
        if after is None:
            return None
        log.info("lastSync %s, totals %s", after.last_sync, after.totals)
        return after.model_copy(update={"sequence": (stored.sequence if stored else 0) + 1})

    return Variables(site).change(STATE, numbered)


def read_history(site: Site) -> History:
    """Read the counts of past hours and days; a damaged history stops nothing and starts over."""
    return Variables(site).load(HISTORY) or History()
