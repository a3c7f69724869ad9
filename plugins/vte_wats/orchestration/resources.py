"""The outside world as the tasks open it: settings, storage, state, VTE and WATS, all from Airflow."""

from __future__ import annotations

import logging
import os
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from airflow.sdk import Connection, ObjectStoragePath, Variable
from airflow.sdk.exceptions import AirflowNotFoundException
from pydantic import ValidationError
from upath import UPath

from vte_wats.config.settings import Settings, parse_settings
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.messages import VW110, VW111, VW516, VW904
from vte_wats.state.coverage import State
from vte_wats.state.history import History

if TYPE_CHECKING:  # the drivers load inside a task, never when a DAG file is parsed
    from vte_wats.domain.ports import Wats
    from vte_wats.vte.reader import VteSource

log = logging.getLogger(__name__)


def read_settings(site: Site) -> Settings:
    """Read the site's settings from its Variable; every mistake in it is one line of the error."""
    return parse_settings(Variable.get(site.settings_variable, default=None), site.settings_variable)


def open_source(site: Site, settings: Settings) -> VteSource:
    """Return VTE, to be entered with ``with``; nothing is dialled before."""
    from vte_wats.vte.reader import VteSource

    return VteSource(settings, site=site)


def open_wats(site: Site, settings: Settings) -> AbstractContextManager[Wats]:
    """Return WATS, to be entered with ``with``; nothing is dialled before. Only a task in the site's pool may do so."""
    from vte_wats.orchestration.budget_variable import BudgetVariable
    from vte_wats.wats.hook import WatsHook

    memory = BudgetVariable(site.budget_variable)
    return WatsHook(site.wats_connection).session(settings.existence_check, memory)


def storage_of(site: Site, settings: Settings) -> UPath:
    """Return the folder or bucket that holds staging and dead letters; a named site has one of its own below it.

    Raises FatalError when the connection or the provider that ``storage_path`` needs is missing: Airflow would go on
    without credentials.
    """
    airflow_home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
    place = settings.storage_path or f"file://{airflow_home}/vte_wats"
    try:
        path = ObjectStoragePath(place)
        if path.conn_id:
            Connection.get(path.conn_id)
        path.fs.dircache.use_listings_cache = False  # what another worker has written since counts
    except AirflowNotFoundException as exc:
        raise FatalError(VW110, f"storage_path: {place} names an Airflow connection that does not exist") from exc
    except (ImportError, ValueError) as exc:
        raise FatalError(
            VW111,
            f"storage_path: {place} cannot be opened: {exc}. Buckets need the provider that knows them, such as "
            "apache-airflow-providers-amazon[s3fs]; see docs/scaling.md",
        ) from exc
    storage = cast("UPath", path)
    return storage / site.name if site.name else storage


def report_page(site: Site, report_id: object) -> str:
    """Return where a person looks at a report in the browser."""
    from vte_wats.wats.hook import WatsHook

    return WatsHook(site.wats_connection).read_connection().page_of(report_id)


def wats_host(site: Site) -> str:
    """Return the host that the site's connection to WATS names; nothing is dialled."""
    from vte_wats.wats.hook import WatsHook

    return str(urlsplit(WatsHook(site.wats_connection).read_connection().url).hostname)


def wats_budget(site: Site) -> int:
    """Return the requests a minute that the site's connection to WATS allows; nothing is dialled."""
    from vte_wats.wats.hook import WatsHook

    return WatsHook(site.wats_connection).read_connection().requests_per_minute


def read_state(site: Site, since_at: datetime) -> State | None:
    """Read what the syncs since ``since_at`` have done; ``None`` when there is no state.

    Raises FatalError when the Variable holds something else: a damaged state is for a person to judge.
    """
    text = Variable.get(site.state_variable, default=None)
    if text is None:
        return None
    try:
        state = State.model_validate_json(text)
    except ValidationError as exc:
        raise FatalError(
            VW516,
            f"the Variable {site.state_variable} is damaged: {exc.errors()[0]['msg']}. Restore it from a backup, "
            f"or {site.start_over}",
        ) from exc
    return state.model_copy(update={"since_at": since_at.astimezone(UTC)})


def write_state(site: Site, state: State) -> None:
    """Write the state. Only a task in the site's state pool, which has one slot, may do so."""
    Variable.set(site.state_variable, state.model_dump_json(by_alias=True, indent=1))
    log.info("lastSync %s, totals %s", state.last_sync, state.totals)


def read_history(site: Site) -> History:
    """Read the counts of past hours and days; a damaged history stops nothing and begins anew."""
    text = Variable.get(site.history_variable, default="{}")
    try:
        return History.model_validate_json(text)
    except ValidationError as exc:
        log.warning(
            "%s the Variable %s is damaged and begins anew: %s", VW904, site.history_variable, exc.errors()[0]["msg"]
        )
        return History()


def write_history(site: Site, history: History) -> None:
    """Write the history, under the same condition as the state."""
    Variable.set(site.history_variable, history.to_text())
