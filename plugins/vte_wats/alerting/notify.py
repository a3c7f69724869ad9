"""From observations to the mails that are due: each is sent at least once, and noted only after it was sent."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from more_itertools import map_reduce

from vte_wats.alerting.mails import AlertContext, Notification, notice
from vte_wats.alerting.monitor_state import Condition, MonitorState, NoticeKind, Observation
from vte_wats.config.alert_settings import AlertSettings
from vte_wats.domain.errors import RetriableError
from vte_wats.messages import VW906, VW907, VW919

log = logging.getLogger(__name__)

Send = Callable[[Notification], None]
Save = Callable[[MonitorState], None]


def with_observations(
    monitor_state: MonitorState, observations: Iterable[Observation], limits: AlertSettings, now_at: datetime
) -> MonitorState:
    """Return the state with every condition one check further."""
    conditions = dict(monitor_state.conditions)
    for observation in observations:
        key = observation.key
        before = conditions.get(key, Condition())
        after = conditions[key] = before.observed(observation, now_at, limits.confirm_checks)
        if after.is_open and not before.is_open:
            log.warning("%s opened %s: %s", VW919, key, after.summary)
        elif before.is_open and not after.is_open:
            log.info("closed %s: %s", key, after.summary)
    return monitor_state.with_conditions(conditions)


def notify_due(
    limits: AlertSettings, context: AlertContext, channels: tuple[str, ...], send: Send, save: Save
) -> MonitorState:
    """Send what is due, save after each mail, and return the state. Nothing is sent in the quiet hours.

    After one failure nothing more is tried until the next check. Without any channel only the log says it; once there
    is one, people are notified of everything that is open then.
    """
    monitor_state = _with_channels(context.monitor_state, channels)
    is_quiet = limits.are_quiet(context.now_at.astimezone(context.zone).time())
    while (due := _next_due(monitor_state, limits, context.now_at)) is not None:
        kind, keys = due
        conditions = [monitor_state.conditions[key] for key in keys]
        mail = notice(kind, conditions, replace(context, monitor_state=monitor_state))
        if not channels:
            log.warning("%s nobody is notified, because no recipients are set: %s", VW906, mail.subject)
        elif is_quiet:
            log.info("quiet hours, sent when they end: %s", mail.subject)
            break
        elif not _is_sent(mail, send):
            break
        notified = {key: monitor_state.conditions[key].notified(kind, context.now_at) for key in keys}
        monitor_state = monitor_state.with_conditions(monitor_state.conditions | notified)
        save(monitor_state)
    return monitor_state


def _with_channels(monitor_state: MonitorState, channels: tuple[str, ...]) -> MonitorState:
    """Return the state for these channels; with the first channel ever, nobody counts as notified."""
    conditions = monitor_state.conditions
    if channels and not monitor_state.channels:
        conditions = {key: condition.model_copy(update={"notified_at": None}) for key, condition in conditions.items()}
    return monitor_state.model_copy(update={"channels": channels, "conditions": conditions})


def _is_sent(mail: Notification, send: Send) -> bool:
    try:
        send(mail)
    except RetriableError as exc:
        log.error("%s not sent, tried again at the next check: %s (%s)", VW907, mail.subject, exc)  # noqa: TRY400 -- the text says it
        return False
    log.info("sent: %s", mail.subject)
    return True


def _next_due(
    monitor_state: MonitorState, limits: AlertSettings, now_at: datetime
) -> tuple[NoticeKind, Sequence[str]] | None:
    """Return the next mail that is due, with its conditions; groups of held runs that are due together share one."""
    due = [
        (key, kind)
        for key, condition in monitor_state.conditions.items()
        if (kind := condition.due(now_at, limits.reminder_s)) is not None
    ]
    keys_by_mail = map_reduce(due, lambda entry: (entry[0].partition(":")[0], entry[1]), lambda entry: entry[0])
    for (_, kind), keys in keys_by_mail.items():
        return kind, keys
    return None
