"""What a mail says: a subject that says it all, one screen, escaped, the same in both forms."""

from __future__ import annotations

import html
import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vte_wats.alerting.incidents import MissedDeadline, TaskFailure
from vte_wats.alerting.mails import (
    AlertContext,
    MailContent,
    Notification,
    Tone,
    body_for,
    late,
    notice,
    render,
    summary,
    title_for,
)
from vte_wats.alerting.monitor_state import Condition, MonitorState, NoticeKind, Waiting
from vte_wats.config.sites import Site
from vte_wats.domain.run import Outcome
from vte_wats.intervals.interval import Interval
from vte_wats.state.coverage import State
from vte_wats.state.proof import Cause, DayProof, GoneRuns, OddKind, OddRuns, Proof

NOW = datetime(2026, 3, 2, 12, 30, tzinfo=UTC)
HOSTILE = "<script>alert(1)</script>\"'&\r\nBcc: everyone@example.com {{ 7*7 }}"
STATE = State(
    since_at=NOW - timedelta(days=1),
    coverage=(Interval(from_at=NOW - timedelta(days=1), to_at=NOW - timedelta(minutes=12)),),
)
FAILURE = TaskFailure(
    dag_id="vte_wats_sync",
    dag_run_id="scheduled__x",
    task_id="transfer.upload",
    map_index=3,
    try_number=4,
    at=NOW - timedelta(minutes=1),
    reason="WATS: no connection (ConnectError) at GET https://acme.wats.com/api/App/Processes",
)


def an_alert_context(**fields) -> AlertContext:
    given = {
        "site": Site(),
        "now_at": NOW,
        "zone": ZoneInfo("Europe/Oslo"),
        "monitor_state": MonitorState(waiting=Waiting(runs=120, lag_s=720), failed_syncs=2),
        "state": STATE,
        "failure": FAILURE,
        "links": (("Airflow: the sync", "https://airflow.example/dags/vte_wats_sync"),),
    }
    return AlertContext(**given | fields)


def a_condition(**fields) -> Condition:
    given = {
        "opened_at": NOW - timedelta(minutes=12),
        "summary": "WATS does not answer",
        "advice": "go",
        "reason": "no connection",
    }
    return Condition(**given | fields)


def both(message: Notification) -> tuple[str, str]:
    return message.text, html.unescape(re.sub(r"<[^>]*>", " ", message.html))


def test_the_subject_says_what_and_since_when():
    assert notice(NoticeKind.OPENED, [a_condition()], an_alert_context()).subject == (
        "[vte-wats] PROBLEM: WATS does not answer: no connection"
    )
    assert notice(NoticeKind.REMINDER, [a_condition()], an_alert_context()).subject == (
        "[vte-wats] STILL OPEN after 12 minutes: WATS does not answer: no connection"
    )
    closed = a_condition(closed_at=NOW - timedelta(minutes=2), notified_at=NOW)
    assert notice(NoticeKind.CLOSED, [closed], an_alert_context(site=Site("oslo"))).subject == (
        "[vte-wats oslo] SOLVED after 10 minutes: WATS does not answer"
    )


def test_both_forms_say_how_far_it_is_why_it_fails_and_what_to_do():
    for text in both(notice(NoticeKind.OPENED, [a_condition(advice="check the token")], an_alert_context())):
        assert "2026-03-02 13:18:00 (Europe/Oslo)" in text
        assert "12 minutes ago" in text
        assert "120 runs not transferred yet" in text
        assert "transfer.upload" in text
        assert FAILURE.reason in text
        assert "What to do: check the token" in " ".join(text.split())


def test_the_mail_that_it_is_solved_says_what_was_missed():
    closed = a_condition(closed_at=NOW)
    for text in both(notice(NoticeKind.CLOSED, [closed], an_alert_context())):
        assert "2 intervals of the last hour failed; 120 runs still to be transferred" in text
        assert "12 minutes" in text
    nothing = an_alert_context(monitor_state=MonitorState(waiting=Waiting(runs=0, lag_s=60)))
    assert (
        "nothing: every run that was read is in WATS or a dead letter"
        in notice(NoticeKind.CLOSED, [closed], nothing).text
    )
    assert "not known yet" in notice(NoticeKind.CLOSED, [closed], an_alert_context(monitor_state=MonitorState())).text


