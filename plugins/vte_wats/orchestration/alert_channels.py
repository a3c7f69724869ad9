"""Who is notified, also while the settings that say so cannot be read."""

from __future__ import annotations

import logging
from zoneinfo import ZoneInfo, available_timezones

from vte_wats.alerting.monitor_state import MonitorState
from vte_wats.config.alert_settings import AlertSettings
from vte_wats.config.settings import parse_alerts
from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, VteWatsError
from vte_wats.messages import VW549
from vte_wats.orchestration.variables import Variables

log = logging.getLogger(__name__)


def alerts_of(site: Site, monitor_state: MonitorState) -> tuple[AlertSettings, ZoneInfo, VteWatsError | None]:
    """Return the settings for alerts, the zone of their clock times, and what is wrong with them now.

    Those that could be read last count while what is there cannot be read; the monitor keeps them in its state.
    """
    try:
        return *parse_alerts(Variables(site).settings_text(), site.settings_variable), None
    except VteWatsError as exc:
        mistake = exc
    except Exception as exc:  # noqa: BLE001 -- whatever keeps Airflow from answering
        mistake = FatalError(VW549, f"the settings cannot be read: {type(exc).__name__}: {exc}")
    known = monitor_state.alerts is not None
    log.error("%s. %s", mistake, "Those that could be read last count" if known else "Nobody can be notified of it")
    zone = monitor_state.zone if monitor_state.zone in available_timezones() else "UTC"
    return monitor_state.alerts or AlertSettings(), ZoneInfo(zone), mistake
