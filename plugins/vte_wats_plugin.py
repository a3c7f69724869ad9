"""What Airflow's plugin loader may see of this package: this file and nothing below ``vte_wats/``."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from vte_wats.orchestration.deadline import SyncDue


class VteWatsPlugin(AirflowPlugin):
    """Declares the package to Airflow, so that ``airflow plugins`` and the UI list it."""

    name = "vte_wats"
    deadline_references = [SyncDue]  # noqa: RUF012 -- Airflow's own declaration of it
