"""Nothing of the plant becomes code: no operator, notifier, link or label of the DAGs renders text as a template."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.providers.smtp.notifications.smtp import SmtpNotifier
from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, BaseOperator, BaseOperatorLink, task
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from tests.repository.templates import class_violations, dag_violations, own_classes
from vte_wats.orchestration.sync_deadline import deadline_missed


class TemplatedOperator(BaseOperator):
    template_fields = ("testplan",)
    testplan = ""


class Link(BaseOperatorLink):
    name = "Test plan"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        return ""


class LinkedOperator(BaseOperator):
    operator_extra_links: ClassVar = (Link(),)


@task
def a_task(text: str, number: int = 0) -> list[str]:
    return [text] * number


def _a_notifier(dag: DAG) -> None:
    BaseOperator(task_id="t", dag=dag, on_failure_callback=[SmtpNotifier(to="a@b.c", subject="{{ exception }}")])


def _a_deadline(dag: DAG) -> None:
    from datetime import timedelta  # noqa: PLC0415

    callback = AsyncCallback(SmtpNotifier, kwargs={"to": "a@b.c"})
    dag.deadline = [DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(1), callback)]


def _a_deadline_with_a_template(dag: DAG) -> None:
    from datetime import timedelta  # noqa: PLC0415

    callback = AsyncCallback(deadline_missed, kwargs={"site_name": "{{ conn }}"})
    dag.deadline = [DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, timedelta(1), callback)]


BAD = {
    "an operator": lambda dag: TemplatedOperator(task_id="t", dag=dag),
    "a trigger": lambda dag: TriggerDagRunOperator(task_id="t", dag=dag, trigger_dag_id="d", conf={}),
    "a mapped trigger": lambda dag: TriggerDagRunOperator.partial(
        task_id="t", dag=dag, trigger_dag_id="d"
    ).expand_kwargs([{"conf": {}}]),
    "a label": lambda dag: a_task.override(task_id="t", dag=dag, map_index_template="{{ params.dead_letters }}").expand(
        text=["a"]
    ),
    "an argument": lambda dag: a_task.override(task_id="t", dag=dag)("{{ params.dead_letters }}"),
    "a fixed argument of a mapped task": lambda dag: (
        a_task.override(task_id="t", dag=dag).partial(text="{{ x }}").expand(number=[1])
    ),
    "a mapped argument": lambda dag: a_task.override(task_id="t", dag=dag).expand(text=["{% x %}"]),
    "a link": lambda dag: LinkedOperator(task_id="t", dag=dag),
    "a notifier": _a_notifier,
    "a deadline": _a_deadline,
    "a deadline with a template": _a_deadline_with_a_template,
}


@pytest.fixture(scope="module")
def dags(repository) -> dict[str, DAG]:
    return DagBag(dag_folder=str(repository / "dags")).dags


def test_nothing_in_the_dags_is_a_template(dags):
    assert len(dags) >= 5
    assert list(dag_violations(dags)) == []


def test_no_class_of_the_package_has_fields_that_are_templates():
    classes = own_classes()
    assert {"MailNotifier", "TargetNotifier", "TriggerNextPart"} <= {cls.__name__ for cls in classes}
    assert list(class_violations(classes)) == []


@pytest.mark.parametrize("name", BAD)
def test_the_check_finds(name):
    with DAG("d", schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        try:
            BAD[name](dag)
        except ValueError:
            pytest.skip("Airflow refuses it")
    assert list(dag_violations({"d": dag})), name


@pytest.mark.parametrize("cls", [TemplatedOperator, TriggerDagRunOperator, SmtpNotifier])
def test_the_check_finds_the_class(cls):
    assert list(class_violations([cls]))
