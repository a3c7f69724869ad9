"""The dead letters of a site for people: reads them in groups, and redrives a group as the user who asked for it."""

from __future__ import annotations

import time
from dataclasses import dataclass

from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.variable import Variable
from airflow.sdk.exceptions import AirflowException
from airflow.utils.types import DagRunTriggeredByType
from fastapi import HTTPException, status
from sqlalchemy import select
from sqlalchemy.orm import Session
from upath import UPath

from vte_wats.config.settings import parse_settings
from vte_wats.config.sites import Site
from vte_wats.orchestration.resources import storage_of
from vte_wats.status.access import may_redrive, redrive_dag
from vte_wats.status.api_models import DagRunLink, StartedRedrive
from vte_wats.storage.dead_letter_index import DeadLetterGroups, DeadLetterIndex

_FRESH_S = 5.0  # however many people look, the folder is listed no more often


@dataclass(slots=True)
class _Cached:
    index: DeadLetterIndex
    groups: DeadLetterGroups | None = None
    read_at_s: float = 0.0


_cache: dict[str, _Cached] = {}


def dead_letter_groups(site: Site) -> DeadLetterGroups:
    """Return the groups. Answers 503 with the reason when settings or storage cannot be read."""
    try:
        settings = parse_settings(Variable.get(site.settings_variable, default_var=None), site.settings_variable)
        return _groups_in(storage_of(site, settings))
    except Exception as exc:  # every bucket's client raises errors of its own
        raise HTTPException(status.HTTP_503_SERVICE_UNAVAILABLE, f"Dead letters cannot be read: {exc}") from exc


def _groups_in(storage: UPath) -> DeadLetterGroups:
    cached = _cache.setdefault(str(storage), _Cached(DeadLetterIndex(storage)))
    now_s = time.monotonic()
    if cached.groups is None or cached.groups.read < cached.groups.listed or now_s - cached.read_at_s > _FRESH_S:
        cached.groups = cached.index.groups()
        cached.read_at_s = now_s
    return cached.groups


def redrive(site: Site, signature: str, user: BaseUser, session: Session) -> StartedRedrive:
    """Trigger the DAG that reads the group from VTE again. Answers 403 to who may not trigger it in Airflow either."""
    dag_id = redrive_dag(site)
    if not may_redrive(site, user):
        raise HTTPException(status.HTTP_403_FORBIDDEN, f"You may not trigger {dag_id}.")
    try:
        dag_run: DagRun | None = trigger_dag(
            dag_id,
            triggered_by=DagRunTriggeredByType.UI,
            triggering_user_name=user.get_name(),
            conf={"dead_letters": signature},
            session=session,
        )
    except (AirflowException, ValueError) as exc:
        raise HTTPException(status.HTTP_409_CONFLICT, str(exc)) from exc
    if dag_run is None:
        raise HTTPException(status.HTTP_409_CONFLICT, f"{dag_id} could not be triggered.")
    paused = session.scalar(select(DagModel.is_paused).where(DagModel.dag_id == dag_id))
    return StartedRedrive(dag_run=DagRunLink(dag_id=dag_id, run_id=dag_run.run_id), is_paused=bool(paused))
