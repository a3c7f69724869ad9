"""Which notifications there are, what each of them says, and its forms: plain text, HTML, chat. Pure.

Every mail has a subject that says it all and fits one screen, in plain text and in HTML. The two templates lay out what
they are given; texts from outside reach them as values, and the HTML one escapes every value. In chat they mention
nobody and link nowhere: names of products and texts of servers may hold ``@here``, ``<!channel>``, ``<at>…</at>``,
``[x](http://…)`` or an address alone, and every chat makes something of some of them. A character without width breaks
what makes a mention or a link, in any chat; where a chat takes every text for Markdown, its marks are escaped, too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from functools import cache
from zoneinfo import ZoneInfo

from jinja2 import Environment

from vte_wats.alerting.incidents import MissedDeadline, TaskFailure
from vte_wats.alerting.monitor_state import Condition, MonitorState, NoticeKind
from vte_wats.config.sites import Site
from vte_wats.domain.redaction import redact
from vte_wats.domain.run import Outcome
from vte_wats.intervals.wall_clock import wall_clock
from vte_wats.state.coverage import State
from vte_wats.state.proof import Proof
from vte_wats.wording import count, document_templates, duration, one_line

_MAX_ROWS = 15
_DAYS_SHOWN = 7  # that the daily comparison looks at
_SUBJECT_LENGTH = 150
_VALUE_LENGTH = 400
_CELL_LENGTH = 60  # in the plain text, where columns are aligned by spaces


class Tone(StrEnum):
    """The colour of the bar above the headline."""

    BAD = "#c62828"
    LATE = "#e07b00"
    GOOD = "#2e7d32"
    PLAIN = "#1565c0"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading row; every cell is text."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class MailContent:
    """What a mail says: headline, facts by label, a table, what to do, and (label, address) of where to look."""

    sender: str
    subject: str
    tone: Tone
    headline: str
    facts: Sequence[tuple[str, str]]
    footer: str
    advice: str | None = None
    links: Sequence[tuple[str, str]] = ()
    table: Table | None = None


@dataclass(frozen=True, slots=True)
class Notification:
    """What is sent: the subject, the same content twice, and the (label, address) of its own links."""

    subject: str
    text: str
    html: str
    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True)
class AlertContext:
    """What every mail can say about the site at the moment it is written. ``links`` are (label, address)."""

    site: Site
    now_at: datetime
    zone: ZoneInfo
    monitor_state: MonitorState = field(default_factory=MonitorState)
    state: State | None = None
    failure: TaskFailure | None = None
    links: Sequence[tuple[str, str]] = ()
    proof: Proof = field(default_factory=Proof)

    @property
    def sender(self) -> str:
        """The beginning of every subject."""
        return f"vte-wats {self.site.name}".strip()

    @property
    def footer(self) -> str:
        """The end of every mail."""
        where = f"Variable {self.site.settings_variable}, group alerts"
        return f"From {self.site.dag_id('monitor')} in Airflow. Recipients and limits: {where}."

    def local_time(self, at: datetime) -> str:
        """Return a time as the people of the site read it."""
        return f"{at.astimezone(self.zone):%Y-%m-%d %H:%M:%S} ({self.zone.key})"

    def progress(self) -> Iterator[tuple[str, str]]:
        """Yield how far the sync is and what failed last."""
        waiting = self.monitor_state.waiting
        if self.state is not None:
            last_sync = self.state.last_sync
            yield "lastSync", f"{self.local_time(last_sync)}, {duration(self.now_at - last_sync)} ago"
        if waiting is not None:
            yield "Waiting in VTE", f"{count(waiting.runs, 'run')} not transferred yet"
        if self.failure is not None:
            yield "Last failure", f"{self.failure.task_id}, {self.local_time(self.failure.at)}: {self.failure.reason}"


def notice(kind: NoticeKind, conditions: Sequence[Condition], context: AlertContext) -> Notification:
    """Return the mail about conditions of one kind that open, stay open or close together."""
    first = conditions[0]
    opened_at = min(condition.opened_at for condition in conditions if condition.opened_at is not None)
    closed = [condition.closed_at for condition in conditions if condition.closed_at is not None]
    ended_at = max(closed, default=context.now_at)
    lasted = duration(ended_at - opened_at)
    what = first.summary + (f" (and {len(conditions) - 1} more)" if len(conditions) > 1 else "")
    why = f": {first.reason}" if first.reason else ""
    since = ("Since", context.local_time(opened_at))
    facts = [("Reason", first.reason)] if first.reason else []
    match kind:
        case NoticeKind.OPENED:
            headline, tone = f"PROBLEM: {what}", Tone.BAD
            facts += [since]
        case NoticeKind.REMINDER:
            headline, tone = f"STILL OPEN after {lasted}: {what}", Tone.LATE
            facts += [since, ("Open for", lasted)]
        case NoticeKind.CLOSED:
            headline, tone, why = f"SOLVED after {lasted}: {what}", Tone.GOOD, ""
            facts += [
                ("Started", context.local_time(opened_at)),
                ("Ended", context.local_time(ended_at)),
                ("Lasted", lasted),
                ("Missed meanwhile", _missed_meanwhile(context.monitor_state)),
            ]
    facts += [("Also", condition.line) for condition in conditions[1:_MAX_ROWS]]
    return render(
        MailContent(
            sender=context.sender,
            subject=headline + why,
            tone=tone,
            headline=headline,
            facts=[*facts, *context.progress()],
            advice=None if kind is NoticeKind.CLOSED else first.advice,
            links=context.links,
            footer=context.footer,
        )
    )


def _missed_meanwhile(monitor_state: MonitorState) -> str:
    waiting, failed = monitor_state.waiting, monitor_state.failed_syncs
    if waiting is None:
        return "not known yet: VTE could not be asked"
    parts = []
    if failed:
        parts.append(f"{count(failed, 'interval')} of the last hour failed")
    if waiting.runs:
        parts.append(f"{count(waiting.runs, 'run')} still to be transferred")
    return "; ".join(parts) or "nothing: every run that was read is in WATS or a dead letter"


def late(missed: MissedDeadline, context: AlertContext) -> Notification:
    """Return the mail about an interval whose sync missed its deadline."""
    from_at, to_at = (at.astimezone(context.zone) for at in (missed.interval.from_at, missed.interval.to_at))
    failure = context.failure if context.failure and context.failure.dag_run_id == missed.dag_run_id else None
    why = (
        f"{failure.task_id} failed: {failure.reason}"
        if failure
        else f"no task has failed; the DAG run is {missed.run_state}"
    )
    facts = [
        ("Interval", f"{from_at:%Y-%m-%d %H:%M} to {to_at:%H:%M} ({context.zone.key})"),
        ("Due", context.local_time(missed.due_at)),
        ("Late by", f"{duration(context.now_at - missed.due_at)}; the DAG run is {missed.run_state}"),
        ("Why", why),
    ]
    others = replace(context, failure=None if failure else context.failure)
    return render(
        MailContent(
            sender=context.sender,
            subject=f"LATE: the sync of {to_at:%H:%M} missed its deadline; {why}",
            tone=Tone.LATE,
            headline=f"The sync of the interval until {to_at:%H:%M} missed its deadline",
            facts=[*facts, *others.progress()],
            advice="fix what the failed task says; later intervals transfer these runs, too, or clear the DAG run",
            links=context.links,
            footer=f"One mail per outage: further intervals that miss their deadline send none. {context.footer}",
        )
    )


def summary(
    day: date,
    counts: Mapping[tuple[str, str], int],
    outcomes: Mapping[Outcome, int],
    dead_letters: Mapping[str, int],
    context: AlertContext,
) -> Notification:
    """Return the daily mail. ``counts`` are the day's runs in VTE by (product, result), ``dead_letters`` those now."""
    total = sum(counts.values())
    gaps = len(context.state.gaps()) if context.state is not None else 0
    open_now = [condition.line for _, condition in context.monitor_state.open_conditions()]
    proof = context.proof
    is_proven = not (proof.odd_open or proof.altered or proof.unproven(context.zone))
    is_fine = not gaps and not dead_letters and not open_now and is_proven
    tested = f"{count(total, 'run')} tested"
    return render(
        MailContent(
            sender=context.sender,
            subject=f"{day.isoformat()}: {tested}, {'all transferred' if is_fine else 'something is open'}",
            tone=Tone.PLAIN,
            headline=f"{tested} on {day.isoformat()}",
            facts=[
                ("Since the last summary", ", ".join(f"{outcomes.get(outcome, 0)} {outcome}" for outcome in Outcome)),
                ("Dead letters now", ", ".join(f"{n} {kind}" for kind, n in sorted(dead_letters.items())) or "none"),
                ("Gaps", f"{gaps} in the covered time" if gaps else "none"),
                ("Open now", "; ".join(open_now) or "nothing"),
                *_proven(day, context),
                *context.progress(),
            ],
            table=_by_product(counts) if counts else None,
            links=context.links,
            footer=context.footer,
        )
    )


