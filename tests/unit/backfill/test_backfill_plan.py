"""What one DAG run of a backfill hands the next: a reference to a file, checked before it is a path."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import ValidationError
from upath import UPath

from tests.unit.builders import guid_of
from vte_wats.backfill.backfill_plan import BackfillPlan, BackfillPlans, PartReference
from vte_wats.backfill.request import Part
from vte_wats.domain.errors import FatalError

AT = datetime(2026, 6, 1, 10, tzinfo=UTC)
FIRST = PartReference.first("vte_wats_backfill", "manual__1", AT)
PLAN = BackfillPlan(
    dag_run_id="manual__1",
    asked="dead letters: {{ conn.wats_default.password }}",
    batch_size=200,
    parts=(Part("", str(guid_of(1)), 1), Part(str(guid_of(1)), str(guid_of(2)), 1)),
    runs=(guid_of(1), guid_of(2)),
)


@pytest.fixture
def plans(tmp_path) -> BackfillPlans:
    return BackfillPlans(UPath(tmp_path))


def test_a_plan_comes_back_with_the_part_that_is_referred_to(plans):
    plans.save(FIRST, PLAN)
    assert plans.load_part(FIRST) == (PLAN, PLAN.parts[0])
    assert plans.load_part(FIRST.following()) == (PLAN, PLAN.parts[1])


def test_the_reference_holds_nothing_of_what_was_asked():
    assert set(FIRST.model_dump()) == {"plan", "part"}
    assert PartReference.first("vte_wats_backfill", "{{ conn }}" * 20, AT).plan.isalnum()


def test_a_dag_run_of_the_same_id_at_another_time_has_another_plan():
    assert PartReference.first("vte_wats_backfill", "manual__1", AT.replace(hour=11)) != FIRST


@pytest.mark.parametrize(
    "plan", ["../../../etc/passwd", "", "A" * 32, "0" * 31, "0" * 33, "{{ conn }}", f"{'0' * 32}\n"]
)
def test_a_reference_that_somebody_wrote_by_hand_leads_nowhere(plans, plan):
    with pytest.raises(FatalError, match=r"VW623 continued\.plan: 32 hexadecimal digits"):
        plans.load_part(PartReference(plan=plan, part=1))


@pytest.mark.parametrize(
    "plain", [{}, {"plan": "0" * 32}, {"plan": 1, "part": 1}, {"plan": "0" * 32, "part": "1"}, "x"]
)
def test_a_reference_has_one_shape(plain):
    with pytest.raises(ValidationError):
        PartReference.model_validate(plain)


@pytest.mark.parametrize("part", [0, -1, 3])
def test_a_part_that_is_not_planned_is_refused(plans, part):
    plans.save(FIRST, PLAN)
    with pytest.raises(FatalError, match=f"VW623 .*parts 1 to 2, given {part}"):
        plans.load_part(FIRST.model_copy(update={"part": part}))


def test_a_plan_that_was_removed_is_reported_with_what_to_do(plans):
    with pytest.raises(FatalError, match=r"VW623 .*it was removed\. Trigger the backfill again"):
        plans.load_part(FIRST)


def test_a_damaged_plan_is_reported_and_not_planned_again_over_it(plans, tmp_path):
    plans.save(FIRST, PLAN)
    (path,) = (tmp_path / "backfills").iterdir()
    path.write_text(path.read_text()[:-20])
    with pytest.raises(FatalError, match=r"VW623 the plan of the backfill in .* is damaged"):
        plans.load(FIRST)
