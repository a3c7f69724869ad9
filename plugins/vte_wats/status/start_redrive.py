"""Drives a group of dead letters again, as the user who asked for it."""

from __future__ import annotations

from airflow.api.common.trigger_dag import trigger_dag
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.sdk.exceptions import AirflowException
from airflow.utils.types import DagRunTriggeredByType
from fastapi import HTTPException, status
from sqlalchemy import select
from sqlalchemy.orm import Session

from vte_wats.config.sites import Site
from vte_wats.status.access import may_redrive, redrive_dag
from vte_wats.status.api_models import DagRunLink, Redriven


def redrive(site: Site, signature: str, user: BaseUser, session: Session) -> Redriven:
    """Trigger the DAG that reads the group from VTE anew. Answers 403 to who may not trigger it in Airflow either."""
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
    return Redriven(dag_run=DagRunLink(dag_id=dag_id, run_id=dag_run.run_id), is_paused=bool(paused))
