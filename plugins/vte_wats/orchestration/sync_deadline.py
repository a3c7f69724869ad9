"""Every scheduled sync has a deadline: a Deadline Alert of Airflow, and the mail when it is missed.

Both parts live in the package, not in the DAG file, for scheduler and triggerer import them by name.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import BaseDeadlineReference, DeadlineAlert

from vte_wats.config.sites import Site
from vte_wats.messages import VW905, VW906, VW907, VW908

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from vte_wats.alerting.mails import AlertContext
    from vte_wats.alerting.missed_deadline import MissedDeadline
    from vte_wats.config.alert_settings import AlertSettings
    from vte_wats.orchestration.dag_options import DagSettings

log = logging.getLogger(__name__)

_CALLBACK_TAKES = timedelta(minutes=2)


@dataclass(eq=False)
class SyncDue(BaseDeadlineReference):
    """The end of a scheduled run's interval; no deadline for any other run, nor for one that is created late.

    Catchup creates its runs late and ``backfill create`` makes another type, so old intervals alert nobody.
    """

    latest_s: float = 300.0

    required_kwargs = frozenset({"dag_id", "run_id"})

    def serialize_reference(self) -> dict[str, Any]:
        """Return what the scheduler stores with the DAG."""
        return super().serialize_reference() | {"latest_s": self.latest_s}

    @classmethod
    def deserialize_reference(cls, reference_data: dict[str, Any]) -> SyncDue:
        """Return the reference that was stored."""
        return cls(latest_s=reference_data["latest_s"])

    def _evaluate_with(self, *, session: Session, dag_id: str, run_id: str) -> datetime | None:
        """Return when the count begins; runs in the scheduler, right after the run was created."""
        from airflow.models.dagrun import DagRun
        from sqlalchemy import select

        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if run is None or run.run_type != "scheduled" or run.run_after is None:
            return None
        is_late = (datetime.now(UTC) - run.run_after).total_seconds() > self.latest_s
        return None if is_late else run.run_after


def sync_deadline(site: Site, deployment: DagSettings) -> DeadlineAlert | None:
    """Return the deadline of the site's sync, if the deployment wants one."""
    if not deployment.deadline:
        return None
    return DeadlineAlert(
        reference=SyncDue(latest_s=deployment.deadline.total_seconds() / 2),
        interval=deployment.deadline,
        callback=AsyncCallback(
            deadline_missed, kwargs={"site_name": site.name, "since": deployment.start_date.isoformat()}
        ),
        name=f"{site.dag_id('sync')} in time",
    )


async def deadline_missed(site_name: str, since: str, context: Mapping[str, Any]) -> str:
    """Tell people, once an outage; runs in the triggerer. What is returned stands in Airflow's table of callbacks."""
    return await asyncio.to_thread(_note_and_tell, Site(site_name), datetime.fromisoformat(since), context)


def _note_and_tell(site: Site, since_at: datetime, context: Mapping[str, Any]) -> str:
    """Note the missed deadline first: what cannot be sent now is sent by the monitor."""
    from airflow.sdk import Variable

    from vte_wats.alerting.missed_deadline import MissedDeadline, is_transferred, outage_of
    from vte_wats.alerting.monitor_state import MonitorState
    from vte_wats.config.settings import parse_alerts
    from vte_wats.domain.errors import VteWatsError
    from vte_wats.orchestration.alert_context import alert_context
    from vte_wats.orchestration.resources import read_settings, read_state

    run = context["dag_run"]
    try:
        state, delay_s = read_state(site, since_at), read_settings(site).settle_delay_s
    except VteWatsError as exc:
        log.warning("%s late, and: %s", VW905, exc)
        state, delay_s = None, 0
    due_at, to_at = context["deadline"]["deadline_time"], datetime.fromisoformat(run["data_interval_end"])
    missed = MissedDeadline(
        run_id=run["dag_run_id"],
        from_at=datetime.fromisoformat(run["data_interval_start"]),
        to_at=to_at,
        due_at=due_at if isinstance(due_at, datetime) else datetime.fromisoformat(due_at),
        run_state=run["state"],
        until_at=to_at,
    )
    if is_transferred(missed, state, delay_s):
        return "carried by another sync meanwhile"
    outage = outage_of(missed, read_missed(site), state, delay_s)
    Variable.set(site.deadline_variable, outage.model_dump_json(indent=1))
    if outage.notified_at is not None:
        return f"the same outage as {outage.run_id}, told already"
    alerts, zone = parse_alerts(Variable.get(site.settings_variable, default=None), site.settings_variable)
    monitor_state = MonitorState.parse(Variable.get(site.alerts_variable, default=None))
    return tell_missed(alerts, alert_context(site, zone, monitor_state, state))


def tell_missed(alerts: AlertSettings, around: AlertContext, *, left_behind: bool = False) -> str:
    """Tell of a missed deadline that nobody was told of yet; return what became of it.

    With ``left_behind`` only of one whose own callback has had its time to tell.
    """
    from airflow.sdk import Variable

    from vte_wats.alerting.mails import late
    from vte_wats.domain.errors import RetriableError
    from vte_wats.orchestration.alert_context import links_for
    from vte_wats.orchestration.notifiers import channels, sender

    missed = read_missed(around.site)
    if missed is None or missed.notified_at is not None:
        return "nothing to tell"
    if left_behind and missed.due_at > around.now_at - _CALLBACK_TAKES:
        return "its callback tells"
    message = late(missed, replace(around, links=links_for(around.site, around.failure, missed.run_id)))
    if not channels(alerts):
        log.warning("%s nobody is told, for no recipients are set: %s", VW906, message.subject)
    elif alerts.are_quiet(around.now_at.astimezone(around.zone).time()):
        return "quiet hours: told when they end"
    else:
        try:
            sender(alerts)(message)
        except RetriableError as exc:
            log.error("%s not told, tried again at the next check: %s (%s)", VW907, message.subject, exc)  # noqa: TRY400
            return f"not sent, the monitor tries again: {exc}"
        log.info("told: %s", message.subject)
    known = read_missed(around.site) or missed  # another deadline may have been missed while the mail was on its way
    Variable.set(
        around.site.deadline_variable,
        known.model_copy(update={"notified_at": datetime.now(UTC)}).model_dump_json(indent=1),
    )
    return f"told: {message.subject}"


def read_missed(site: Site) -> MissedDeadline | None:
    """Return the last missed deadline."""
    from airflow.sdk import Variable
    from pydantic import ValidationError

    from vte_wats.alerting.missed_deadline import MissedDeadline

    text = Variable.get(site.deadline_variable, default=None)
    try:
        return None if text is None else MissedDeadline.model_validate_json(text)
    except ValidationError:
        log.warning("%s the Variable %s holds no missed deadline; it is ignored", VW908, site.deadline_variable)
        return None