def _proven(day: date, context: AlertContext) -> Iterator[tuple[str, str]]:
    """Yield what is proven of all days together, and of each of the last ones up to ``day``."""
    if context.state is None:
        return
    proof, zone = context.proof, context.zone
    since = wall_clock(context.state.since_at, zone).date()
    through = proof.proven_through(since, zone)
    yield "Proven through", through.isoformat() if through else "no day yet"
    for shown in (day - timedelta(days=n) for n in range(_DAYS_SHOWN)):
        if shown >= since:
            yield shown.isoformat(), _numbers_of(shown, proof, zone)
    if proof.odd:
        kinds = (f"{runs.numbers.in_vte} {kind.words} ({runs.open} open)" for kind, runs in proof.odd.items())
        yield "Outside every window", "; ".join(kinds)
    if proof.differences:
        found_on, causes = max(proof.differences.items())
        differing = ", ".join(f"{reports} {cause.words}" for cause, reports in causes.items())
        yield "Other content", f"{differing or 'no report'}, as found on {found_on.isoformat()}"


def _numbers_of(day: date, proof: Proof, zone: ZoneInfo) -> str:
    found = proof.compared_day(day, zone)
    if found is None:
        return "not compared yet"
    gone = proof.gone.get(day)
    return (
        f"{found.in_vte} in VTE: {found.proven} proven, {found.open} open, {count(found.dead, 'dead letter')}, "
        f"{found.held} held; {gone.runs if gone else 0} gone from VTE"
    )


