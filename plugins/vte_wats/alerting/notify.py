"""Telling: from observations to the mails that are due, each sent at least once and remembered only after it went."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime

from vte_wats.alerting.conditions import Condition, NoticeKind, Observation
from vte_wats.alerting.mails import AlertContext, notice
from vte_wats.alerting.monitor_state import MonitorState
from vte_wats.alerting.notification import Notification
from vte_wats.config.alert_settings import AlertSettings
from vte_wats.domain.errors import RetriableError
from vte_wats.messages import VW906, VW907, VW919

log = logging.getLogger(__name__)

Send = Callable[[Notification], None]
Save = Callable[[MonitorState], None]


def with_observations(
    monitor_state: MonitorState, observations: Iterable[Observation], limits: AlertSettings, now_at: datetime
) -> MonitorState:
    """Return the memory with every condition one check further."""
    conditions = dict(monitor_state.conditions)
    for one in observations:
        before = conditions.get(one.key, Condition())
        after = conditions[one.key] = before.observed(one, now_at, limits.confirm_checks)
        if after.is_open and not before.is_open:
            log.warning("%s opened %s: %s", VW919, one.key, after.summary)
        elif before.is_open and not after.is_open:
            log.info("closed %s: %s", one.key, after.summary)
    return monitor_state.with_conditions(conditions)


def notify_due(
    limits: AlertSettings, context: AlertContext, channels: tuple[str, ...], send: Send, save: Save
) -> MonitorState:
    """Send what is due and save after each; return the memory then. Nothing is sent in the quiet hours.

    After one failure nothing more is tried: the next check does. Without any ways the log is told. Who is given
    recipients later hears what is open then.
    """
    monitor_state = context.monitor_state
    if channels and not monitor_state.channels:
        not_notified = {
            key: one.model_copy(update={"notified_at": None}) for key, one in monitor_state.conditions.items()
        }
        monitor_state = monitor_state.model_copy(update={"conditions": not_notified})
    monitor_state = monitor_state.model_copy(update={"channels": channels})
    quiet = limits.are_quiet(context.now_at.astimezone(context.zone).time())
    while (due := _next_due(monitor_state, limits, context.now_at)) is not None:
        kind, keys = due
        message = notice(
            kind, [monitor_state.conditions[key] for key in keys], replace(context, monitor_state=monitor_state)
        )
        if not channels:
            log.warning("%s nobody is told, for no recipients are set: %s", VW906, message.subject)
        elif quiet:
            log.info("quiet hours, told later: %s", message.subject)
            break
        else:
            try:
                send(message)
            except RetriableError as exc:
                log.error("%s not told, tried again at the next check: %s (%s)", VW907, message.subject, exc)  # noqa: TRY400
                break
            log.info("told: %s", message.subject)
        notified = {key: monitor_state.conditions[key].notified(kind, context.now_at) for key in keys}
        monitor_state = monitor_state.with_conditions(monitor_state.conditions | notified)
        save(monitor_state)
    return monitor_state


def _next_due(
    monitor_state: MonitorState, limits: AlertSettings, now_at: datetime
) -> tuple[NoticeKind, list[str]] | None:
    """Return what is to be told next; groups of held runs that are due together are one mail."""
    due: dict[tuple[str, NoticeKind], list[str]] = {}
    for key, condition in monitor_state.conditions.items():
        kind = condition.due(now_at, limits.reminder_s)
        if kind is not None:
            due.setdefault((key.partition(":")[0], kind), []).append(key)
    for (_, kind), keys in due.items():
        return kind, keys
    return None
