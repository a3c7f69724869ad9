"""Airflow's simple auth manager with one right taken from one user, as roles of other auth managers do."""

from __future__ import annotations

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager


class GuestsReadNoLogs(SimpleAuthManager):
    """The user guest may look at DAG runs and not at the logs of tasks."""

    def is_authorized_dag(self, *, method, user, access_entity=None, details=None) -> bool:
        if access_entity is DagAccessEntity.TASK_LOGS and user.get_name() == "guest":
            return False
        return super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)
