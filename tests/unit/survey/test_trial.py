"""What would become of sampled runs."""

from __future__ import annotations

from uuid import UUID

from tests.unit.builders import a_run, a_settings
from vte_wats.domain.run import Defect, VteTestplan
from vte_wats.survey.trial import try_mapping


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
    assert {issue.what for issue in trial.issues} == {
        "serial is blank", "unmapped test plan 'Prototype'", "no number", "natural key of another run",
    }  # fmt: skip


def test_a_text_that_is_too_long_is_an_issue_of_a_report():
    trial = try_mapping([a_run(1, site_name="Hall " * 40)], a_settings())
    assert trial.counts["report"] == 1
    (issue,) = trial.issues
    assert issue.what == "location is longer than WATS takes"
    assert issue.examples == (str(a_run(1).index_guid),)
