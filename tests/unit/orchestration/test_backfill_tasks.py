"""What a backfill hands to the DAG run of its next part."""

from __future__ import annotations

from types import SimpleNamespace

from vte_wats.orchestration.backfill_tasks import BACKFILL_FORM, TriggerNextPart, _form

TEMPLATE = "{{ conn.wats_default.password }}"


def test_what_somebody_adds_to_the_form_does_not_travel_to_the_next_part():
    params = dict.fromkeys(BACKFILL_FORM) | {"dead_letters": TEMPLATE, "note": TEMPLATE}
    context = {"params": params, "dag": SimpleNamespace(params=BACKFILL_FORM)}
    assert _form(context) == dict.fromkeys(BACKFILL_FORM) | {"dead_letters": TEMPLATE}


def test_nothing_that_starts_the_next_part_is_rendered_as_a_template():
    task = TriggerNextPart(task_id="next_part", trigger_dag_id="vte_wats_backfill", conf={"dead_letters": TEMPLATE})
    task.render_template_fields({"conn": SimpleNamespace(wats_default=SimpleNamespace(password="secret"))})
    assert task.conf == {"dead_letters": TEMPLATE}
