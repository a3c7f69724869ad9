from __future__ import annotations

import json
from datetime import timedelta

import pytest
from airflow.sdk import DAG, task
from airflow.sdk.definitions.retry_policy import RetryAction
from airflow.sdk.module_loading import import_string
from airflow.serialization.serialized_objects import DagSerialization

from vte_wats.config.sites import Site
from vte_wats.domain.errors import FatalError, HeldError, RejectedError, RetriableError
from vte_wats.messages import VW299, VW392, VW404, VW417
from vte_wats.orchestration.dag_defaults import Priority, read_dag_options, task_arguments
from vte_wats.orchestration.retry import SyncRetryPolicy


def decision_on(error: BaseException):
    return SyncRetryPolicy().evaluate(error, try_number=1, max_tries=4)


def test_what_may_succeed_later_follows_the_tasks_own_backoff():
    assert decision_on(RetriableError(VW392, "a deadlock")).action is RetryAction.DEFAULT


@pytest.mark.parametrize("wait_s", [0, 7.5, 3_600])
def test_a_wait_the_server_asked_for_is_kept(wait_s):
    decision = decision_on(RetriableError(VW392, "busy", wait_s))
    assert decision.action is RetryAction.RETRY
    assert decision.retry_delay == timedelta(seconds=wait_s)


@pytest.mark.parametrize(
    "error",
    [
        FatalError(VW299, "wrong login\nsecond line"),
        RejectedError(VW417, "wrong login", "s"),
        HeldError(VW404, "wrong login", "s"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_needs_a_person_fails_at_once_with_its_first_line_as_reason(error):
    decision = decision_on(error)
    assert decision.action is RetryAction.FAIL
    assert decision.reason == f"{error.code} wrong login"


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyError("x"), MemoryError()], ids=repr)
def test_any_other_failure_follows_the_tasks_own_retries(error):
    assert decision_on(error).action is RetryAction.DEFAULT


def test_the_policy_is_stored_by_its_name():
    plain = json.loads(json.dumps(SyncRetryPolicy().serialize()))
    assert import_string(plain["__type"]) is SyncRetryPolicy


def test_a_dag_with_the_policy_is_stored_alike_however_often_it_is_parsed():
    def stored() -> str:
        with DAG("d", default_args=task_arguments(Site(), read_dag_options(), Priority.LIVE), schedule=None) as dag:

            @task
            def nothing() -> None: ...

            @task
            def mapped(n: int) -> None: ...

            nothing() >> mapped.expand(n=[1, 2])
        return json.dumps(DagSerialization.to_dict(dag), default=str, sort_keys=True)

    first = stored()
    assert stored() == first
    assert " at 0x" not in first
    assert "has_retry_policy" in first
