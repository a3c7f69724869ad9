"""What a backfill hands to the DAG run of its next part."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from vte_wats.orchestration.backfill_tasks import TriggerNextPart, dag_run_id_of

TEMPLATE = "{{ conn.wats_default.password }}"


def test_nothing_that_starts_the_next_part_is_rendered_as_a_template():
    task = TriggerNextPart(task_id="next_part", trigger_dag_id="vte_wats_backfill", conf={"dead_letters": TEMPLATE})
    task.render_template_fields({"conn": SimpleNamespace(wats_default=SimpleNamespace(password="secret"))})
    assert task.conf == {"dead_letters": TEMPLATE}


@pytest.mark.parametrize("length", [1, 227, 241, 242, 250])
def test_the_dag_run_of_a_part_has_an_id_that_airflow_stores_whatever_the_first_one_is_called(length):
    ids = {dag_run_id_of(name, part) for name in ("x" * length, "x" * (length - 1) + "y") for part in (2, 3, 1_000)}
    assert len(ids) == 6
    assert max(map(len, ids)) <= 250


def test_the_id_of_a_part_begins_with_that_of_the_first_dag_run():
    assert dag_run_id_of("manual__1", 2) == "manual__1__part_2"
