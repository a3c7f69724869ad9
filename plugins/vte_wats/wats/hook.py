"""The Airflow hook for WATS: reads the connection, opens sessions, tests."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.sdk.log import mask_secret

from vte_wats.config.connection_fields import cannot_be_asked, page_in_airflow
from vte_wats.config.settings import ExistenceCheck
from vte_wats.domain.errors import FatalError, VteWatsError
from vte_wats.messages import NO_CONNECTION, VW114
from vte_wats.wats.wats_connection import WatsConnection

if TYPE_CHECKING:
    from vte_wats.wats.client import WatsSession
    from vte_wats.wats.learned_server import LearnedStore
    from vte_wats.wats.profile import WatsProfile
    from vte_wats.wats.rate_limiter import BudgetStore


@dataclass(frozen=True, slots=True)
class WatsProbe:
    """What WATS answered to two small requests; ``took_ms`` is the round trip of the second."""

    version: str
    operations: int
    took_ms: float


class WatsHook(BaseHook):
    """Talks to WATS through the connection ``wats_conn_id``; no connection is opened before a session asks."""

    conn_name_attr = "wats_conn_id"
    default_conn_name = "wats_default"
    conn_type = "wats"
    hook_name = "WATS"

    def __init__(self, wats_conn_id: str = default_conn_name, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.wats_conn_id = wats_conn_id

    def read_connection(self) -> WatsConnection:
        """Return the validated connection; its token is masked in every log from here on."""
        try:
            fields = self.get_connection(self.wats_conn_id)
        except AirflowNotFoundException as exc:
            raise FatalError(VW114, f"the connection {self.wats_conn_id} {NO_CONNECTION}") from exc
        connection = WatsConnection.parse(
            self.wats_conn_id,
            host=fields.host,
            port=fields.port,
            login=fields.login,
            password=fields.password,
            extra=fields.extra,
        )
        mask_secret(connection.token.get_secret_value())
        return connection

    @contextmanager
    def session(
        self,
        existence_check: ExistenceCheck | str = ExistenceCheck.UUID,
        budget_store: BudgetStore | None = None,
        *,
        profile: WatsProfile | None = None,
        learned_store: LearnedStore | None = None,
    ) -> Iterator[WatsSession]:
        """Open a session, which implements :class:`vte_wats.domain.ports.Wats`; it closes with the block.

        ``budget_store`` is for the one holder of the pool's only slot; with more ``concurrent_tasks`` it is not used.
        ``learned_store`` keeps what one session learns of WATS for the next.
        """
        from vte_wats.wats.client import WatsSession  # noqa: PLC0415 -- pyWATS takes longer than all else a task imports

        connection, check = self.read_connection(), ExistenceCheck(existence_check)
        with WatsSession(connection, check, budget_store, profile=profile, learned_store=learned_store) as wats:
            yield wats

    def test_connection(self) -> tuple[bool, str]:
        """Return whether WATS can be reached and used, or why not.

        Airflow's button gives the connection a random id while it is tested: no reason may send anybody there.
        """
        try:
            found = self.probe()
            url = self.read_connection().url
        except VteWatsError as exc:
            return False, str(exc).replace(f": {page_in_airflow(self.wats_conn_id)}", " in this connection")
        except Exception as exc:  # noqa: BLE001 -- the button answers, whatever keeps WATS from being asked
            return False, cannot_be_asked("WATS", exc, *self._secrets())
        return (
            True,
            f"WATS {found.version} at {url}: {found.operations} test operations, {found.took_ms:.0f} ms per request",
        )

    def _secrets(self) -> Iterator[str]:
        with suppress(Exception):  # the connection may be what cannot be read
            yield self.get_connection(self.wats_conn_id).password or ""
            yield self.read_connection().token.get_secret_value()

    def probe(self) -> WatsProbe:
        """Ask WATS once for its version and once for its test operations: no retries, no waiting for the budget."""
        from vte_wats.wats.client import WatsSession  # noqa: PLC0415 -- as above

        connection = self.read_connection().model_copy(update={"attempts": 1, "requests_per_minute": 1_000_000})
        with WatsSession(connection) as wats:
            version = wats.version()
            asked_s = time.perf_counter()
            operations = len(wats.process_codes())
            return WatsProbe(version, operations, (time.perf_counter() - asked_s) * 1000)
