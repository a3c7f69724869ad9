from __future__ import annotations

import pytest

from vte_wats.alerting.chat import body_for, title_for
from vte_wats.alerting.mails import MailContent, Notification, Tone, render

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
