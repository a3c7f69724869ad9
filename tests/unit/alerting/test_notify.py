"""When a condition opens and closes, and which mails go out, for any sequence of checks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vte_wats.alerting.mails import AlertContext, Notification
from vte_wats.alerting.monitor_state import CheckResult, Condition, Kind, MonitorState, NoticeKind, Observation
from vte_wats.alerting.notify import notify_due, with_observations
from vte_wats.config.alert_settings import AlertSettings, QuietHours
from vte_wats.config.sites import Site
from vte_wats.domain.errors import RetriableError
from vte_wats.messages import VW392

T0 = datetime(2026, 3, 2, 12, tzinfo=UTC)
STEP = timedelta(minutes=2)
BAD, GOOD, UNKNOWN = CheckResult.BAD, CheckResult.GOOD, CheckResult.UNKNOWN
UTC_ZONE = ZoneInfo("UTC")


class MailServer:
    """Takes messages, or refuses them while a test wants it."""

    def __init__(self) -> None:
        self.subjects: list[str] = []
        self.refuses = False

    def __call__(self, message: Notification) -> None:
        if self.refuses:
            raise RetriableError(VW392, "no mail today")
        self.subjects.append(message.subject)

    @property
    def kinds(self) -> list[str]:
        return [subject.removeprefix("[vte-wats] ").split()[0].rstrip(":") for subject in self.subjects]


class Watched:
    """A monitor's state and clock, driven check by check."""

    def __init__(self, limits: AlertSettings, channels: tuple[str, ...] = ("mail",), starts_at: datetime = T0) -> None:
        self.limits, self.channels, self.now_at = limits, channels, starts_at
        self.monitor_state = MonitorState(channels=channels)
        self.server = MailServer()

    def check(self, *verdicts: CheckResult, key: str = Kind.WATS, step: timedelta = STEP) -> list[str]:
        """Observe the verdicts monitor after the other; return the subjects that went out meanwhile."""
        before = len(self.server.subjects)
        for verdict in verdicts:
            self.observe({key: verdict}, step)
        return self.server.kinds[before:]

    def observe(self, verdicts: dict[str, CheckResult], step: timedelta = STEP) -> None:
        self.now_at += step
        seen = [Observation(key, verdict, f"{key} is bad", "fix it") for key, verdict in verdicts.items()]
        monitor_state = with_observations(self.monitor_state, seen, self.limits, self.now_at)
        context = AlertContext(Site(), self.now_at, UTC_ZONE, monitor_state)
        self.monitor_state = MonitorState.model_validate_json(
            notify_due(self.limits, context, self.channels, self.server, lambda _: None).model_dump_json()
        )


def watched(**limits) -> Watched:
    return Watched(AlertSettings(confirm_checks=limits.pop("confirm_checks", 2), **limits))


def test_it_opens_and_closes_after_two_checks_that_agree():
    monitor = watched()
    assert monitor.check(BAD) == []
    assert monitor.check(BAD) == ["PROBLEM"]
    assert monitor.check(BAD, BAD, GOOD) == []
    assert monitor.check(GOOD) == ["SOLVED"]
    assert monitor.monitor_state.conditions == {}


def test_a_single_bad_check_between_good_ones_notifies_nobody():
    assert watched().check(BAD, GOOD, BAD, GOOD, GOOD, BAD, GOOD) == []


def test_a_check_without_an_answer_changes_nothing():
    monitor = watched()
    assert monitor.check(BAD, UNKNOWN, BAD) == ["PROBLEM"]
    assert monitor.check(UNKNOWN, GOOD, UNKNOWN) == []
    assert monitor.check(GOOD) == ["SOLVED"]


def test_it_lasted_from_the_first_bad_check_to_the_first_good_one():
    monitor = watched()
    monitor.check(BAD, BAD, BAD, BAD, BAD, GOOD, GOOD)
    assert monitor.server.subjects[-1].startswith("[vte-wats] SOLVED after 10 minutes: ")


def test_one_reminder_per_period_while_it_stays_open():
    monitor = watched(reminder_s=3_600)
    assert monitor.check(*[BAD] * 91) == ["PROBLEM", "STILL", "STILL"]
    assert monitor.check(BAD) == ["STILL"]


def test_a_mail_that_could_not_be_sent_is_sent_once_at_the_next_check_that_can():
    monitor = watched()
    monitor.server.refuses = True
    assert monitor.check(BAD, BAD, BAD, BAD) == []
    monitor.server.refuses = False
    assert monitor.check(BAD, BAD) == ["PROBLEM"]


def test_an_episode_that_ended_while_no_mail_could_be_sent_gets_both_mails():
    monitor = watched()
    monitor.server.refuses = True
    monitor.check(BAD, BAD, GOOD, GOOD)
    monitor.server.refuses = False
    assert monitor.check(GOOD) == ["PROBLEM", "SOLVED"]


