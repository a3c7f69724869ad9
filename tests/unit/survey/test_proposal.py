"""Settings proposed from what the data shows; what it does not show is asked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.builders import a_run, a_settings
from vte_wats.config.settings import RunResult, Settings, TimestampMarks
from vte_wats.domain.errors import FatalError
from vte_wats.domain.run import StepKind, VteProduct, VteStepResult, VteTestplan
from vte_wats.survey.clocks import ClockFacts
from vte_wats.survey.proposal import (
    Evidence,
    Origin,
    Proposal,
    ProposedSetting,
    propose,
    settings_for_trial,
    settings_to_survey_with,
)
from vte_wats.survey.sample_findings import Findings, MarkFacts
from vte_wats.survey.settling import StepDelay
from vte_wats.survey.tally import Tally

PROCESSES = {50: "PCBA test", 90: "Burn In test", 120: "Burn in", 110: "RF calibration"}
COMPLETE = {"source_timezone": "Europe/Oslo", "process_map": {"Gain": 100}}
ENDS = MarkFacts(neighbours=100, overlaps_as_end=1, overlaps_as_start=40)
STARTS = MarkFacts(neighbours=100, overlaps_as_end=40, overlaps_as_start=1)
BOTH = MarkFacts(neighbours=100, overlaps_as_end=20, overlaps_as_start=40)
FEW = MarkFacts(neighbours=5, overlaps_as_end=0, overlaps_as_start=5)


def number(
    value: float, low: float | None = 4, high: float | None = 6, code: int | None = 1, **fields: Any
) -> VteStepResult:
    fields = {"test_name": "Gain"} | fields
    return VteStepResult(
        kind=StepKind.NUMERIC, numeric_value=value, low_limit=low, high_limit=high, result_code=code, **fields
    )


def seen(*extra, passed: int = 100, failed: int = 30) -> Findings:
    """Return what a site shows that passes with 1 and fails with 0."""
    tally = Tally(a_settings())
    runs = [a_run(n + 1, steps=(number(5),)) for n in range(passed)]
    runs += [a_run(n + 1_000, result_code=0, steps=(number(9, code=0),)) for n in range(failed)]
    for run in [*runs, *extra]:
        tally.add(run)
    return tally.findings()


def proposed(findings: Findings | None = None, **evidence: Any) -> Proposal:
    return propose(Evidence(findings=findings or seen(), **evidence), "vte_wats")


def answer(proposal: Proposal, setting: str) -> ProposedSetting:
    (found,) = [answer for answer in proposal.answers if answer.setting == setting]
    return found


def asked(proposal: Proposal, setting: str) -> list[str]:
    return [question.question for question in proposal.questions if question.setting == setting]


def clocks(*families: tuple[str, ...], **facts: Any) -> ClockFacts:
    plain = {"server_offset_minutes": 60, "offset_minutes": 60, "stations": 3, "fresh_stations": 2, "impossible": {}}
    return ClockFacts(**{**plain, "zones": families, **facts})


def test_every_setting_has_an_answer_and_a_reason():
    found = proposed(given=COMPLETE)
    assert [answer.setting for answer in found.answers] == list(Settings.model_fields)
    assert all(answer.reason for answer in found.answers)


def test_stations_ahead_of_the_server_are_a_reason_to_ask_and_none_to_doubt_what_is_set():
    ahead = clocks(server_offset_minutes=0, offset_minutes=None, stations=5, fresh_stations=1, ahead_stations=4)
    assert asked(proposed(clocks=ahead), "source_timezone") == [
        "Which time zone do the stations' clocks show? It is not the server's."
    ]
    found = proposed(given=COMPLETE, clocks=ahead)
    assert asked(found, "source_timezone") == []
    assert "4 of 5 stations lie after the server's wall clock, +0 minutes" in answer(found, "source_timezone").reason


def test_without_zone_and_processes_the_text_says_what_it_lacks():
    found = proposed()
    assert "source_timezone: required" in found.mistakes
    assert "process_map: required" in found.mistakes
    assert asked(found, "source_timezone")
    (question,) = (question for question in found.questions if question.setting == "process_map")
    assert question.to_fill_in[0] == '"Gain": 0,'
    trial = settings_for_trial(found, "vte_wats")
    assert (trial.source_timezone, trial.process_code("Gain")) == ("UTC", None)


@pytest.mark.parametrize("text", [None, "{}", '{"source_schema": "vte"}', '{"process_map": {"Gain": 10}}'])
def test_a_survey_needs_no_setting_and_uses_those_there_are(text):
    settings = settings_to_survey_with(text, "vte_wats")
    assert settings.source_schema == ("vte" if text and "vte" in text else "dbo")
    assert settings.process_code("Gain") == (10 if text and "Gain" in text else None)


@pytest.mark.parametrize("text", ["{,", "[]", '"UTC"', '{"batch_size": 0}', '{"source_timezone": 5}'])
def test_wrong_settings_are_refused_by_name_before_a_survey(text):
    with pytest.raises(FatalError, match="vte_wats"):
        settings_to_survey_with(text, "vte_wats")


def test_what_is_set_is_kept_and_the_whole_is_valid():
    given = COMPLETE | {"batch_size": 50, "result_codes": {"1": "Passed", "0": "Failed"}}
    found = proposed(given=given)
    assert found.mistakes == ""
    assert found.settings.items() >= given.items()
    assert (answer(found, "batch_size").origin, answer(found, "batch_size").differs) == (Origin.SET, False)


def test_addresses_of_people_are_not_repeated():
    found = proposed(given=COMPLETE | {"alerts": {"recipients": ["kari@example.com"]}})
    assert "kari" not in found.model_dump_json()


def test_codes_are_named_by_the_values_outside_their_limits():
    found = proposed(given=COMPLETE)
    assert answer(found, "result_codes").value == {"1": "Passed", "0": "Failed"}
    assert answer(found, "step_result_codes").value == {"1": "Passed", "0": "Failed"}
    assert answer(found, "result_codes").differs  # the default also names 2 and 3, which nothing shows
    assert answer(found, "result_codes").origin is Origin.DATA
    assert "Not in it any more: 2, 3 of the default, which no value shows" in answer(found, "result_codes").reason


def test_a_code_that_values_do_not_explain_is_asked_and_left_out():
    odd = [a_run(n + 5_000, result_code=2, exit_code=-1, steps=(number(5),)) for n in range(30)]
    found = proposed(seen(*odd), given=COMPLETE)
    assert "2" not in answer(found, "result_codes").value
    (question,) = asked(found, "result_codes")
    assert "Result 2" in question
    assert "ExitCode: -1" in question
    assert "It is read as Error until then; with the codes proposed its runs are held." in question
    (candidates,) = [question.candidates for question in found.questions if question.setting == "result_codes"]
    assert set(candidates) == set(RunResult)


def test_runs_of_a_code_that_nothing_names_are_held():
    odd = [a_run(n + 5_000, result_code=7, steps=(number(5),)) for n in range(30)]
    (question,) = asked(proposed(seen(*odd), given=COMPLETE), "result_codes")
    assert question.endswith("Its runs are held until then.")


def test_a_few_runs_name_no_code():
    found = proposed(seen(passed=5, failed=3), given=COMPLETE)
    assert answer(found, "result_codes").origin is Origin.ASKED
    assert "It is read as Passed until then" in " ".join(asked(found, "result_codes"))


def test_a_code_that_is_set_against_its_values_is_asked_and_never_changed():
    given = COMPLETE | {"result_codes": {"1": "Failed", "0": "Passed"}}
    found = proposed(given=given)
    assert found.settings["result_codes"] == given["result_codes"]
    assert "Its values say Failed" in " ".join(asked(found, "result_codes"))


@pytest.mark.parametrize(
    ("marks", "given", "value", "asks"),
    [
        (ENDS, {}, TimestampMarks.END, False),
        (STARTS, {}, TimestampMarks.START, False),
        (BOTH, {}, None, True),
        (FEW, {}, None, True),
        (ENDS, {"timestamp_marks": "end"}, TimestampMarks.END, False),
        (STARTS, {"timestamp_marks": "end"}, TimestampMarks.END, True),
        (ENDS, {"timestamp_marks": "start"}, TimestampMarks.START, True),
        (BOTH, {"timestamp_marks": "start"}, TimestampMarks.START, False),
        (FEW, {"timestamp_marks": "start"}, TimestampMarks.START, False),
    ],
)
def test_overlaps_decide_which_end_of_a_test_timestamp_is_or_a_person_does(marks, given, value, asks):
    found = proposed(seen().model_copy(update={"marks": marks}), given=COMPLETE | given)
    assert answer(found, "timestamp_marks").value == value
    assert bool(asked(found, "timestamp_marks")) == asks


def test_test_plans_get_the_one_process_whose_words_they_hold():
    plans = ("PSU Burn In", "RF Module Calibration", "Prototype")
    runs = [a_run(n + 9_000, testplan=VteTestplan(name=name)) for n, name in enumerate(plans)]
    found = proposed(seen(*runs), given=COMPLETE, processes=PROCESSES)
    assert answer(found, "process_map").value == {"Gain": 100, "PSU Burn In": 120, "RF Module Calibration": 110}
    (question,) = (question for question in found.questions if question.setting == "process_map")
    assert question.to_fill_in == ('"Prototype": 0,',)


def test_two_processes_that_fit_equally_are_asked():
    run = a_run(9_000, testplan=VteTestplan(name="RF burn in calibration"))
    found = proposed(seen(run), given=COMPLETE, processes={110: "RF calibration", 120: "Burn in"})
    assert answer(found, "process_map").value == COMPLETE["process_map"]
    assert asked(found, "process_map")


def test_a_huge_limit_is_proposed_as_a_marker_and_a_suspect_one_asked():
    huge = a_run(7_000, steps=tuple(number(5, 4, 3.4e38, test_name=f"Step {n}") for n in range(9)))
    nines = a_run(7_001, steps=tuple(number(5, 4, 999_999, test_name=f"Step {n}") for n in range(9)))
    found = proposed(seen(huge, nines), given=COMPLETE)
    assert 3.4e38 in answer(found, "no_limit_values").value
    assert 999_999 not in answer(found, "no_limit_values").value
    assert "limit of 999999 mean" in asked(found, "no_limit_values")[0]


def test_markers_that_are_known_change_nothing():
    known = a_run(7_000, steps=(number(5, 4, 9.9e37),))
    assert not answer(proposed(seen(known), given=COMPLETE), "no_limit_values").differs


def test_the_zone_is_asked_with_the_places_that_fit():
    found = proposed(clocks=clocks(("Europe/Berlin", "Europe/Oslo"), ("Africa/Lagos",)))
    (question,) = [question for question in found.questions if question.setting == "source_timezone"]
    assert question.candidates == ("Europe/Berlin, Europe/Oslo", "Africa/Lagos")
    assert "source_timezone" not in found.settings


def test_a_zone_that_is_set_and_fits_is_kept_and_one_that_does_not_is_asked():
    fits = proposed(given=COMPLETE, clocks=clocks(("Europe/Berlin", "Europe/Oslo")))
    assert asked(fits, "source_timezone") == []
    wrong = proposed(given=COMPLETE, clocks=clocks(("Africa/Lagos",), impossible={"Europe/Oslo": "reasons"}))
    assert "Europe/Oslo is set, but reasons" in asked(wrong, "source_timezone")[0]


def test_a_part_number_that_is_mostly_blank_is_asked_with_the_columns_that_are_filled():
    runs = [a_run(n + 1, product=VteProduct(), info1="PN-7") for n in range(50)]
    found = proposed(seen(*runs, passed=0, failed=0), given=COMPLETE)
    (question,) = [question for question in found.questions if question.setting == "part_number"]
    assert "info1" in question.candidates
    assert "info2" not in question.candidates
    assert asked(proposed(given=COMPLETE), "part_number") == []


def test_the_largest_run_raises_the_number_of_steps_that_is_read():
    big = seen().model_copy(update={"step_counts": seen().step_counts.model_copy(update={"most": 15_000})})
    assert answer(proposed(big, given=COMPLETE), "max_steps_per_run").value == 30_000
    assert not answer(proposed(given=COMPLETE), "max_steps_per_run").differs


def test_measured_late_arrivals_set_the_guard_band():
    assert answer(proposed(given=COMPLETE, guard_band_s=3_600), "guard_band_s").value == 3_600
    assert not answer(proposed(given=COMPLETE, measured_late_arrivals=True), "guard_band_s").differs


@pytest.mark.parametrize(("given", "asks"), [(14_999, True), (15_000, False)])
def test_a_number_of_steps_that_is_set_is_kept_and_asked_about_where_a_run_has_more(given, asks):
    big = seen().model_copy(update={"step_counts": seen().step_counts.model_copy(update={"most": 15_000})})
    found = proposed(big, given=COMPLETE | {"max_steps_per_run": given})
    assert (answer(found, "max_steps_per_run").value, answer(found, "max_steps_per_run").differs) == (given, False)
    assert bool(asked(found, "max_steps_per_run")) == asks


def test_a_guard_band_that_is_set_is_kept_and_asked_about_where_runs_come_later():
    found = proposed(given=COMPLETE | {"guard_band_s": 900}, guard_band_s=3_600)
    assert (answer(found, "guard_band_s").value, answer(found, "guard_band_s").differs) == (900, False)
    assert asked(found, "guard_band_s") == [
        "900 is set, but syncs and comparisons found runs as late as 3600 s. How late may a run come?"
    ]


def lasting(seconds: float, runs: int = 100, marks: MarkFacts = STARTS) -> Findings:
    """Return what a site shows most of whose tests take so long."""
    long = [a_run(n + 9_000, test_time_s=seconds) for n in range(runs)]
    return seen(*long, passed=0, failed=0).model_copy(update={"marks": marks})


@pytest.mark.parametrize(
    ("seconds", "value"), [(200, None), (700, 1_800), (5_000, 7_200), (86_400, 86_400), (400_000, 86_400)]
)
def test_a_guard_band_is_longer_than_the_tests_whose_timestamp_is_their_start(seconds, value):
    found = proposed(lasting(seconds), given=COMPLETE)
    assert answer(found, "guard_band_s").value == value
    assert bool(asked(found, "guard_band_s")) == (value is None)
    assert answer(proposed(lasting(seconds, marks=ENDS), given=COMPLETE), "guard_band_s").value is None


def test_a_few_long_tests_make_no_guard_band():
    few = lasting(200, runs=1_000).model_copy(update={"test_times": {300: 990, 86_400: 10}})
    assert answer(proposed(few, given=COMPLETE), "guard_band_s").origin is Origin.ASKED
    more = few.model_copy(update={"test_times": {300: 989, 86_400: 11}})
    assert answer(proposed(more, given=COMPLETE), "guard_band_s").value == 86_400


def test_a_guard_band_that_is_shorter_than_the_tests_is_kept_and_asked_about():
    given = COMPLETE | {"guard_band_s": 900}
    found = proposed(lasting(5_000), given=given)
    assert answer(found, "guard_band_s").value == 900
    assert (
        "100 of 100 tests of the sample took longer than 900 s. Should it be 7200?" in asked(found, "guard_band_s")[0]
    )
    assert asked(proposed(lasting(5_000), given=given, measured_late_arrivals=True), "guard_band_s") == []


@pytest.mark.parametrize("setting", ["guard_band_s", "settle_delay_s", "near_check_h"])
def test_what_vte_does_not_date_is_asked_until_it_is_set(setting):
    found = proposed(given=COMPLETE)
    now = Settings.model_fields[setting].default
    assert asked(found, setting)[0].endswith(f"{now} holds until then.")
    assert setting not in found.settings
    assert asked(proposed(given=COMPLETE | {setting: now}), setting) == []


def looked(growing: dict[int, int], runs: dict[int, int], apart_s: int = 600, **fields: Any) -> StepDelay:
    return StepDelay(apart_s=apart_s, runs=runs, growing=growing, **{"appearing": {}} | fields)


BUSY = {0: 9, 60: 12, 120: 8, 240: 6, 300: 11, 360: 9, 480: 30}


@pytest.mark.parametrize(("growing", "runs", "apart_s", "value"), [
    ({0: 5}, BUSY, 60, None),  # what a sync does not read yet may grow
    ({0: 5, 60: 2}, BUSY, 120, 120),
    ({60: 1, 240: 1}, BUSY, 300, 300),
])  # fmt: skip
def test_a_settle_delay_is_the_age_from_which_on_no_run_got_more_steps(growing, runs, apart_s, value):
    found = proposed(settling=looked(growing, runs, apart_s), given=COMPLETE)
    assert asked(found, "settle_delay_s") == []
    assert found.settings.get("settle_delay_s") == value
    late = sum(those for age_s, those in growing.items() if age_s >= 60)
    assert f"{late} runs that were 60 s old or more had more steps {apart_s} s later" in (
        answer(found, "settle_delay_s").reason
    )


@pytest.mark.parametrize(("growing", "runs", "apart_s"), [
    ({}, BUSY, 59),  # a step may come after the second look
    ({}, {60: 19}, 600),
    ({}, {0: 50, 60: 19, 360: 50}, 600),  # nor younger nor older ones are what a sync reads first
    ({60: 1}, BUSY, 119),
    ({480: 1}, BUSY, 600),
])  # fmt: skip
def test_a_settle_delay_is_asked_where_too_few_runs_or_seconds_were_looked_at(growing, runs, apart_s):
    found = proposed(settling=looked(growing, runs, apart_s), given=COMPLETE)
    (question,) = asked(found, "settle_delay_s")
    assert "not enough to decide" in question
    assert question.endswith("60 holds until then.")
    assert "settle_delay_s" not in found.settings


def test_a_settle_delay_that_is_set_is_kept_and_asked_about_where_older_runs_got_steps():
    found = proposed(settling=looked({60: 2, 120: 1}, BUSY), given=COMPLETE | {"settle_delay_s": 90})
    (question,) = [question for question in found.questions if question.setting == "settle_delay_s"]
    assert question.question.startswith("90 is set. 1 runs that were 90 s old or more had more steps 600 s later")
    assert question.candidates == ("180",)
    assert answer(found, "settle_delay_s").value == 90
    longer = proposed(settling=looked({60: 2, 120: 1}, BUSY), given=COMPLETE | {"settle_delay_s": 180})
    assert asked(longer, "settle_delay_s") == []


def test_runs_that_came_late_during_the_survey_are_named_where_the_guard_band_is_asked():
    found = proposed(settling=looked({}, BUSY, appearing={0: 3, 240: 1}), given=COMPLETE)
    assert "During the survey 4 runs came late, by 240 s or more." in asked(found, "guard_band_s")[0]
    assert asked(found, "guard_band_s")[0].endswith("600 holds until then.")


def test_tests_of_more_than_a_day_are_looked_at_for_longer():
    assert answer(proposed(lasting(100_000), given=COMPLETE), "near_check_h").value == 48
    assert answer(proposed(lasting(80_000), given=COMPLETE), "near_check_h").origin is Origin.ASKED


@pytest.mark.parametrize(("read_s", "given", "value", "asks"), [
    (3.0, {}, 1_000, False),
    (13.0, {}, 250, False),
    (13.0, {"batch_size": 200}, 200, False),
    (13.0, {"batch_size": 500}, 500, True),
    (None, {}, 1_000, False),
])  # fmt: skip
def test_a_slice_is_as_large_as_25_seconds_of_reading_allow(read_s, given, value, asks):
    found = proposed(seen(), read_s=read_s, given=COMPLETE | given)
    assert answer(found, "batch_size").value == value
    assert bool(asked(found, "batch_size")) == asks


@pytest.mark.parametrize(("stored_runs", "given", "value", "asks"), [
    (1_000_000, {}, 30, False),
    (2_000_000, {}, 56, False),
    (2_000_000, {"verify_cycle_days": 40}, 40, True),
    (2_000_000, {"verify_cycle_days": 56}, 56, False),
    (2_000_000, {"verify_cycle_days": 0}, 0, False),
    (10**9, {}, 3_650, False),
])  # fmt: skip
def test_the_whole_history_is_compared_in_parts_of_an_hour(stored_runs, given, value, asks):
    found = proposed(seen(), read_s=13.0, stored_runs=stored_runs, given=COMPLETE | given)
    assert answer(found, "verify_cycle_days").value == value
    assert bool(asked(found, "verify_cycle_days")) == asks


def test_a_guessed_name_is_asked():
    overrides = {"UutData": {"columns": {"Serial": "Serial_No"}}}
    found = proposed(given=COMPLETE, overrides=overrides)
    assert json.dumps(overrides) in asked(found, "column_overrides")[0]
    assert "column_overrides" not in found.settings


def test_guessed_names_are_offered_with_those_that_are_set():
    given = COMPLETE | {"column_overrides": {"UutData": {"table": "Units", "columns": {"Serial": "No"}}}}
    found = proposed(
        given=given, overrides={"UutData": {"columns": {"Uut_GUID": "Id"}}, "Products": {"table": "Parts"}}
    )
    offered = asked(found, "column_overrides")[0].partition("set column_overrides to ")[2]
    assert json.loads(offered) == {
        "UutData": {"table": "Units", "columns": {"Serial": "No", "Uut_GUID": "Id"}},
        "Products": {"table": "Parts"},
    }


def test_a_name_that_nothing_says_is_asked_with_the_columns_that_it_may_be():
    found = proposed(given=COMPLETE, possible_names={"UutData.Serial": ("SerialA", "SerialB")})
    (question,) = [question for question in found.questions if question.setting == "column_overrides"]
    assert question.question.startswith("Which column is UutData.Serial here?")
    assert question.candidates == ("SerialA", "SerialB")
