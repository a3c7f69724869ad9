"""What would become of sampled runs."""

from __future__ import annotations

from uuid import UUID

from tests.unit.builders import a_run, a_settings
from vte_wats.config.settings import Settings
from vte_wats.domain.run import Defect, StepKind, VteStepResult, VteTestplan, VteTestRun
from vte_wats.survey.trial import Refusals, try_mapping


def test_every_run_has_an_outcome_with_its_reason():
    twin = a_run(1).model_copy(update={"index_guid": UUID(int=99)})
    runs = [
        a_run(1),
        a_run(2, serial=None),
        a_run(3, testplan=VteTestplan(name="Prototype")),
        a_run(4, defect=Defect(reason="VW230 no number", signature="no number")),
        twin,
    ]
    trial = try_mapping(runs, a_settings())
    assert [line.outcome for line in trial.lines] == ["report", "dead", "held", "dead", "dead"]
    assert trial.counts == {"report": 1, "dead": 3, "held": 1}
    assert "serial must not be blank" in trial.lines[1].reason


SETTINGS = a_settings(process_map={"Gain": 100}, result_codes={1: "Passed", 0: "Failed"})


def found(*runs: VteTestRun, settings: Settings = SETTINGS, read_with: Settings = SETTINGS) -> dict[str, int]:
    refusals = Refusals(read_with)
    for run in runs:
        refusals.add(run)
    return {issue.what: issue.seen for issue in refusals.issues(settings)}


def text(code: int | None) -> VteStepResult:
    return VteStepResult(kind=StepKind.TEXT, text_value="1.0.3", result_code=code)


def test_a_run_without_fault_is_no_issue():
    assert found(a_run(1), a_run(2, result_code=0, steps=(text(1), text(None)))) == {}


def test_every_run_counts_and_five_of_them_are_named():
    refusals = Refusals(SETTINGS)
    assert {refusals.add(a_run(n + 1, serial=" ")) for n in range(200)} == {"serial is blank"}
    (issue,) = refusals.issues(SETTINGS)
    assert (issue.what, issue.seen, issue.consequence) == ("serial is blank", 200, "A dead letter.")
    assert issue.examples == tuple(str(a_run(n + 1).index_guid) for n in range(5))


def test_a_text_that_is_too_long_is_an_issue():
    assert found(a_run(1, site_name="Hall " * 40)) == {"location is longer than WATS takes": 1}
    assert found(a_run(1, serial="7" * 101)) == {"serial is longer than 100 characters": 1}


def test_codes_and_test_plans_are_judged_by_the_settings_that_are_proposed():
    runs = [a_run(n + 1, result_code=7) for n in range(3)]
    runs += [a_run(11, steps=(text(9), text(9))), a_run(12, testplan=VteTestplan(name="Prototype"))]
    unknown = {
        "unlisted result code 7": 3,
        "unlisted step result code 9": 1,
        "unmapped test plan 'Prototype'": 1,
    }
    knowing = a_settings(
        process_map={"*": 100}, result_codes={1: "Passed", 0: "Failed", 7: "Error"}, step_result_codes={9: "Done"}
    )
    for read_with in (SETTINGS, knowing):
        assert found(*runs, read_with=read_with) == unknown
        assert found(*runs, read_with=read_with, settings=knowing) == {}


def test_a_code_that_is_not_known_hides_no_other_fault():
    run = a_run(1, result_code=7, serial=None, testplan=VteTestplan(name="Prototype"), steps=(text(9),))
    assert found(run).keys() == {
        "serial is blank",
        "unlisted result code 7",
        "unlisted step result code 9",
        "unmapped test plan 'Prototype'",
    }


def test_a_result_that_is_null_means_nothing_whatever_is_proposed():
    assert found(a_run(1, result_code=None)) == {"unlisted result code NULL": 1}


def test_a_run_that_cannot_be_read_is_counted_elsewhere():
    run = a_run(1, serial=None, defect=Defect(reason="VW230 no number", signature="no number"))
    assert Refusals(SETTINGS).add(run) == "no number"
    assert found(run) == {}
