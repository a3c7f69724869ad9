"""The Airflow hook of the connection type VTE: that of Microsoft SQL Server, which tests as tasks connect."""

from __future__ import annotations

from contextlib import suppress

from airflow.providers.microsoft.mssql.hooks.mssql import MsSqlHook

from vte_wats.config.connection_fields import cannot_be_asked, page_in_airflow
from vte_wats.domain.errors import VteWatsError


class VteHook(MsSqlHook):
    """Tells the test button of Airflow why VTE cannot be read, with a code, and why this time."""

    conn_type = "vte"
    default_conn_name = "vte_default"
    hook_name = "VTE (SQL Server)"

    def test_connection(self) -> tuple[bool, str]:  # type: ignore[override]
        """Return whether tasks could connect, or why not.

        No reason names a connection: Airflow's button tests under a random id, and the site's may have any name.
        """
        from vte_wats.config.settings import Settings  # noqa: PLC0415 -- Airflow loads every hook to show the forms
        from vte_wats.config.sites import Site  # noqa: PLC0415 -- as above
        from vte_wats.vte.reader import VteSource  # noqa: PLC0415 -- as above

        settings = Settings.model_construct(source_timezone="UTC", process_map={})  # the button knows none
        unnamed = Site()
        try:
            with VteSource(settings, self, site=unnamed):
                fields = self.connection
                return True, f"database {fields.schema} at {fields.host}:{fields.port} is open to login {fields.login}"
        except VteWatsError as exc:
            text = str(exc).replace(f": {page_in_airflow(unnamed.source_connection)}", " in this connection")
            return False, text.replace(f"connection {unnamed.source_connection}", "this connection")
        except Exception as exc:  # noqa: BLE001 -- the button answers, whatever keeps VTE from being asked
            return False, cannot_be_asked("VTE", exc, self._password())

    def _password(self) -> str:
        with suppress(Exception):  # the connection may be what cannot be read
            return self.connection.password or ""
        return ""