def test_the_late_mail_names_interval_deadline_and_reason():
    missed = MissedDeadline(
        dag_run_id="scheduled__x",
        interval=Interval(NOW - timedelta(minutes=15), NOW - timedelta(minutes=10)),
        due_at=NOW,
        run_state="failed",
        until_at=NOW - timedelta(minutes=10),
    )
    message = late(missed, an_alert_context())
    assert message.subject.startswith(
        "[vte-wats] LATE: the sync of 13:20 missed its deadline; transfer.upload failed: WATS"
    )
    for text in both(message):
        assert "2026-03-02 13:15 to 13:20 (Europe/Oslo)" in text
        assert "the DAG run is failed" in text
    other = late(missed.model_copy(update={"dag_run_id": "another"}), an_alert_context())
    assert "no task has failed; the DAG run is failed" in other.subject


def a_summary(counts: dict[tuple[str, str], int], dead_letters: dict[str, int] | None = None, **fields) -> Notification:
    outcomes = {Outcome.UPLOADED: 90, Outcome.DEAD: 1}
    return summary(date(2026, 3, 1), counts, outcomes, dead_letters or {}, an_alert_context(**fields))


def test_the_summary_counts_by_product_and_result_and_says_whether_something_is_open():
    message = a_summary({("PSU 48V", "Passed"): 80, ("PSU 48V", "Failed"): 3, ("RF amp", "Passed"): 8})
    assert message.subject == "[vte-wats] 2026-03-01: 91 runs tested, all transferred"
    assert re.search(r"^PSU 48V\s+3\s+80$", message.text, re.MULTILINE)
    assert re.search(r"^RF amp\s+0\s+8$", message.text, re.MULTILINE)
    assert "90 uploaded, 0 unchanged, 0 replaced, 1 dead, 0 held" in message.text
    assert a_summary({}, {"dead": 2}).subject.endswith("0 runs tested, something is open")


@pytest.mark.parametrize(
    ("proof", "says"),
    [
        (Proof(altered=1), "something is open"),
        (Proof(days={date(2026, 2, 26): DayProof(in_vte=2, proven=1, verified_at=NOW)}), "something is open"),
        (Proof(days={date(2026, 2, 26): DayProof(in_vte=2, proven=2, verified_at=NOW)}), "all transferred"),
    ],
    ids=["altered", "open", "proven"],
)
def test_the_summary_says_all_transferred_only_as_far_as_it_is_proven(proof, says):
    assert a_summary({}, proof=proof).subject.endswith(says)


def test_the_summary_of_many_products_stays_on_one_screen():
    message = a_summary({(f"Product {n:03}", "Passed"): n for n in range(200)})
    assert len(message.text.splitlines()) < 40
    assert "185 more products" in message.text
    assert re.search(r"^Product 199\s+199$", message.text, re.MULTILINE)


def test_hostile_text_stays_text():
    message = notice(
        NoticeKind.OPENED, [a_condition(summary=HOSTILE, advice=HOSTILE, reason=HOSTILE)], an_alert_context()
    )
    assert "<script" not in message.html
    assert "{{ 7*7 }}" in message.text
    assert not re.search(r"[\r\n]", message.subject)
    table = a_summary({(HOSTILE, HOSTILE): 1})
    assert "<script" not in table.html


@given(st.text(max_size=3_000), st.text(max_size=3_000))
def test_whatever_the_texts_are_the_mail_fits_and_no_header_or_tag_comes_from_them(text, reason):
    context = an_alert_context(failure=FAILURE.model_copy(update={"reason": reason}))
    message = notice(NoticeKind.OPENED, [a_condition(summary=text, advice=text, reason=text or "-")] * 30, context)
    assert len(message.subject) <= 150
    assert message.subject.isprintable()
    assert len(message.text) < 12_000
    plain = notice(NoticeKind.OPENED, [a_condition(summary="x", advice="x")] * 30, an_alert_context())
    assert message.html.count("<") == plain.html.count("<")