def _by_product(counts: Mapping[tuple[str, str], int]) -> Table:
    """Return a row for each product, the most tested first; what does not fit on one screen is one row."""
    results = sorted({result for _, result in counts})
    runs = {
        product: [counts.get((product, result), 0) for result in results]
        for product in sorted({product for product, _ in counts})
    }
    by_size = sorted(runs.items(), key=lambda entry: -sum(entry[1]))
    rows = [[product or "(none)", *map(str, numbers)] for product, numbers in by_size[:_MAX_ROWS]]
    if rest := by_size[_MAX_ROWS:]:
        sums = [sum(column) for column in zip(*(numbers for _, numbers in rest), strict=True)]
        rows.append([f"{len(rest)} more products", *map(str, sums)])
    return Table(["Product", *results], rows)


def render(content: MailContent) -> Notification:
    """Return both forms of a mail."""
    subject = _cut(f"[{content.sender}] {content.subject}", _SUBJECT_LENGTH)
    values = {
        "content": content,
        "subject": subject,
        "label_width": max((len(label) for label, _ in content.facts), default=0),
    }
    text, html = (_templates().get_template(f"mail.{form}.j2").render(values) for form in ("txt", "html"))
    return Notification(subject, text, html, content.links)


@cache
def _templates() -> Environment:
    templates = document_templates("vte_wats.alerting")
    templates.filters |= {"cut": _cut, "aligned": _aligned}
    return templates


def _cut(text: str, length: int = _VALUE_LENGTH) -> str:
    """Return one redacted line of at most this length; control characters would end a header or a line."""
    return one_line(redact(text), length)


def _aligned(table: Table) -> list[str]:
    rows = [[_cut(cell, _CELL_LENGTH) for cell in row] for row in (table.heads, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


_BREAK = "\u200b"
# After an @ or < nothing is a mention; after these dots, colons and brackets nothing is an address.
_MARKS = re.compile(r"[@<]|://|\](?=\()|(?<=\w)\.(?=[^\W\d])|(?<=[a-z]):(?=[^\s\d/])", re.IGNORECASE)
_MARKDOWN = re.compile(r"[\\`*_~\[\]()#|>]")

# By Apprise's names for the targets.
_TAKES_TEXT_FOR_MARKDOWN = frozenset({"discord", "mmost", "mmosts"})
_FOR_PROGRAMS = frozenset({"json", "jsons", "xml", "xmls", "form", "forms"})


def title_for(kind: str, message: Notification) -> str:
    """Return the subject for one kind of target."""
    return _harmless(kind, message.subject)


def body_for(kind: str, message: Notification) -> str:
    """Return the text for one kind of target; a program gets it as it is."""
    own_links = {f"{label}: {url}" for label, url in message.links}
    return "\n".join(line if line in own_links else _harmless(kind, line) for line in message.text.split("\n"))


def _harmless(kind: str, line: str) -> str:
    if kind in _FOR_PROGRAMS:
        return line
    if kind in _TAKES_TEXT_FOR_MARKDOWN:
        line = _MARKDOWN.sub(r"\\\g<0>", line)
    return _MARKS.sub(lambda found: _broken(found[0]), line)


def _broken(mark: str) -> str:
    return f":{_BREAK}//" if mark == "://" else f"{mark}{_BREAK}"
