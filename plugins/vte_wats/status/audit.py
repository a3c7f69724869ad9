"""Airflow's audit log: every button of the page leaves a row there, as every button of Airflow does."""

from __future__ import annotations

import json

from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.models.log import Log
from sqlalchemy.orm import Session


def audit(session: Session, user: BaseUser, event: str, dag_id: str, **what: str) -> None:
    """Note who asked for what, of which DAG, also when it is then refused; it stays whatever happens afterwards."""
    name = user.get_name()
    session.add(
        Log(event=event, task_instance=None, owner=name, owner_display_name=name, dag_id=dag_id, extra=json.dumps(what))
    )
    session.commit()
