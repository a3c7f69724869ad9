"""Who may see and do what, by Airflow's login and permissions, and the row that each button leaves in its audit log."""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import urlsplit

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.base_auth_manager import ResourceMethod
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.auth.managers.models.resource_details import (
    DagAccessEntity,
    DagDetails,
    VariableDetails,
)
from airflow.api_fastapi.core_api.security import GetUserDep
from airflow.configuration import conf
from airflow.models.dag import DagModel
from airflow.models.log import Log
from airflow.models.variable import Variable
from fastapi import Depends, HTTPException, Query, Request, status
from sqlalchemy.orm import Session

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError
from vte_wats.orchestration.dag_defaults import read_sites

# A page of another origin cannot send its own header without a preflight request, which is never answered.
CSRF_HEADER = "X-VTE-WATS"


def all_sites() -> tuple[Site, ...]:
    """Return the sites of this deployment; a wrong option is an error here as in the DAG files."""
    try:
        return read_sites()
    except FatalError as exc:
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, exc.public) from exc


def readable_sites(user: GetUserDep) -> list[Site]:
    """Return the sites whose sync the user may look at."""
    return [site for site in all_sites() if _may("GET", site.dag_id("sync"), user, DagAccessEntity.RUN)]


ReadableSites = Annotated[list[Site], Depends(readable_sites)]


def named_site(
    sites: ReadableSites, site: Annotated[str, Query(description="The site's name; empty for the only one.")] = ""
) -> Site:
    """Return the site that is asked about; one the user may not see does not exist for them."""
    for candidate in sites:
        if candidate.name == site:
            return candidate
    if not sites:
        raise HTTPException(status.HTTP_403_FORBIDDEN, "You may not look at the DAG runs of any site.")
    raise HTTPException(status.HTTP_404_NOT_FOUND, "There is no such site.")


NamedSite = Annotated[Site, Depends(named_site)]


def may_redrive(site: NamedSite, user: GetUserDep) -> bool:
    """Return whether the user may trigger the DAG that redrives dead letters."""
    return _may("POST", redrive_dag(site), user, DagAccessEntity.RUN)


def may_read_logs(site: NamedSite, user: GetUserDep) -> bool:
    """Return whether the user may read the logs of the sync's tasks, and so what errors say of runs and servers."""
    return _may("GET", site.dag_id("sync"), user, DagAccessEntity.TASK_LOGS)


MayReadLogs = Annotated[bool, Depends(may_read_logs)]


MayRedrive = Annotated[bool, Depends(may_redrive)]


def may_read_survey(site: NamedSite, user: GetUserDep) -> bool:
    """Return whether the user may read the logs of the survey's tasks, and so what it says of the data."""
    return _may("GET", site.dag_id("survey"), user, DagAccessEntity.TASK_LOGS)


MayReadSurvey = Annotated[bool, Depends(may_read_survey)]


def may_read_settings(site: NamedSite, user: GetUserDep) -> bool:
    """Return whether the user may read the Variable with the settings."""
    return _may_with_settings("GET", site, user)


MayReadSettings = Annotated[bool, Depends(may_read_settings)]


def may_change_settings(site: NamedSite, user: GetUserDep) -> bool:
    """Return whether the user may edit the Variable with the settings, and make it where there is none."""
    return _may_with_settings("PUT", site, user) and _may_with_settings("POST", site, user)


MayChangeSettings = Annotated[bool, Depends(may_change_settings)]


def redrive_dag(site: Site) -> str:
    """Return the DAG that redrives dead letters."""
    return site.dag_id("backfill")


def refuse_other_origins(request: Request) -> None:
    """Refuse what another page has made the browser send: the cookie alone proves nothing."""
    if CSRF_HEADER not in request.headers:
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"The header {CSRF_HEADER} is missing.")
    if request.headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
        raise HTTPException(status.HTTP_403_FORBIDDEN, "The request comes from another site.")
    origin = request.headers.get("Origin")
    if origin is not None and urlsplit(origin).netloc not in _own_hosts(request):
        raise HTTPException(status.HTTP_403_FORBIDDEN, "The request comes from another origin.")


def _own_hosts(request: Request) -> set[str]:
    base_url = conf.get("api", "base_url", fallback="")
    return {request.headers.get("Host", ""), urlsplit(base_url).netloc} - {""}


def _may(method: ResourceMethod, dag_id: str, user: BaseUser, entity: DagAccessEntity) -> bool:
    details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
    return get_auth_manager().is_authorized_dag(method=method, access_entity=entity, details=details, user=user)


def _may_with_settings(method: ResourceMethod, site: Site, user: BaseUser) -> bool:
    key = site.settings_variable
    details = VariableDetails(key=key, team_name=Variable.get_team_name(key))
    return get_auth_manager().is_authorized_variable(method=method, details=details, user=user)


def audit(session: Session, user: BaseUser, event: str, dag_id: str, **what: str) -> None:
    """Note who asked for what, of which DAG, also when it is then refused; it stays whatever happens afterwards."""
    name = user.get_name()
    session.add(
        Log(event=event, task_instance=None, owner=name, owner_display_name=name, dag_id=dag_id, extra=json.dumps(what))
    )
    session.commit()
