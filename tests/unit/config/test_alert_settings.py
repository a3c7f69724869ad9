"""The group ``alerts`` of the settings: what it refuses, and that it can be read when the rest is wrong."""

from __future__ import annotations

import json
from zoneinfo import ZoneInfo

import pytest

from tests.unit.builders import a_settings
from vte_wats.config.settings import parse_alerts, parse_settings
from vte_wats.domain.errors import FatalError

MINIMUM = {"source_timezone": "Europe/Oslo", "process_map": {"Gain": 100}}


def with_alerts(**alerts) -> str:
    return json.dumps(MINIMUM | {"alerts": alerts})


def test_recipients_are_kept_once_each_in_their_order():
    settings = parse_settings(with_alerts(recipients=["b@x.example", "a@x.example", "b@x.example"]))
    assert settings.alerts.recipients == ("b@x.example", "a@x.example")


@pytest.mark.parametrize(
    ("alerts", "field"),
    [
        ({"recipients": ["nobody"]}, "alerts.recipients.0"),
        ({"recipients": ["a@x.example\nBcc: b@x.example"]}, "alerts.recipients.0"),
        ({"recipients": ["a@x.example, b@x.example"]}, "alerts.recipients.0"),
        ({"quiet_hours": {"begin": "22:00"}}, "alerts.quiet_hours.end"),
        ({"quiet_hours": {"begin": "24:00", "end": "06:00"}}, "alerts.quiet_hours.begin"),
        ({"summary_at": "6"}, "alerts.summary_at"),
        ({"confirm_checks": 0}, "alerts.confirm_checks"),
        ({"reminder": 60}, "alerts.reminder"),
    ],
)
def test_a_mistake_names_the_field(alerts, field):
    for parse in (parse_settings, parse_alerts):
        with pytest.raises(FatalError, match=rf"- {field}: "):
            parse(with_alerts(**alerts))


def test_alerts_can_be_read_when_every_other_setting_is_wrong():
    text = json.dumps({"source_timezone": "Oslo", "batch": 1, "alerts": {"recipients": ["a@x.example"]}})
    with pytest.raises(FatalError):
        parse_settings(text)
    alerts, zone = parse_alerts(text)
    assert alerts.recipients == ("a@x.example",)
    assert zone == ZoneInfo("UTC")
    assert parse_alerts(json.dumps(MINIMUM))[1] == ZoneInfo("Europe/Oslo")


@pytest.mark.parametrize("text", [None, "[]", "{", '{"alerts": 3}'])
def test_without_a_readable_group_the_monitor_stops_with_the_reason(text):
    with pytest.raises(FatalError, match="vte_wats"):
        parse_alerts(text)


def test_other_limits_are_no_reason_to_try_held_runs_again():
    plain = a_settings()
    assert a_settings(alerts={"recipients": ["a@x.example"]}).fingerprint == plain.fingerprint
    assert a_settings(batch_size=7).fingerprint != plain.fingerprint
