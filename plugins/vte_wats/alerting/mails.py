"""Which mails there are, and what each of them says. Pure: what is known goes in, a message comes out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

from vte_wats.alerting.conditions import Condition, NoticeKind
from vte_wats.alerting.durations import in_words
from vte_wats.alerting.missed_deadline import MissedDeadline
from vte_wats.alerting.monitor_state import MonitorState
from vte_wats.alerting.notification import Content, Notification, Table, Tone
from vte_wats.alerting.task_failure import TaskFailure
from vte_wats.config.sites import Site
from vte_wats.domain.outcome import Outcome
from vte_wats.state.coverage import State

_MOST_ROWS = 15


@dataclass(frozen=True, slots=True)
class AlertContext:
    """What every mail can tell about the site at the moment it is written. ``links`` are (label, address)."""

    site: Site
    now_at: datetime
    zone: ZoneInfo
    monitor_state: MonitorState = field(default_factory=MonitorState)
    state: State | None = None
    failure: TaskFailure | None = None
    links: Sequence[tuple[str, str]] = ()

    @property
    def sender(self) -> str:
        """What begins every subject."""
        return f"vte-wats {self.site.name}".strip()

    @property
    def footer(self) -> str:
        """What ends every mail."""
        where = f"Variable {self.site.settings_variable}, group alerts"
        return f"From {self.site.dag_id('monitor')} in Airflow. Recipients and limits: {where}."

    def notified(self, at: datetime) -> str:
        """Return a moment as the people of the site read it."""
        return f"{at.astimezone(self.zone):%Y-%m-%d %H:%M:%S} ({self.zone.key})"

    def standing(self) -> Iterator[tuple[str, str]]:
        """Yield how far the sync is and what failed last."""
        waiting = self.monitor_state.waiting
        if self.state is not None:
            behind = in_words((self.now_at - self.state.last_sync).total_seconds())
            yield "lastSync", f"{self.notified(self.state.last_sync)}, {behind} ago"
        if waiting is not None:
            yield "Waiting in VTE", f"{waiting.runs} runs not carried yet"
        if self.failure is not None:
            yield "Last failure", f"{self.failure.task_id}, {self.notified(self.failure.at)}: {self.failure.reason}"


def notice(kind: NoticeKind, conditions: Sequence[Condition], context: AlertContext) -> Notification:
    """Return the mail about conditions of one kind that open, stay open or close together."""
    first = conditions[0]
    assert first.opened_at is not None  # noqa: S101 -- what is due has been opened
    what = first.summary + (f" (and {len(conditions) - 1} more)" if len(conditions) > 1 else "")
    why = f": {first.reason}" if first.reason else ""
    opened_at = min(one.opened_at for one in conditions if one.opened_at is not None)
    ended_at = max((one.closed_at for one in conditions if one.closed_at is not None), default=context.now_at)
    lasted = in_words((ended_at - opened_at).total_seconds())
    facts = [("Reason", first.reason)] if first.reason else []
    match kind:
        case NoticeKind.OPENED:
            headline, subject, tone = f"PROBLEM: {what}", f"PROBLEM: {what}{why}", Tone.BAD
            facts.append(("Since", context.notified(opened_at)))
        case NoticeKind.REMINDER:
            headline, tone = f"STILL OPEN after {lasted}: {what}", Tone.LATE
            subject = f"{headline}{why}"
            facts += [("Since", context.notified(opened_at)), ("Open for", lasted)]
        case NoticeKind.CLOSED:
            headline = subject = f"SOLVED after {lasted}: {what}"
            tone = Tone.GOOD
            facts = [("Began", context.notified(opened_at)), ("Ended", context.notified(ended_at)), ("Lasted", lasted)]
            facts.append(("Missed meanwhile", _missed(context)))
    facts += [("Also", one.summary) for one in conditions[1:_MOST_ROWS]]
    return Content(
        sender=context.sender,
        subject=subject,
        tone=tone,
        headline=headline,
        facts=[*facts, *context.standing()],
        advice=() if kind is NoticeKind.CLOSED else [first.advice],
        links=context.links,
        footer=context.footer,
    ).notification()


def _missed(context: AlertContext) -> str:
    waiting, failed = context.monitor_state.waiting, context.monitor_state.failed_syncs
    if waiting is None:
        return "not known yet: VTE could not be asked"
    parts = []
    if failed:
        parts.append(f"{failed} intervals of the last hour failed")
    if waiting.runs:
        parts.append(f"{waiting.runs} runs are still to be carried")
    return "; ".join(parts) or "nothing: every run is in WATS or a dead letter"


def late(missed: MissedDeadline, context: AlertContext) -> Notification:
    """Return the mail about an interval whose sync missed its deadline."""
    from_at, to_at = (at.astimezone(context.zone) for at in (missed.interval.from_at, missed.interval.to_at))
    failure = context.failure if context.failure and context.failure.dag_run_id == missed.dag_run_id else None
    why = (
        f"{failure.task_id} failed: {failure.reason}"
        if failure
        else f"no task has failed; the run is {missed.run_state}"
    )
    facts = [
        ("Interval", f"{from_at:%Y-%m-%d %H:%M} to {to_at:%H:%M} ({context.zone.key})"),
        ("Due", context.notified(missed.due_at)),
        ("Late by", f"{in_words((context.now_at - missed.due_at).total_seconds())}; the run is {missed.run_state}"),
        ("Why", why),
    ]
    return Content(
        sender=context.sender,
        subject=f"LATE: the sync of {to_at:%H:%M} missed its deadline; {why}",
        tone=Tone.LATE,
        headline=f"The sync of the interval until {to_at:%H:%M} missed its deadline",
        facts=[*facts, *replace(context, failure=None if failure else context.failure).standing()],
        advice=["mend what the failed task says; later intervals carry these runs too, or clear the failed run"],
        links=context.links,
        footer=f"One mail an outage: further intervals that miss their deadline send none. {context.footer}",
    ).notification()


def summary(
    day: date,
    counts: Mapping[tuple[str, str], int],
    outcomes: Mapping[Outcome, int],
    letters: Mapping[str, int],
    context: AlertContext,
) -> Notification:
    """Return the daily mail. ``counts`` are the day's runs in VTE by (product, result), ``letters`` those there now."""
    products = sorted({product for product, _ in counts})
    results = sorted({result for _, result in counts})
    by_size = sorted(products, key=lambda product: -sum(counts.get((product, result), 0) for result in results))
    rows = [
        [product or "(none)", *(str(counts.get((product, result), 0)) for result in results)]
        for product in by_size[:_MOST_ROWS]
    ]
    if len(by_size) > _MOST_ROWS:
        rest = by_size[_MOST_ROWS:]
        left = [str(sum(counts.get((product, result), 0) for product in rest)) for result in results]
        rows.append([f"{len(rest)} more products", *left])
    total = sum(counts.values())
    gaps = len(context.state.gaps()) if context.state is not None else 0
    transferred = ", ".join(f"{outcomes.get(one, 0)} {one.value}" for one in Outcome)
    waiting = ", ".join(f"{runs} {kind}" for kind, runs in sorted(letters.items())) or "none"
    is_fine = not gaps and not letters and not any(one.is_open for one in context.monitor_state.conditions.values())
    return Content(
        sender=context.sender,
        subject=f"{day.isoformat()}: {total} runs tested, " + ("all carried" if is_fine else "something is open"),
        tone=Tone.PLAIN,
        headline=f"{total} runs were tested on {day.isoformat()}",
        facts=[
            ("Since the last one", transferred),
            ("Letters there now", waiting),
            ("Gaps", f"{gaps} in the covered time" if gaps else "none"),
            (
                "Open now",
                "; ".join(one.summary for one in context.monitor_state.conditions.values() if one.is_open) or "nothing",
            ),
            *context.standing(),
        ],
        table=Table(["Product", *results], rows) if rows else None,
        links=context.links,
        footer=context.footer,
    ).notification()
