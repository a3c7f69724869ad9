"""What Airflow's plugin loader may see of this package: this file and nothing below ``vte_wats/``."""

from __future__ import annotations

from airflow.plugins_manager import AirflowPlugin

from vte_wats.orchestration import preload
from vte_wats.orchestration.sync_deadline import SyncDue
from vte_wats.orchestration.timetable import SyncTimetable
from vte_wats.status.entry import app


class VteWatsPlugin(AirflowPlugin):
    """Declares the package to Airflow: timetable, deadline, what to load early, and the status page."""

    name = "vte_wats"
    timetables = [SyncTimetable]  # noqa: RUF012 -- Airflow's own declaration of it
    deadline_references = [SyncDue]  # noqa: RUF012 -- Airflow's own declaration of it
    listeners = [preload]  # noqa: RUF012 -- Airflow's own declaration of it
    fastapi_apps = [{"app": app, "url_prefix": "/vte-wats", "name": "VTE → WATS"}]  # noqa: RUF012 -- Airflow's form
    external_views = [  # noqa: RUF012
        {"name": "WATS", "href": "vte-wats/page", "url_route": "vte_wats", "destination": "nav"}
    ]
