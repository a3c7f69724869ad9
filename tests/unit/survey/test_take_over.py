"""Proposed changes beside what is set, and settings with the part that a person has chosen."""

from __future__ import annotations

import json

import pytest

from vte_wats.domain.errors import FatalError
from vte_wats.survey.proposal import Origin, Proposal, ProposedSetting, Question, default_of
from vte_wats.survey.take_over import ChangeState, proposed_changes, settings_with

GIVEN = {"process_map": {"Gain": 100}, "source_timezone": "Europe/Oslo", "alerts": {"recipients": ["a@plant.example"]}}
CODES = {"1": "Passed"}


def text_of(**more: object) -> str:
    return json.dumps(GIVEN | more)


@pytest.fixture
def proposal() -> Proposal:
    """Two settings from the data, one of them unset; one that the data confirms; one that is asked."""
    processes = {"Gain": 100, "Burn In": 50}
    return Proposal(
        settings={},
        answers=(
            ProposedSetting(
                setting="process_map", value=processes, origin=Origin.DATA, reason="by name",
                now=GIVEN["process_map"], differs=True,
            ),
            ProposedSetting(
                setting="result_codes", value=CODES, origin=Origin.DATA, reason="by values",
                now=default_of("result_codes"), differs=True,
            ),
            ProposedSetting(setting="timestamp_marks", value="end", origin=Origin.DATA, reason="no overlap", now="end"),
            ProposedSetting(setting="batch_size", value=50, origin=Origin.SET, reason="", now=100, differs=True),
            ProposedSetting(setting="station", origin=Origin.ASKED, reason="empty", now="hostname", differs=True),
        ),
        questions=(Question(setting="station", question="Which column?"),),
        mistakes="",
    )  # fmt: skip


def test_only_what_the_data_says_otherwise_is_a_change(proposal):
    changes = proposed_changes(proposal, text_of())
    assert [(change.setting, change.now, change.is_default, change.state) for change in changes] == [
        ("process_map", {"Gain": 100}, False, ChangeState.OPEN),
        ("result_codes", default_of("result_codes"), True, ChangeState.OPEN),
    ]


@pytest.mark.parametrize(
    ("codes", "state"),
    [
        (CODES, ChangeState.TAKEN),
        ({"1": "Passed", "4": "Error"}, ChangeState.OUTDATED),
        (default_of("result_codes"), ChangeState.OPEN),
    ],
)
def test_what_was_set_since_is_compared_with_what_the_survey_knew(proposal, codes, state):
    change = proposed_changes(proposal, text_of(result_codes=codes))[1]
    assert (change.state, change.is_default) == (state, False)


def test_everything_else_stays_in_its_place(proposal):
    text = settings_with(proposal, ["result_codes"], text_of(batch_size=50), "vte_wats")
    assert list(json.loads(text).items()) == [*GIVEN.items(), ("batch_size", 50), ("result_codes", CODES)]
    again = settings_with(proposal, ["process_map"], text, "vte_wats")
    assert json.loads(again) == json.loads(text) | {"process_map": {"Gain": 100, "Burn In": 50}}
    assert list(json.loads(again)) == list(json.loads(text))


@pytest.mark.parametrize("setting", ["timestamp_marks", "batch_size", "station", "alerts", "no_such_setting"])
def test_what_the_data_does_not_propose_is_refused_by_name(proposal, setting):
    with pytest.raises(FatalError, match=f"VW564 .*: {setting}"):
        settings_with(proposal, ["result_codes", setting], text_of(), "vte_wats")


def test_what_was_set_to_something_else_since_is_refused(proposal):
    text = text_of(process_map={"Gain": 100, "New": 200})
    with pytest.raises(FatalError, match=r"VW564 .*: process_map"):
        settings_with(proposal, ["process_map"], text, "vte_wats")


def test_before_there_are_settings_the_whole_must_be_valid_too(proposal):
    first_day = proposal.model_copy(
        update={"answers": (proposal.answers[0].model_copy(update={"now": None}), proposal.answers[1])}
    )
    with pytest.raises(FatalError, match="source_timezone: required"):
        settings_with(first_day, ["process_map", "result_codes"], None, "vte_wats")
