"""Airflow's simple auth manager with one right taken from one user, as roles of other auth managers do."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser


class GuestsReadNoLogs(SimpleAuthManager):
    """The user guest may look at DAG runs and not at the logs of tasks."""

    def is_authorized_dag(
        self,
        *,
        method: Any,
        user: SimpleAuthManagerUser,
        access_entity: DagAccessEntity | None = None,
        details: Any = None,
    ) -> bool:
        if access_entity is DagAccessEntity.TASK_LOGS and user.get_name() == "guest":
            return False
        return super().is_authorized_dag(method=method, user=user, access_entity=access_entity, details=details)