@pytest.mark.parametrize("kind", NoticeKind)
def test_every_mail_fits_one_screen(kind):
    message = notice(kind, [a_condition(closed_at=NOW if kind is NoticeKind.CLOSED else None)], an_alert_context())
    assert len(message.text.splitlines()) <= 25


def test_the_summary_says_what_is_proven_of_the_last_days_and_of_all():
    since_at = datetime(2026, 2, 26, 12, tzinfo=UTC)
    odd = OddRuns(numbers=DayProof(in_vte=3, held=1, verified_at=NOW))
    proof = Proof(
        days={
            date(2026, 2, 26): DayProof(in_vte=5, proven=5, verified_at=NOW),
            date(2026, 2, 27): DayProof(in_vte=9, proven=7, dead=1, held=1, verified_at=NOW),
            date(2026, 3, 1): DayProof(in_vte=4, proven=3, verified_at=NOW),
        },
        gone={date(2026, 2, 27): GoneRuns(runs=2)},
        odd={OddKind.FUTURE: odd},
        differences={
            date(2026, 2, 27): {Cause.UNKNOWN: 9},
            date(2026, 2, 28): {Cause.VTE_CHANGED: 2, Cause.MAPPING_CHANGED: 1},
        },
    )
    message = a_summary({}, proof=proof, state=State(since_at=since_at, started_at=since_at))
    facts = dict(line.split(maxsplit=1) for line in message.text.splitlines() if line.startswith("2026-"))
    assert facts == {
        "2026-03-01": "4 in VTE: 3 proven, 1 open, 0 dead letters, 0 held; 0 gone from VTE",
        "2026-02-28": "not compared yet",
        "2026-02-27": "9 in VTE: 7 proven, 0 open, 1 dead letter, 1 held; 2 gone from VTE",
        "2026-02-26": "5 in VTE: 5 proven, 0 open, 0 dead letters, 0 held; 0 gone from VTE",
    }
    assert re.search(r"^Proven through +2026-02-27$", message.text, re.MULTILINE)
    assert re.search(r"^Outside every window +3 dated more than a day ahead \(2 open\)$", message.text, re.MULTILINE)
    other = r"^Other content +2 changed in VTE, 1 changed by mapping or settings, as found on 2026-02-28$"
    assert re.search(other, message.text, re.MULTILINE)
    assert message.subject.endswith("something is open")


OWN = ("Open in Airflow", "https://airflow.example/dags/vte_wats_sync?a=1")
PLANT = "@here <!channel> <at>Ann</at> [x](http://evil.example) www.evil.example evil.example mailto:a@evil.example"


def message(text: str = PLANT) -> Notification:
    return render(
        MailContent(
            sender="vte-wats", subject=text, tone=Tone.BAD, headline=text, facts=[("Reason", text)], footer="end",
            links=[OWN],
        )
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["slack", "workflows", "discord", "mmosts", "tgram"])
@pytest.mark.parametrize(
    "mark", ["@here", "<!", "<at", "](", "://evil", "evil.example", "www.evil", "mailto:a", "@evil"]
)
def test_what_comes_from_the_plant_is_no_mention_and_no_link(kind, mark):
    text = body_for(kind, message()).replace(": ".join(OWN), "") + title_for(kind, message())
    assert mark not in text
    assert "evil" in text


@pytest.mark.parametrize("kind", ["slack", "workflows", "discord", "mmosts"])
def test_the_links_of_the_message_itself_stay(kind):
    assert ": ".join(OWN) in body_for(kind, message()).splitlines()


@pytest.mark.parametrize("kind", ["discord", "mmosts"])
def test_where_every_text_is_markdown_its_marks_are_escaped(kind):
    assert title_for(kind, message("*a* _b_ `c` ~~d~~ | # >")).endswith(r"\*a\* \_b\_ \`c\` \~\~d\~\~ \| \# \>")


def test_numbers_times_and_hosts_of_numbers_stay_as_they_are():
    text = "10.0.0.5:1433 at 12:05, 3.5 % of 1,200 runs: see VW314"
    assert title_for("slack", message(text)) == f"[vte-wats] {text}"


def test_a_program_gets_the_text_as_it_is():
    assert body_for("json", message()) == message().text
