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
from vte_wats.messages import VW905, VW906, VW907

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy.orm import Session

    from vte_wats.alerting.mails import AlertContext
    from vte_wats.config.alert_settings import AlertSettings
    from vte_wats.config.dag_options import DagOptions

log = logging.getLogger(__name__)

_CALLBACK_TAKES = timedelta(minutes=2)


@dataclass(eq=False)
class SyncDue(BaseDeadlineReference):
    """The end of a scheduled DAG run's interval; no deadline for any other, nor for one that is created late.

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
        """Return when the time starts to count; the scheduler asks right after it created the DAG run."""
        from airflow.models.dagrun import DagRun
        from sqlalchemy import select

        run = session.scalar(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_id == run_id))
        if run is None or run.run_type != "scheduled" or run.run_after is None:
            return None
        is_late = (datetime.now(UTC) - run.run_after).total_seconds() > self.latest_s
        return None if is_late else run.run_after


def sync_deadline(site: Site, options: DagOptions) -> DeadlineAlert | None:
    """Return the deadline of the site's sync, if the deployment wants one."""
    if not options.deadline:
        return None
    return DeadlineAlert(
        reference=SyncDue(latest_s=options.deadline.total_seconds() / 2),
        interval=options.deadline,
        callback=AsyncCallback(
            deadline_missed, kwargs={"site_name": site.name, "since": options.start_date.isoformat()}
        ),
        name=f"{site.dag_id('sync')} in time",
    )


async def deadline_missed(site_name: str, since: str, context: Mapping[str, Any]) -> str:
    """Notify people, once per outage; runs in the triggerer. Airflow's table of callbacks keeps what is returned."""
    return await asyncio.to_thread(_save_and_notify, Site(site_name), datetime.fromisoformat(since), context)


def _save_and_notify(site: Site, since_at: datetime, context: Mapping[str, Any]) -> str:
    """Save the missed deadline first: what cannot be sent now is sent by the monitor."""
    from vte_wats.alerting.incidents import MissedDeadline, is_transferred, outage_of
    from vte_wats.alerting.monitor_state import MonitorState
    from vte_wats.domain.errors import VteWatsError
    from vte_wats.intervals.interval import Interval, in_utc
    from vte_wats.orchestration.alert_context import alert_context, alerts_of
    from vte_wats.orchestration.resources import read_settings, read_state
    from vte_wats.orchestration.variables import MISSED_DEADLINE, MONITOR_STATE, Variables

    run = context["dag_run"]
    try:
        state, delay_s = read_state(site, since_at), read_settings(site).settle_delay_s
    except VteWatsError as exc:
        log.warning("%s the deadline was missed, and: %s", VW905, exc)
        state, delay_s = None, 0
    due_at = context["deadline"]["deadline_time"]
    interval = Interval(*(in_utc(datetime.fromisoformat(run[f"data_interval_{edge}"])) for edge in ("start", "end")))
    missed = MissedDeadline(
        dag_run_id=run["dag_run_id"],
        interval=interval,
        due_at=due_at if isinstance(due_at, datetime) else datetime.fromisoformat(due_at),
        run_state=run["state"],
        until_at=interval.to_at,
    )
    if is_transferred(missed, state, delay_s):
        return "transferred by another sync meanwhile"
    variables = Variables(site)
    outage = outage_of(missed, variables.load(MISSED_DEADLINE), state, delay_s)
    variables.save(MISSED_DEADLINE, outage)
    if outage.notified_at is not None:
        return f"the same outage as {outage.dag_run_id}, people are notified already"
    monitor_state = variables.load(MONITOR_STATE) or MonitorState()
    alerts, zone, _ = alerts_of(site, monitor_state)
    return notify_missed_deadline(alerts, alert_context(site, zone, monitor_state, state))


def notify_missed_deadline(alerts: AlertSettings, context: AlertContext, *, left_behind: bool = False) -> str:
    """Notify people of a missed deadline that nobody was notified of yet; return what became of it.

    With ``left_behind`` only of one whose own callback has had its time to do so.
    """
    from vte_wats.alerting.mails import late
    from vte_wats.domain.errors import RetriableError
    from vte_wats.orchestration.alert_context import links_for
    from vte_wats.orchestration.notifiers import channels, sender
    from vte_wats.orchestration.variables import MISSED_DEADLINE, Variables

    variables = Variables(context.site)
    missed = variables.load(MISSED_DEADLINE)
    if missed is None or missed.notified_at is not None:
        return "nothing to report"
    if left_behind and missed.due_at > context.now_at - _CALLBACK_TAKES:
        return "its callback reports it"
    message = late(missed, replace(context, links=links_for(context.site, context.failure, missed.dag_run_id)))
    if not channels(alerts):
        log.warning("%s nobody is notified, for no recipients are set: %s", VW906, message.subject)
    elif alerts.are_quiet(context.now_at.astimezone(context.zone).time()):
        return "quiet hours: sent when they end"
    else:
        try:
            sender(alerts)(message)
        except RetriableError as exc:
            log.error("%s not sent, tried again at the next check: %s (%s)", VW907, message.subject, exc)  # noqa: TRY400
            return f"not sent, the monitor tries again: {exc}"
        log.info("sent: %s", message.subject)
    # Another deadline may have been missed while the mail was on its way.
    known = variables.load(MISSED_DEADLINE) or missed
    variables.save(MISSED_DEADLINE, known.model_copy(update={"notified_at": datetime.now(UTC)}))
    return f"sent: {message.subject}"