def test_an_end_whose_mail_was_not_sent_before_it_opened_again_gets_no_mail():
    monitor = watched()
    monitor.check(BAD, BAD)
    monitor.server.refuses = True
    monitor.check(GOOD, GOOD, BAD, BAD)
    monitor.server.refuses = False
    assert monitor.check(BAD) == []
    assert monitor.check(GOOD, GOOD) == ["SOLVED"]
    assert "SOLVED after 14 minutes" in monitor.server.subjects[-1]


def test_what_became_due_in_the_quiet_hours_is_sent_when_they_end():
    quiet = QuietHours(begin="22:00", end="06:00")
    monitor = Watched(AlertSettings(quiet_hours=quiet), starts_at=datetime(2026, 3, 2, 23, tzinfo=UTC))
    assert monitor.check(BAD, BAD, BAD) == []
    assert monitor.check(BAD, step=timedelta(hours=7)) == ["PROBLEM"]


@pytest.mark.parametrize(
    ("begin", "end", "at", "held"),
    [
        ("22:00", "06:00", "23:00", True),
        ("22:00", "06:00", "05:59", True),
        ("22:00", "06:00", "06:00", False),
        ("22:00", "06:00", "12:00", False),
        ("08:00", "10:00", "08:00", True),
        ("08:00", "10:00", "10:00", False),
        ("08:00", "08:00", "08:00", False),
    ],
)
def test_quiet_hours_hold_from_their_begin_up_to_their_end(begin, end, at, held):
    assert QuietHours(begin=begin, end=end).hold(datetime.strptime(at, "%H:%M").time()) is held  # noqa: DTZ007


def test_without_recipients_it_is_logged_once_and_a_later_recipient_is_notified_of_what_is_open(caplog):
    monitor = watched()
    monitor.channels = ()
    monitor.monitor_state = MonitorState()
    with caplog.at_level("WARNING"):
        monitor.check(BAD, BAD, BAD, BAD)
    assert caplog.text.count("nobody is notified, because no recipients are set: [vte-wats] PROBLEM") == 1
    assert monitor.server.subjects == []
    monitor.channels = ("mail",)
    assert monitor.check(BAD, BAD) == ["PROBLEM"]
    assert monitor.check(GOOD, GOOD) == ["SOLVED"]


def test_groups_of_held_runs_that_open_together_are_one_mail_and_close_each_for_itself():
    monitor = watched()
    keys = [f"held:unmapped test plan {n}" for n in range(3)]
    monitor.observe(dict.fromkeys(keys, BAD))
    monitor.observe(dict.fromkeys(keys, BAD))
    assert monitor.server.kinds == ["PROBLEM"]
    assert "(and 2 more)" in monitor.server.subjects[0]
    assert monitor.check(GOOD, GOOD, key=keys[0]) == ["SOLVED"]
    assert set(monitor.monitor_state.conditions) == set(keys[1:])


def test_a_condition_of_a_kind_that_no_longer_exists_is_forgotten():
    assert MonitorState().with_conditions({"moon_phase": Condition(streak=1)}).conditions == {}


@given(
    st.lists(st.tuples(st.sampled_from(CheckResult), st.booleans()), max_size=120),
    st.integers(1, 4),
    st.integers(1, 20),
)
def test_mails_alternate_between_open_and_close_and_reminders_keep_their_distance(checks, confirm, period):
    reminder_s = max(60, period * int(STEP.total_seconds()))
    monitor = Watched(AlertSettings(confirm_checks=confirm, reminder_s=reminder_s))
    sent: list[tuple[str, datetime]] = []
    for verdict, server_is_up in checks:
        monitor.server.refuses = not server_is_up
        sent += [(kind, monitor.now_at + STEP) for kind in monitor.check(verdict)]
    edges = [kind for kind, _ in sent if kind != "STILL"]
    assert edges == (["PROBLEM", "SOLVED"] * len(edges))[: len(edges)]
    for (before, before_at), (kind, at) in pairwise(sent):
        if kind == "STILL":
            assert before in ("PROBLEM", "STILL")
            assert at - before_at >= timedelta(seconds=reminder_s)


@given(st.lists(st.sampled_from(CheckResult), max_size=60), st.integers(1, 4))
def test_once_the_server_takes_mail_people_know_what_is_true(checks, confirm):
    monitor = Watched(AlertSettings(confirm_checks=confirm))
    monitor.server.refuses = True
    monitor.check(*checks)
    monitor.server.refuses = False
    monitor.check(UNKNOWN)
    is_open = monitor.monitor_state.conditions.get(Kind.WATS, Condition()).is_open
    last = [kind for kind in monitor.server.kinds if kind != "STILL"][-1:]
    assert last == (["PROBLEM"] if is_open else ["SOLVED"] if last else [])


def test_due_is_nothing_for_what_was_never_bad():
    assert Condition().due(T0, 60) is None
    assert Condition(opened_at=T0).due(T0, 60) is NoticeKind.OPENED
