"""What runs of a test have in common is validated once, and no run changes it."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel, ValidationError
from pywats.domains.report.report_models.common_types import StepStatus
from pywats.domains.report.report_models.uut.steps import NumericStep, StringValueStep
from pywats.domains.report.report_models.uut.steps.measurement import (
    MultiNumericMeasurement,
    MultiStringMeasurement,
    NumericMeasurement,
    StringMeasurement,
)

from tests.unit.builders import a_settings
from tests.unit.mapping_builders import a_number, a_run, a_text
from vte_wats.mapping.model_patterns import pattern, with_values
from vte_wats.mapping.report_builder import map_run

KINDS = (
    NumericStep, StringValueStep, NumericMeasurement, StringMeasurement, MultiNumericMeasurement, MultiStringMeasurement
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_is_what_pydantic_copies(kind: type[BaseModel]) -> None:
    model = pattern(kind, name="Gain", status=StepStatus.Failed)
    values = {"name": "Offset"}
    ours, theirs = with_values(model, **values), model.model_copy(update=values)
    assert ours == theirs
    assert ours.model_fields_set == set(kind.model_fields)
    assert ours.__pydantic_extra__ == theirs.__pydantic_extra__
    assert ours.__pydantic_private__ == theirs.__pydantic_private__
    assert ours.model_dump_json() == theirs.model_dump_json()


def test_a_change_of_a_copy_leaves_the_pattern_as_it_is() -> None:
    model = pattern(NumericStep, id=1, name="Gain", status=StepStatus.Failed)
    copied = with_values(model, report_text="why")
    copied.name, copied.caused_uut_failure = "Gain (2)", True
    assert (model.name, model.caused_uut_failure, model.report_text) == ("Gain", None, None)
    assert "caused_uut_failure" not in model.model_fields_set


def test_a_pattern_is_validated() -> None:
    with pytest.raises(ValidationError):
        pattern(NumericStep, name="x" * 101)


def test_a_report_does_not_depend_on_the_runs_before_it() -> None:
    """Zero and minus zero are equal, and yet not written alike; so are the marks of a step that failed the unit."""
    plus = a_run(steps=(a_number(0.0, low_limit=0.0, high_limit=0.0), a_text("a", step_number=2)), result_code=1)
    minus = a_run(
        steps=(a_number(-0.0, low_limit=-0.0, high_limit=-0.0, result_code=0), a_text("b", step_number=2)),
        result_code=0,
    )
    alone = {}
    for run in (plus, minus):
        pattern.cache_clear()
        alone[run] = map_run(run, a_settings()).body
    pattern.cache_clear()
    for run in (plus, minus, plus, minus):
        assert map_run(run, a_settings()).body == alone[run]
    (measured,) = json.loads(alone[minus])["root"]["steps"][0]["numericMeas"]
    assert [str(measured[name]) for name in ("value", "lowLimit", "highLimit")] == ["-0.0"] * 3
