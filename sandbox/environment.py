"""The emulated servers of one plant: a VTE database that its stations fill, and a WATS that receives its reports."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Any, Self

from sandbox.factory_data.factory import FactoryData
from sandbox.sqlserver.server import Login, SqlServer
from sandbox.vte.vte_database import NAME, open_database
from sandbox.wats.profiles import DEFAULT, WatsProfile
from sandbox.wats.report_fields import Wsjf
from sandbox.wats.wats_server import WatsServer

READER = "vte_adapter_readonly"
# Passwords of emulated servers that listen on the loopback interface alone.
READER_PASSWORD = "vte-reader-sandbox"  # noqa: S105
WRITER_PASSWORD = "vte-station-sandbox"  # noqa: S105


def _run_of(report: Wsjf) -> str:
    """Return the run that a report was made of: a WATS may keep it under another id."""
    infos = {info["description"]: info["text"] for info in report.get("miscInfos") or []}
    return str(infos.get("source_id", report["id"])).removeprefix("VTE:").lower()


class SandboxEnvironment:
    """Both servers, running within a ``with`` block, and what an Airflow must know to reach them."""

    def __init__(
        self,
        *,
        seed: int = 7,
        timezone: str = "Europe/Oslo",
        requests_per_minute: int | None = None,
        profile: WatsProfile = DEFAULT,
        clock: Callable[[], datetime] | None = None,
        **ports: int,
    ) -> None:
        self.factory_data = FactoryData(seed=seed, timezone=timezone)
        self.db = open_database()
        logins = [Login("sa", WRITER_PASSWORD, can_write=True), Login(READER, READER_PASSWORD, reads_all=False)]
        self.vte = SqlServer(
            self.db,
            logins=logins,
            timezone=timezone,
            port=ports.get("vte_port", 0),
            server_name="VTE-SANDBOX",
            clock=clock,
        )
        self.wats = WatsServer(
            profile=profile,
            requests_per_minute=requests_per_minute,
            port=ports.get("wats_port", 0),
            clock=clock,
        )
        self._requests_per_minute = requests_per_minute or 6_000

    def __enter__(self) -> Self:
        self.vte.__enter__()
        self.wats.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.wats.__exit__(None, None, None)
        self.vte.__exit__(None, None, None)

    @property
    def source(self) -> set[str]:
        """The runs that VTE holds, by their GUIDs in lower case."""
        return {str(guid).lower() for (guid,) in self.db.query('SELECT "Index_GUID" FROM "IndexData"')}

    @property
    def receipts(self) -> dict[str, int]:
        """How often WATS has received the reports of each run that it holds, by the run's GUID in lower case."""
        if not self.wats.profile.renames_reports:
            return {guid.lower(): count for guid, count in self.wats.store.receive_counts().items()}
        received: Counter[str] = Counter()
        runs = {report["id"].lower(): _run_of(report) for report in self.wats.store.reports()}
        counts = self.wats.store.receive_counts()  # after the reports: of those that came between nothing is said yet
        for stored_id, run in runs.items():
            received[run] += counts[stored_id]
        return dict(received)

    @property
    def received_again(self) -> set[str]:
        """The runs whose report WATS received once more as it was, and not with other content in place of it."""
        again = {overwrite.new_id.lower() for overwrite in self.wats.store.overwrites() if overwrite.same_content}
        return {_run_of(report) for report in self.wats.store.reports() if report["id"].lower() in again}

    @property
    def reports(self) -> dict[str, Wsjf]:
        """The report that WATS holds of each run, by the run's GUID in lower case."""
        return {_run_of(report): report for report in self.wats.store.reports()}

    @property
    def connections(self) -> dict[str, dict[str, Any]]:
        """The two Airflow connections, by id, in Airflow's JSON form."""
        return {
            "vte_default": {
                "conn_type": "mssql",
                "host": self.vte.host,
                "port": self.vte.port,
                "login": READER,
                "password": READER_PASSWORD,
                "schema": NAME,
            },
            "wats_default": {
                "conn_type": "wats",
                "host": self.wats.url,
                "password": self.wats.token,
                "extra": {
                    "requests_per_minute": self._requests_per_minute,
                    "report_page": f"{self.wats.url}/reports/{{id}}",
                },
            },
        }

    @property
    def environment_variables(self) -> dict[str, str]:
        """The same connections and the settings for this plant as environment variables of an Airflow."""
        lines = {f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in self.connections.items()}
        return lines | {"AIRFLOW_VAR_VTE_WATS": json.dumps(self.settings())}

    def settings(self, **overrides: object) -> dict[str, Any]:
        """Return the settings that a site with this plant and this WATS would write."""
        existence_check = "source_id" if self.wats.profile.renames_reports else "uuid"
        return self.factory_data.settings(**{"existence_check": existence_check} | overrides)
