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
